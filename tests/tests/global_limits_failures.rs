//! Global limits while things change: the service goes or is silent, Redis is restarted, a window
//! ends, and `btp apply` runs again.

use std::net::TcpListener;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail, ensure};
use btp_tests::fleet::Applying;
use btp_tests::rate_limit_service::Format;
use btp_tests::watched::{ClustersIn, RoutesIn, Watched};
use btp_tests::{
    Bootstrap, Builder, Envoy, Fleet, RateLimitService, Redis, Request, Route, Upstream, wait,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const FORMATS: [Format; 2] = [Format::Envoy, Format::Limitador];
const FAIL_CLOSED: &str = "--rate-limit-fail-closed";
/// How long an Envoy may take for files that it watches.
const PATIENCE: Duration = Duration::from_secs(20);

fn bootstrap(upstream: &Upstream) -> Result<Bootstrap> {
    let builder = Builder::new().cluster("backend", upstream.addr());
    let route = Route::cluster("/", "backend").named("all");
    builder.route(route).build()
}

/// A spec by which so many requests may pass.
fn limit(requests: u32, unit: &str) -> Value {
    json!({"rateLimit": {"global": {"rules": [
        {"limit": {"requests": requests, "unit": unit}}]}}})
}

fn policy(requests: u32, unit: &str) -> Value {
    json!({"kind": "BackendTrafficPolicy", "metadata": {"name": "p"},
        "spec": limit(requests, unit)})
}

async fn fleet(upstream: &Upstream, format: Format, options: &[&str]) -> Result<Fleet> {
    let applying = Applying::new(&bootstrap(upstream)?, format, options)?;
    Fleet::start(applying, &[policy(2, "Year")]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_service_requests_pass_or_not_as_the_option_says() -> Result<()> {
    let upstream = Upstream::start().await?;
    for format in FORMATS {
        for (options, status) in [(&[][..], 200), (&[FAIL_CLOSED], 503)] {
            let mut fleet = fleet(&upstream, format, options).await?;
            let all = Request::get("/");
            fleet.answers(&all, &[200, 200, 429, 429]).await?;
            fleet.service.stop()?;
            let last = fleet.answers(&all, &[status; 4]).await?;
            let told = last.and_then(|it| it.header("x-ratelimit-limit"));
            ensure!(told.is_none(), "{told:?}");
        }
    }
    Ok(())
}

/// It takes connections, and never answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_silent_is_waited_for_as_long_as_the_option_says() -> Result<()> {
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let address = silent.local_addr()?.to_string();
    let upstream = Upstream::start().await?;
    let dir = TempDir::new()?;
    let file = dir.path().join("limits.yaml").display().to_string();
    for (option, status) in [(None, 200), (Some(FAIL_CLOSED), 503)] {
        let mut options = vec!["--rate-limit-service", &address];
        options.extend([
            "--rate-limit-config",
            &file,
            "--rate-limit-timeout",
            "300ms",
        ]);
        options.extend(option);
        let base = bootstrap(&upstream)?;
        let (limited, _) = base.applied(&policy(0, "Year"), &options)?;
        let envoy = Envoy::start(&limited).await?;
        let response = envoy.get("/").await?;
        ensure!(response.status == status, "{response:?}");
        // Envoy's timers are off by up to a few milliseconds.
        let least = Duration::from_millis(290);
        ensure!(response.headers_after >= least, "{response:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_it_is_as_without_the_service_and_then_counts_begin_anew() -> Result<()> {
    let upstream = Upstream::start().await?;
    for (options, status) in [(&[][..], 200), (&[FAIL_CLOSED], 503)] {
        let mut fleet = fleet(&upstream, Format::Envoy, options).await?;
        let all = Request::get("/");
        fleet.answers(&all, &[200, 200, 429]).await?;
        fleet.redis.stop()?;
        fleet.answers(&all, &[status; 4]).await?;
        fleet.redis.restart().await?;
        fleet.answers(&all, &[200, 200, 429]).await?;
    }
    Ok(())
}

fn seconds() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// Windows of ratelimit are those of the clock.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_window_begins_with_the_unit() -> Result<()> {
    let upstream = Upstream::start().await?;
    let applying = Applying::new(&bootstrap(&upstream)?, Format::Envoy, &[])?;
    let fleet = Fleet::start(applying, &[policy(2, "Second")]).await?;
    let mut whole = 0;
    let mut last = 0;
    for _ in 0..20 {
        let now = wait::until_async("the next second", PATIENCE, async || {
            let now = seconds()?;
            Ok((now != last).then_some(now))
        })
        .await?;
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(fleet.send(Request::get("/")).await?.status);
        }
        // A second may end meanwhile: then the next one has counted some of these, too.
        last = seconds()?;
        if last == now {
            ensure!(statuses == [200, 200, 429], "{statuses:?}");
            whole += 1;
        }
        if whole == 2 {
            return Ok(());
        }
    }
    bail!("three requests take longer than a second")
}

#[tokio::test(flavor = "multi_thread")]
async fn another_run_raises_the_limit_under_envoys_that_run() -> Result<()> {
    let upstream = Upstream::start().await?;
    for format in FORMATS {
        let fleet = fleet(&upstream, format, &[]).await?;
        let all = Request::get("/");
        fleet.answers(&all, &[200, 200, 429]).await?;
        fleet.limits_change(&[policy(5, "Year")]).await?;
        // Ratelimit has counted the one that was refused.
        let first = match format {
            Format::Envoy => 429,
            Format::Limitador => 200,
        };
        fleet.answers(&all, &[200, 200, first, 429]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_envoys_watch_get_limits_change_them_and_lose_them() -> Result<()> {
    for format in FORMATS {
        let watched = Watched::new(RoutesIn::Rds, ClustersIn::Cds).await?;
        let file = watched.path("limits.yaml");
        let config = file.display().to_string();
        let options = |service: &str| {
            let named = [
                ("--rate-limit-service", service),
                ("--rate-limit-config", &config),
                ("--rate-limit-format", format.name()),
                ("--rate-limit-timeout", "20s"),
            ];
            named.map(|(name, value)| format!("{name}={value}"))
        };
        let apply = |spec: Option<Value>, service: &str| {
            let options = options(service);
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            watched.applied(spec.as_ref(), &options).map(drop)
        };
        apply(Some(limit(9, "Year")), "127.0.0.1:1")?;
        let redis = Redis::start().await?;
        let service = RateLimitService::start(format, &file, &redis).await?;
        let address = service.address().to_string();
        watched.applied(None, &[])?;
        let envoys = [watched.start().await?, watched.start().await?];
        let statuses = async |path: &str, wanted: &[u16]| {
            for (envoy, status) in envoys.iter().cycle().zip(wanted) {
                let response = envoy.get(path).await?;
                ensure!(response.status == *status, "{wanted:?}: {response:?}");
            }
            Ok(())
        };
        statuses("/shop", &[200; 4]).await?;

        let first = || apply(Some(limit(0, "Year")), &address);
        service.reads_what("loaded", first).await?;
        for envoy in &envoys {
            wait::until_async("the limit", PATIENCE, async || {
                Ok((envoy.get("/shop").await?.status == 429).then_some(()))
            })
            .await?;
        }
        statuses("/cart", &[200; 4]).await?;
        let counted = redis.counted("shop").await?;
        ensure!((format == Format::Envoy) == (counted >= 2), "{counted}");

        let more = u32::try_from(counted)? + 3;
        let higher = || apply(Some(limit(more, "Year")), &address);
        service.reads_what("loaded", higher).await?;
        statuses("/shop", &[200, 200, 200, 429, 429]).await?;

        apply(None, &address)?;
        for envoy in &envoys {
            wait::until_async("no limit", PATIENCE, async || {
                Ok((envoy.get("/shop").await?.status == 200).then_some(()))
            })
            .await?;
        }
    }
    Ok(())
}
