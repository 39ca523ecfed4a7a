//! What each instance of the filter costs: the same policy on a proxied request
//! with one instance behind `cors`, with two around it as `btp apply` places
//! them, and with a third behind the router.

use anyhow::{Result, ensure};
use btp_tests::measure::{cpu_micros, per_request, turns};
use btp_tests::{Bootstrap, Builder, Envoy, Route, Upstream};
use serde_json::{Value, json};

use crate::clients::{CONNECTIONS, load};
use crate::output::Output;
use crate::setup::Setup;

/// Fewer than elsewhere: a request that is proxied takes its time.
const ROUNDS: usize = 8;
const REQUESTS_PER_CONNECTION: usize = 250;

struct Variant {
    name: &'static str,
    /// Instances among `http_filters`, and behind the router.
    instances: (usize, usize),
    envoy: Envoy,
    /// Of each load, on each connection.
    requests: usize,
    micros: Vec<f64>,
}

/// Measures all variants in turns.
pub(crate) async fn run(setup: &Setup, output: &Output) -> Result<()> {
    let requests = setup.amount(REQUESTS_PER_CONNECTION, 20);
    let start = async |name, config: &Bootstrap| start(name, config, requests).await;
    let upstream = Upstream::start().await?;
    let config = Builder::new()
        .http_filter(json!({"name": "cors", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"}}))
        .cluster("backend", upstream.addr())
        .route(Route::cluster("/", "backend").named("r"))
        .build()?;
    let [policy, with_retries] = policies();
    let behind_cors: &[&str] = &["--faults-behind", "cors", "--limits-behind", "cors"];
    let mut variants = [
        start("no filter (control)", &config).await?,
        start("one instance", &config.applied(&policy, behind_cors)?.0).await?,
        start("two instances", &config.applied(&policy, &[])?.0).await?,
        start(
            "two instances and one behind the router, with `retry` and `retryConstraint`",
            &config.applied(&with_retries, &[])?.0,
        )
        .await?,
    ];
    let found: Vec<_> = variants.iter().map(|it| it.instances).collect();
    ensure!(found == [(0, 0), (1, 0), (2, 0), (2, 1)], "{found:?}");
    for round in 0..setup.rounds(ROUNDS) {
        for index in turns(variants.len(), round) {
            let measured = variants[index].round().await?;
            variants[index].micros.push(measured);
            upstream.clear();
        }
    }
    let rounds = variants.iter().map(|it| (it.name, it.micros.as_slice()));
    let (table, raw) = per_request(&rounds.collect::<Vec<_>>());
    for variant in variants {
        variant.envoy.stop();
    }
    output.table("instances", &table)?;
    output.file("instances.csv", &raw)
}

impl Variant {
    async fn round(&self) -> Result<f64> {
        let before = cpu_micros(&self.envoy)?;
        load(&self.envoy, self.requests).await?;
        let requests = (CONNECTIONS * self.requests) as f64;
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

async fn start(name: &'static str, config: &Bootstrap, requests: usize) -> Result<Variant> {
    let envoy = Envoy::start(config).await?;
    load(&envoy, requests).await?;
    Ok(Variant {
        name,
        instances: instances(config.config()),
        envoy,
        requests,
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
