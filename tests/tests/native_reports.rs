//! `loadBalancer.backendUtilization` on the real Envoy: endpoints that report
//! more load get fewer requests.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use btp_tests::native::origin::speak_http2;
use btp_tests::native::{SOON, backend, governed, many, upstreams};
use btp_tests::{Body, Envoy, Reply, Upstream, wait};
use serde_json::{Value, json};

/// The load of one endpoint and of the other.
type Loads = [&'static str; 2];

const BUSY_AND_IDLE: Loads = [
    "application_utilization=0.9,rps_fractional=100",
    "application_utilization=0.1,rps_fractional=100",
];

fn balancer(utilization: Value) -> Value {
    json!({"loadBalancer": {"type": "BackendUtilization", "backendUtilization": utilization}})
}

/// These settings, and weights that count at once.
fn soon(settings: Value) -> Value {
    let mut utilization = json!({"blackoutPeriod": "100ms", "weightUpdatePeriod": "200ms"});
    for (name, value) in settings.as_object().into_iter().flatten() {
        utilization[name] = value.clone();
    }
    balancer(utilization)
}

fn report(upstream: &Upstream, load: &str) {
    let reply = Reply::status(200).header("endpoint-load-metrics", format!("TEXT {load}"));
    upstream.script("/", many(&reply));
}

/// How many of 100 requests the first of two endpoints gets.
async fn share(upstreams: &[Upstream], envoy: &Envoy) -> Result<usize> {
    upstreams.iter().for_each(Upstream::clear);
    for _ in 0..100 {
        ensure!(envoy.get("/").await?.status == 200);
    }
    Ok(upstreams[0].requests().len())
}

/// The same after both have reported, and the reports count.
async fn share_after_reports(spec: &Value, loads: Loads) -> Result<usize> {
    let upstreams = upstreams(2).await?;
    for (upstream, load) in upstreams.iter().zip(loads) {
        report(upstream, load);
    }
    let envoy = governed(&upstreams, spec).await?;
    for _ in 0..5 {
        share(&upstreams, &envoy).await?;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    share(&upstreams, &envoy).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reports_more_load_gets_fewer_requests() -> Result<()> {
    let equal = 40..=60;
    for (what, spec, loads, expected) in [
        ("reports", soon(json!({})), BUSY_AND_IDLE, 1..=30),
        (
            "Envoy's own ten seconds of blackout",
            balancer(json!({"weightUpdatePeriod": "200ms"})),
            BUSY_AND_IDLE,
            equal.clone(),
        ),
        (
            "weights that are never updated",
            soon(json!({"weightUpdatePeriod": "1h"})),
            BUSY_AND_IDLE,
            equal,
        ),
        (
            "a metric by name",
            soon(json!({"metricNamesForComputingUtilization": ["named_metrics.queue"]})),
            [
                "cpu_utilization=0.1,rps_fractional=100,named_metrics.queue=0.9",
                "cpu_utilization=0.9,rps_fractional=100,named_metrics.queue=0.1",
            ],
            1..=30,
        ),
        (
            "errors that count for nothing",
            soon(json!({})),
            [
                "cpu_utilization=0.1,rps_fractional=100,eps=80",
                "cpu_utilization=0.9,rps_fractional=100",
            ],
            70..=99,
        ),
        (
            "a penalty for errors",
            soon(json!({"errorUtilizationPenaltyPercent": 1000})),
            [
                "cpu_utilization=0.1,rps_fractional=100,eps=80",
                "cpu_utilization=0.9,rps_fractional=100",
            ],
            1..=30,
        ),
    ] {
        let found = share_after_reports(&spec, loads).await?;
        ensure!(expected.contains(&found), "{what}: {found} of 100");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_count_for_as_long_as_told() -> Result<()> {
    let upstreams = upstreams(2).await?;
    for (upstream, load) in upstreams.iter().zip(BUSY_AND_IDLE) {
        report(upstream, load);
    }
    let spec = soon(json!({"weightExpirationPeriod": "1s"}));
    let envoy = governed(&upstreams, &spec).await?;
    for _ in 0..5 {
        share(&upstreams, &envoy).await?;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let found = share(&upstreams, &envoy).await?;
    ensure!(found <= 30, "{found} of 100");
    for upstream in &upstreams {
        upstream.script("/", []);
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let found = share(&upstreams, &envoy).await?;
    ensure!((40..=60).contains(&found), "{found} of 100");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_see_reports_only_if_they_are_to() -> Result<()> {
    for (keep, expected) in [(false, None), (true, Some("TEXT cpu_utilization=0.5"))] {
        let upstreams = upstreams(1).await?;
        report(&upstreams[0], "cpu_utilization=0.5");
        let spec = balancer(json!({"keepResponseHeaders": keep}));
        let envoy = governed(&upstreams, &spec).await?;
        let found = envoy.get("/").await?.header("endpoint-load-metrics");
        ensure!(found.as_deref() == expected, "{keep}: {found:?}");
    }
    Ok(())
}

/// `OrcaLoadReport` with an `application_utilization`, field 9.
fn load(utilization: f64) -> Vec<u8> {
    const RPS: u8 = 6;
    const UTILIZATION: u8 = 9;
    let mut message = Vec::new();
    for (field, value) in [(RPS, 100.0), (UTILIZATION, utilization)] {
        message.push(field << 3 | 1);
        message.extend_from_slice(&f64::to_le_bytes(value));
    }
    let length = u8::try_from(message.len()).unwrap_or(u8::MAX);
    [vec![0, 0, 0, 0, length], message].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_come_beside_the_requests_if_asked_for() -> Result<()> {
    const METHOD: &str = "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics";
    let upstreams = upstreams(2).await?;
    for (upstream, utilization) in upstreams.iter().zip([0.9, 0.1]) {
        let pause = |number| Duration::from_millis(if number == 0 { 0 } else { 100 });
        let reports = (0..600).map(|number| (pause(number), load(utilization)));
        let reply = Reply::status(200)
            .header("content-type", "application/grpc")
            .body(Body::streamed(reports))
            .early();
        upstream.script(METHOD, many(&reply).take(10));
    }
    let mut bootstrap = backend(&upstreams)?;
    bootstrap.edit(|config| speak_http2(&mut config["static_resources"]["clusters"][0]));
    let spec = soon(json!({"outOfBand": {"authority": "reports.test", "reportingPeriod": "7s"}}));
    bootstrap.govern("backend", &spec)?;
    let envoy = Envoy::start(&bootstrap).await?;
    let seen = wait::until("questions for reports", SOON, || {
        let seen = upstreams[0].requests_under(METHOD);
        seen.into_iter().find(|it| !it.body.is_empty())
    })
    .await?;
    ensure!(seen.authority == "reports.test", "{}", seen.authority);
    // `report_interval`, field 1, is a duration of seconds, field 1, too.
    ensure!(seen.body.ends_with(&[0x0a, 2, 0x08, 7]), "{:?}", seen.body);
    let mut found = 100;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        for upstream in &upstreams {
            upstream.clear();
        }
        for _ in 0..100 {
            ensure!(envoy.get("/").await?.status == 200);
        }
        found = upstreams[0].requests().len();
        if found <= 30 {
            return Ok(());
        }
    }
    Err(anyhow::anyhow!("{found} of 100")).context("the busy one gets too many")
}

#[tokio::test(flavor = "multi_thread")]
async fn another_port_can_be_asked_for_reports() -> Result<()> {
    let upstreams = upstreams(2).await?;
    let mut bootstrap = backend(&upstreams[..1])?;
    bootstrap.edit(|config| speak_http2(&mut config["static_resources"]["clusters"][0]));
    let port = upstreams[1].addr().port();
    bootstrap.govern("backend", &balancer(json!({"outOfBand": {"port": port}})))?;
    let envoy = Envoy::start(&bootstrap).await?;
    upstreams[1].wait_for_requests(1, SOON).await?;
    ensure!(envoy.get("/").await?.status == 200);
    ensure!(upstreams[0].requests().len() == 1, "asked for reports");
    Ok(())
}
