//! `btp top` beside a real Envoy: it shows what clients have brought about, in either build.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use btp_tests::client::h1;
use btp_tests::series::labelled;
use btp_tests::{Build, Builder, Envoy, Route, Upstream, repo};
use serde_json::{Value, json};

/// Two requests an hour to `/limited`, a delay for `/slow`, and another page for a 404.
fn policies() -> Value {
    let at = |path: &str| json!([{"path": {"type": "PathPrefix", "value": path}}]);
    json!({"policies": [
        {"metadata": {"name": "limits.v1", "namespace": "shop"}, "spec": {
            "rateLimit": {"local": {"rules": [
                {"name": "per-hour", "clientSelectors": at("/limited"),
                    "limit": {"requests": 2, "unit": "Hour"}},
                {"name": "trial", "clientSelectors": at("/limited"), "shadowMode": true,
                    "limit": {"requests": 1, "unit": "Hour"}}]}},
            "faultInjection": {"delay": {"fixedDelay": "20ms"}, "match": at("/slow")},
            "responseOverride": [{"name": "not-found", "match": {"statusCodes": [{"type": "Value", "value": 404}]},
                "response": {"body": {"type": "Inline", "inline": "nothing here"}}}]}}]})
}

/// What these policies make of the load, by capability, rule and counter.
const EXPECTED: [(&str, Option<&str>, &str, u64); 6] = [
    ("rateLimit", Some("per-hour"), "admitted", 2),
    ("rateLimit", Some("per-hour"), "limited", 3),
    ("rateLimit", Some("trial"), "shadow_limited", 1),
    ("faultInjection", None, "fault_delays_injected", 2),
    ("responseOverride", None, "responses_overridden", 1),
    (
        "responseOverride",
        Some("not-found"),
        "responses_overridden",
        1,
    ),
];

async fn load(envoy: &Envoy) -> Result<()> {
    let mut statuses = Vec::new();
    for path in ["/limited"; 5]
        .iter()
        .chain(&["/slow"; 2])
        .chain(&["/status/404"])
    {
        statuses.push(h1::get(envoy.addr(), path).await?.status);
    }
    let wanted = [200, 200, 429, 429, 429, 200, 200, 404];
    ensure!(statuses == wanted, "{statuses:?}");
    Ok(())
}

async fn start() -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let bootstrap = Builder::new()
        .plugin(&policies())
        .concurrency(2)
        .route(Route::cluster("/", "backend").named("all"))
        .cluster("backend", upstream.addr());
    // Labels for Prometheus do not change the names that are asked for.
    let bootstrap = labelled(bootstrap.build()?)?;
    let envoy = Envoy::start(&bootstrap).await?;
    Ok((envoy, upstream))
}

fn top(envoy: &Envoy, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(repo::cli()?);
    let admin = envoy.admin_addr().to_string();
    command.args(["top", "--admin", &admin]).args(arguments);
    Ok(command)
}

/// The counter of a rule in an object; none if it is not there.
fn counter<'a>(object: &'a Value, expected: &(&str, Option<&str>, &str, u64)) -> Option<&'a Value> {
    let (capability, rule, what, _) = expected;
    let mut rules = object["rules"].as_array()?.iter();
    let row = rules.find(|it| {
        it["policy"] == "shop/limits.v1"
            && it["capability"] == *capability
            && it["rule"] == json!(rule)
    })?;
    row["counters"].get(what)
}

fn totals(object: &Value) -> Vec<u64> {
    let counters = EXPECTED.iter().map(|it| counter(object, it));
    counters
        .map(|it| it.map_or(0, |it| it["total"].as_u64().unwrap_or(0)))
        .collect()
}

/// Ends with the test.
struct Stream(Child);

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_and_totals_are_what_clients_have_brought_about() -> Result<()> {
    let (envoy, _upstream) = start().await?;
    let mut command = top(&envoy, &["--format", "json", "--interval", "300ms"])?;
    let mut stream = Stream(command.stdout(Stdio::piped()).spawn()?);
    let mut lines = BufReader::new(stream.0.stdout.take().context("is piped")?).lines();
    let mut next = || -> Result<Value> {
        let line = tokio::task::block_in_place(|| lines.next());
        Ok(serde_json::from_str(&line.context("it has ended")??)?)
    };
    let before = next()?;
    ensure!(totals(&before).iter().all(|it| *it == 0), "{before:#}");
    load(&envoy).await?;
    let wanted: Vec<u64> = EXPECTED.iter().map(|it| it.3).collect();
    let mut gained = vec![0.0; EXPECTED.len()];
    for _ in 0..200 {
        let object = next()?;
        let seconds = object["seconds"].as_f64().context("no time")?;
        for (sum, expected) in gained.iter_mut().zip(&EXPECTED) {
            let rate = counter(&object, expected).and_then(|it| it["perSecond"].as_f64());
            *sum += rate.unwrap_or(0.0) * seconds;
        }
        if totals(&object) == wanted {
            for (gained, wanted) in gained.iter().zip(&EXPECTED) {
                // Of what was counted in Envoy nothing is lost, and nothing is shown twice.
                ensure!(
                    gained.round() == f64::from(u32::try_from(wanted.3)?),
                    "{gained} {wanted:?}"
                );
            }
            return Ok(());
        }
    }
    anyhow::bail!("it never shows {wanted:?}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_and_an_object_of_now_have_the_rules() -> Result<()> {
    let (envoy, _upstream) = start().await?;
    load(&envoy).await?;
    let run = |arguments: &[&str]| -> Result<String> {
        let output =
            tokio::task::block_in_place(|| top(&envoy, arguments)?.output().context("btp"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success() && said.is_empty(), "{said}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let object = run(&["--once", "--format", "json", "--interval", "500ms"])?;
    let object: Value = serde_json::from_str(&object)?;
    let wanted: Vec<u64> = EXPECTED.iter().map(|it| it.3).collect();
    ensure!(totals(&object) == wanted, "{object:#}");
    let build = match Build::under_test()? {
        Build::Wasm => "Wasm",
        Build::Module => "Module",
    };
    ensure!(object["filter"]["builds"] == json!([build]), "{object:#}");
    ensure!(object["filter"]["policies"] == "InForce", "{object:#}");
    ensure!(object["envoy"]["workers"] == 2, "{object:#}");

    let table = run(&["--once", "--totals", "--interval", "500ms"])?;
    ensure!(
        table.contains("policies are in force on all 2 workers"),
        "{table}"
    );
    let line = table
        .lines()
        .find(|it| it.contains("per-hour"))
        .context("no rule")?;
    let cells: Vec<&str> = line.split_whitespace().take(5).collect();
    ensure!(
        cells == ["shop/limits.v1", "rateLimit", "per-hour", "2", "3"],
        "{table}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_that_are_set_to_zero_have_no_negative_rates() -> Result<()> {
    let (envoy, _upstream) = start().await?;
    load(&envoy).await?;
    let mut command = top(&envoy, &["--format", "json", "--interval", "300ms"])?;
    let mut stream = Stream(command.stdout(Stdio::piped()).spawn()?);
    let mut lines = BufReader::new(stream.0.stdout.take().context("is piped")?).lines();
    let mut is_reset = false;
    for round in 0..100 {
        let line = tokio::task::block_in_place(|| lines.next()).context("it has ended")??;
        let object: Value = serde_json::from_str(&line)?;
        for expected in &EXPECTED {
            let rate = counter(&object, expected).and_then(|it| it["perSecond"].as_f64());
            ensure!(rate.unwrap_or(0.0) >= 0.0, "{object:#}");
        }
        is_reset |= object["reset"] == true;
        ensure!(object["restarted"] == false, "{object:#}");
        if is_reset {
            return Ok(());
        }
        if round == 1 {
            envoy.admin_post("/reset_counters").await?;
        }
    }
    anyhow::bail!("it does not say so")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_without_the_filter_is_told_from_one_with_it() -> Result<()> {
    let upstream = Upstream::start().await?;
    let bootstrap = Builder::new()
        .route(Route::cluster("/", "backend").named("all"))
        .cluster("backend", upstream.addr());
    let envoy = Envoy::start(&bootstrap.build()?).await?;
    let output = top(&envoy, &["--once", "--interval", "100ms"])?.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2), "{said}");
    ensure!(
        said.contains("no BackendTrafficPolicy filter has counted anything yet"),
        "{said}"
    );
    Ok(())
}
