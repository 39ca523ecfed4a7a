//! What each instance of the filter costs: the same policy on a proxied request
//! with one instance behind `cors`, with two around it as `btp apply` places
//! them, and with a third behind the router.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use btp_tests::measure::{cpu_micros, median, turns};
use btp_tests::{Bootstrap, Builder, Envoy, Route, Upstream, repo};
use serde_json::{Value, json};

use crate::{CONNECTIONS, load_of};

/// Fewer than elsewhere: a request that is proxied takes its time.
const ROUNDS: usize = 8;
const REQUESTS_PER_CONNECTION: usize = 250;

/// A measured table for the page, and the raw numbers.
pub(crate) struct Instances {
    pub(crate) table: String,
    pub(crate) raw: String,
}

struct Variant {
    name: &'static str,
    /// Instances among `http_filters`, and behind the router.
    instances: (usize, usize),
    envoy: Envoy,
    micros: Vec<f64>,
}

/// Measures all variants in turns.
pub(crate) async fn measure() -> Result<Instances> {
    let upstream = Upstream::start().await?;
    let config = Builder::new()
        .http_filter(json!({"name": "cors", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"}}))
        .cluster("backend", upstream.addr())
        .route(Route::cluster("/", "backend").named("r"))
        .build()?;
    let [policy, with_retries] = policies();
    let behind_cors: &[&str] = &["--faults-behind", "cors", "--limits-behind", "cors"];
    let mut variants = vec![
        start("no filter (control)", &config).await?,
        start("one instance", &apply(&config, &policy, behind_cors)?).await?,
        start("two instances", &apply(&config, &policy, &[])?).await?,
        start(
            "two instances and one behind the router, with `retry` and `retryConstraint`",
            &apply(&config, &with_retries, &[])?,
        )
        .await?,
    ];
    let found: Vec<_> = variants.iter().map(|it| it.instances).collect();
    ensure!(found == [(0, 0), (1, 0), (2, 0), (2, 1)], "{found:?}");
    for round in 0..ROUNDS {
        for index in turns(variants.len(), round) {
            let measured = variants[index].round().await?;
            variants[index].micros.push(measured);
            upstream.clear();
        }
    }
    report(&variants)
}

impl Variant {
    async fn round(&self) -> Result<f64> {
        let before = cpu_micros(&self.envoy)?;
        load_of(&self.envoy, REQUESTS_PER_CONNECTION).await?;
        let requests = (CONNECTIONS * REQUESTS_PER_CONNECTION) as f64;
        Ok((cpu_micros(&self.envoy)? - before) / requests)
    }
}

/// Faults and overrides that do not fire and a limit that refuses nobody; the
/// same with a retry budget.
fn policies() -> [Value; 2] {
    let spec = json!({
        "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "r"}],
        "faultInjection": {"abort": {"httpStatus": 500, "percentage": 0.0001}},
        "responseOverride": [{"match": {"statusCodes": [{"value": 404}]}, "response": {}}],
        "rateLimit": {"local": {"rules": [
            {"limit": {"requests": 4_294_967_295_u32, "unit": "Second"}}]}}});
    let mut with_retries = spec.clone();
    with_retries["retry"] = json!({"numRetries": 1, "retryOn": {"triggers": ["5xx"]}});
    with_retries["retryConstraint"] = json!({"budget": {"percent": 20, "interval": "10s"}});
    [spec, with_retries].map(|spec| {
        json!({"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "BackendTrafficPolicy",
               "metadata": {"name": "p"}, "spec": spec})
    })
}

fn apply(config: &Bootstrap, policy: &Value, options: &[&str]) -> Result<Bootstrap> {
    let folder = tempfile::tempdir()?;
    fs::write(
        folder.path().join("envoy.json"),
        config.config().to_string(),
    )?;
    fs::write(folder.path().join("policy.json"), policy.to_string())?;
    let output = Command::new(repo::cli()?)
        .args(["apply", "--bootstrap", "envoy.json", "-f", "policy.json"])
        .args(["-o", "out.json"])
        .args(options)
        .current_dir(folder.path())
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Bootstrap::load(folder.path().join("out.json"))
}

async fn start(name: &'static str, config: &Bootstrap) -> Result<Variant> {
    let envoy = Envoy::start(config).await?;
    load_of(&envoy, REQUESTS_PER_CONNECTION).await?;
    Ok(Variant {
        name,
        instances: instances(config.config()),
        envoy,
        micros: Vec::new(),
    })
}

fn instances(config: &Value) -> (usize, usize) {
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let filters = &config.pointer(manager).unwrap_or(&Value::Null)["http_filters"];
    let router = filters.as_array().and_then(|it| it.last());
    let upstream = router.map(|it| &it["typed_config"]["upstream_http_filters"]);
    (ours(filters), upstream.map_or(0, ours))
}

/// How many of these filters are wasm.
fn ours(filters: &Value) -> usize {
    let filters = filters.as_array().into_iter().flatten();
    let types = filters.filter_map(|it| it["typed_config"]["@type"].as_str());
    types.filter(|it| it.ends_with(".Wasm")).count()
}

fn report(variants: &[Variant]) -> Result<Instances> {
    let control = variants.first().context("no control")?;
    let mut table = "| | CPU per request, ratio to the control | median of the differences |\n\
                     |---|---|---|\n"
        .to_owned();
    let mut raw = "variant,round,cpu_us_per_request\n".to_owned();
    for variant in variants {
        let pairs = || variant.micros.iter().zip(&control.micros);
        let ratio = median(pairs().map(|(own, control)| own / control).collect());
        let added = median(pairs().map(|(own, control)| own - control).collect());
        writeln!(table, "| {} | {ratio:.2} | {added:+.1} µs |", variant.name)?;
        for (round, value) in variant.micros.iter().enumerate() {
            let name = variant.name.replace(',', "");
            writeln!(raw, "{name},{round},{value:.2}")?;
        }
    }
    Ok(Instances { table, raw })
}
