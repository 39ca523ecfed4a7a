//! Memory that the module takes for a request: none where no policy governs, little
//! where policies apply and none fires. Counted in the module itself, by a copy that is
//! built with the shipped one's profile and counts.

use anyhow::{Context, Result, ensure};
use btp_tests::client::h1;
use btp_tests::module::filter;
use btp_tests::{Builder, Envoy, Request, Route, Upstream, repo};
use serde_json::{Value, json};

/// Requests until everything that is kept is there.
const WARM_UP: u64 = 1000;
const COUNTED: u64 = 200;

/// Each capability, none of which has a reason to act.
fn quiet() -> Value {
    json!({
        "faultInjection": {"abort": {"httpStatus": 418, "percentage": 0}},
        "rateLimit": {"local": {"rules": [
            {"limit": {"requests": 1_000_000, "unit": "Second"}},
            {"clientSelectors": [{"headers": [{"name": "x-none", "value": "x"}]}],
             "limit": {"requests": 1, "unit": "Hour"}}]}},
        "requestBuffer": {"limit": "1Mi"},
        "responseOverride": [{"match": {"statusCodes": [{"value": 599}]},
            "response": {"statusCode": 503}}],
    })
}

fn target(name: &str) -> Value {
    json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name}])
}

/// The allocations for a request to this path, under a policy of the route `shop`.
async fn allocations(path: &str) -> Result<f64> {
    let mut spec = quiet();
    spec["targetRefs"] = target("shop");
    let plugin = json!({"policies": [{"metadata": {"name": "p"}, "spec": spec}]});
    let upstream = Upstream::start().await?;
    let bootstrap = Builder::new()
        .concurrency(1)
        .http_filter(filter(&repo::planted_module()?, &plugin.to_string()))
        .route(Route::cluster("/shop", "backend").named("shop"))
        .route(Route::cluster("/", "backend").named("other"))
        .cluster("backend", upstream.addr())
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    let client = &mut h1::Connection::open(envoy.addr()).await?;
    for _ in 0..WARM_UP {
        ensure!(client.send(Request::get(path)).await?.status == 200);
    }
    // To ask has to be warm, too.
    so_far(client).await?;
    let first = so_far(client).await?;
    let second = so_far(client).await?;
    for _ in 0..COUNTED {
        ensure!(client.send(Request::get(path)).await?.status == 200);
    }
    let last = so_far(client).await?;
    // Less what asking itself takes.
    let counted = (last - second).checked_sub(second - first);
    #[expect(clippy::cast_precision_loss, reason = "they are few")]
    let counted = counted.context("asking takes more than a request")? as f64;
    #[expect(clippy::cast_precision_loss, reason = "they are few")]
    Ok(counted / COUNTED as f64)
}

/// All allocations of the worker.
async fn so_far(client: &mut h1::Connection) -> Result<u64> {
    let asked = Request::get("/").header("x-planted", "allocations");
    let text = client.send(asked).await?.text();
    text.parse()
        .with_context(|| format!("{text:?} is no count"))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_allocated_for_a_request_that_no_policy_governs() -> Result<()> {
    let count = allocations("/other").await?;
    ensure!(count == 0.0, "{count} allocations");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_that_do_not_fire_allocate_at_most_twice() -> Result<()> {
    let count = allocations("/shop").await?;
    ensure!(count > 0.0, "no policy has governed it");
    ensure!(count <= 2.0, "{count} allocations");
    Ok(())
}
