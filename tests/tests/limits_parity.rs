//! Local rate limits beside Envoy's own filter, and what a row of a scenario
//! table cannot say of them: addresses, inheritance, many routes, metrics.

use anyhow::{Result, ensure};
use btp_tests::client::{grpc, h1};
use btp_tests::{Builder, Envoy, Request, Response, Route, Upstream};
use serde_json::{Value, json};

fn policy(local: &Value) -> Value {
    json!({"policies": [{"metadata": {"name": "p"}, "spec": {"rateLimit": {"local": local}}}]})
}

async fn start(builder: Builder) -> Result<(Envoy, Upstream)> {
    start_with(builder, |_| ()).await
}

async fn start_with(builder: Builder, edit: impl FnOnce(&mut Value)) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let mut bootstrap = builder
        .route(Route::cluster("/", "backend").named("all"))
        .cluster("backend", upstream.addr())
        .build()?;
    bootstrap.edit_http("main", edit)?;
    Ok((Envoy::start(&bootstrap).await?, upstream))
}

async fn stat(envoy: &Envoy, name: &str) -> Result<u64> {
    let name = format!("wasmcustom.btp.default.p.rate_limit.{name}");
    Ok(envoy.stat(&name).await?.unwrap_or(0))
}

/// Envoy's filter with the settings that Envoy Gateway gives it.
fn native(tokens: u32) -> Value {
    json!({
        "name": "envoy.filters.http.local_ratelimit",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "native",
            "token_bucket": {"max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": "3600s"},
            "filter_enabled": {"default_value": {"numerator": 100}},
            "filter_enforced": {"default_value": {"numerator": 100}},
            "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        },
    })
}

/// What a client sees of a limit, but for the seconds that pass meanwhile.
fn seen(response: &Response) -> Vec<String> {
    let mut seen = vec![response.status.to_string(), response.text()];
    for name in [
        "content-type",
        "content-length",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
    ] {
        seen.push(format!("{name}: {:?}", response.header(name)));
    }
    let reset = response.header("x-ratelimit-reset");
    seen.push(format!(
        "resets later: {:?}",
        reset.map(|reset| reset != "0")
    ));
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_see_what_envoys_own_filter_shows() -> Result<()> {
    let local = json!({"rules": [{"limit": {"requests": 2, "unit": "Hour"}}]});
    let (ours, _upstream) = start(Builder::new().plugin(&policy(&local))).await?;
    let (theirs, _other) = start(Builder::new().http_filter(native(2))).await?;
    for turn in 1..=3 {
        let (our, their) = (ours.get("/x").await?, theirs.get("/x").await?);
        ensure!(seen(&our) == seen(&their), "{turn}: {our:?}\n{their:?}");
    }
    let call = || grpc::request("/svc/method", b"x");
    let our = grpc::send(ours.addr(), call()).await?;
    let their = grpc::send(theirs.addr(), call()).await?;
    let told = |it: &grpc::GrpcReply| (it.status, it.grpc_status, it.grpc_message.clone());
    ensure!(told(&our) == told(&their), "{our:?}\n{their:?}");
    ensure!(told(&our).1 == Some(14));
    Ok(())
}

/// The address that counts is the one Envoy trusts, of either family.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_the_clients_own_address_counts() -> Result<()> {
    let rule = |source: Value| json!({"clientSelectors": [{"sourceCIDR": source}], "limit": {"requests": 1, "unit": "Hour"}});
    let never = |path: &str, source: Value| {
        json!({"clientSelectors": [{"path": {"value": path}}, {"sourceCIDR": source}],
               "limit": {"requests": 0, "unit": "Hour"}})
    };
    let local = json!({"rules": [
        rule(json!({"type": "Distinct", "value": "203.0.113.0/24"})),
        rule(json!({"type": "Distinct", "value": "2001:db8::/32"})),
        rule(json!({"value": "198.51.100.0/24"})),
        never("/office", json!({"value": "2001:db8:0ff1::/48", "invert": true})),
    ]});
    let (envoy, _upstream) = start_with(Builder::new().plugin(&policy(&local)), |http| {
        http["use_remote_address"] = true.into();
        http["xff_num_trusted_hops"] = 1.into();
    })
    .await?;
    for (path, forwarded, status) in [
        ("/", "203.0.113.7", 200),
        ("/", "203.0.113.7", 429),
        // What the client claims counts for nothing: the last is our proxy's word.
        ("/", "192.0.2.1, 203.0.113.7", 429),
        ("/", "203.0.113.8", 200),
        ("/", "2001:db8::7", 200),
        ("/", "2001:db8:0:0::7", 429),
        ("/", "2001:db8::8", 200),
        ("/", "198.51.100.1", 200),
        ("/", "198.51.100.2", 429),
        ("/", "192.0.2.9", 200),
        ("/", "192.0.2.9", 200),
        ("/office", "192.0.2.9", 429),
        ("/office", "2001:db8:ff1:1::2", 200),
    ] {
        let request = Request::get(path).header("x-forwarded-for", forwarded);
        let response = envoy.send(request).await?;
        ensure!(
            response.status == status,
            "{path} {forwarded}: {response:?}"
        );
    }
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_opts_out_of_a_limit_that_it_inherits() -> Result<()> {
    let target = |kind: &str, name: &str| json!([{"group": "gateway.networking.k8s.io", "kind": kind, "name": name}]);
    let child = |name: &str, local: Value| {
        json!({"metadata": {"name": name}, "spec": {
            "targetRefs": target("HTTPRoute", name), "mergeType": "StrategicMerge",
            "rateLimit": {"local": local}}})
    };
    let plugin = json!({"policies": [
        {"metadata": {"name": "p"}, "spec": {
            "targetRefs": target("Gateway", "eg"),
            "rateLimit": {"local": {"rules": [{"limit": {"requests": 1, "unit": "Hour"}}]}}}},
        child("out", json!({"disabled": true})),
        child("in", json!({"retryAfter": false})),
    ]});
    let named = |name: &str| Route::cluster(&format!("/{name}/"), "backend").named(name);
    let builder = Builder::new()
        .plugin(&plugin)
        .route(named("out"))
        .route(named("in"));
    let (envoy, _upstream) = start(builder).await?;
    for (path, then) in [("/out/", 200), ("/in/", 429), ("/other/", 429)] {
        ensure!(envoy.get(path).await?.status == 200, "{path}");
        let response = envoy.get(path).await?;
        ensure!(response.status == then, "{path}: {response:?}");
        let told = response.header("retry-after").is_some();
        ensure!(told == (path == "/other/"), "{path}: {response:?}");
    }
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_beyond_the_bound_share_a_bucket_which_is_counted() -> Result<()> {
    const ROUTES: usize = 300;
    let local = json!({"rules": [{"limit": {"requests": 1, "unit": "Hour"}}]});
    let mut builder = Builder::new().plugin(&policy(&local));
    for route in 0..ROUTES {
        let prefix = format!("/r{route}/");
        builder =
            builder.route(Route::cluster(&prefix, "backend").named(&prefix[1..prefix.len() - 1]));
    }
    let (envoy, upstream) = start(builder).await?;
    let mut connection = h1::Connection::open(envoy.addr()).await?;
    for turn in 0..2 * ROUTES {
        let path = format!("/r{}/", turn % ROUTES);
        let status = connection.send(Request::get(&path)).await?.status;
        ensure!(matches!(status, 200 | 429), "{status}");
    }
    let passed = upstream.requests().len();
    ensure!(passed == 256 + 1, "{passed}");
    ensure!(stat(&envoy, "rule-af63bd4c.overflows").await? > 0);
    let said = envoy.log().matches("than there is room for").count();
    ensure!(said == 1, "said {said} times");
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_rule_is_counted_apart() -> Result<()> {
    let local = json!({"rules": [
        {"name": "shadow", "shadowMode": true, "limit": {"requests": 2, "unit": "Hour"},
         "clientSelectors": [{"headers": [{"name": "x-a", "value": "1,2"}]}]}]});
    let (envoy, _upstream) = start(Builder::new().plugin(&policy(&local))).await?;
    for _ in 0..5 {
        // Values that come one by one count as one.
        let request = Request::get("/").header("x-a", "1").header("x-a", "2");
        let response = envoy.send(request).await?;
        ensure!(response.status == 200, "{response:?}");
        ensure!(
            response.header("x-ratelimit-limit").is_none(),
            "{response:?}"
        );
    }
    ensure!(stat(&envoy, "shadow.admitted").await? == 2);
    ensure!(stat(&envoy, "shadow.shadow_limited").await? == 3);
    ensure!(stat(&envoy, "shadow.limited").await? == 0);
    envoy.assert_vm_alive().await
}

/// Several windows at once: the same clients, one fast and one slow limit.
#[tokio::test(flavor = "multi_thread")]
async fn two_windows_count_the_same_clients() -> Result<()> {
    let rule = |name: &str, requests: u32, unit: &str| {
        json!({"name": name, "limit": {"requests": requests, "unit": unit},
               "clientSelectors": [{"headers": [{"name": "id", "type": "Distinct"}]}]})
    };
    let local = json!({"rules": [rule("fast", 2, "Minute"), rule("slow", 9, "Day")]});
    let (envoy, _upstream) = start(Builder::new().plugin(&policy(&local))).await?;
    let mut last = None;
    for (turn, status) in [200, 200, 429].into_iter().enumerate() {
        let response = envoy.send(Request::get("/").header("id", "a")).await?;
        ensure!(response.status == status, "{turn}: {response:?}");
        last = Some(response);
    }
    // The one that refuses speaks, and the slow one has paid two only.
    let refused = last.and_then(|it| it.header("x-ratelimit-limit"));
    ensure!(refused.as_deref() == Some("2"), "{refused:?}");
    ensure!(stat(&envoy, "slow.admitted").await? == 2);
    ensure!(stat(&envoy, "fast.limited").await? == 1);
    envoy.assert_vm_alive().await
}

/// Envoy can make one path of its many spellings; the filter does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_compared_as_envoy_hands_it_on() -> Result<()> {
    let local = json!({"rules": [{
        "clientSelectors": [{"path": {"value": "/login"}}],
        "limit": {"requests": 0, "unit": "Hour"}}]});
    for (normalizes, status) in [(false, 200), (true, 429)] {
        let builder = Builder::new().plugin(&policy(&local));
        let (envoy, _upstream) = start_with(builder, |http| {
            if normalizes {
                http["normalize_path"] = true.into();
                http["merge_slashes"] = true.into();
                http["path_with_escaped_slashes_action"] = "UNESCAPE_AND_FORWARD".into();
            }
        })
        .await?;
        for path in ["//login", "/./login", "/a/../login", "/%6Cogin"] {
            let got = envoy.get(path).await?.status;
            ensure!(got == status, "{path}: {got}, {normalizes}");
        }
        ensure!(envoy.get("/login").await?.status == 429);
    }
    Ok(())
}
