//! Conditions on Envoy's dynamic metadata, on the real Envoy: claims of a
//! token; text, numbers, booleans, what is nested, what is not there; in front
//! of the router and behind it.

use anyhow::{Result, ensure};
use btp_tests::bootstrap::{cluster, wasm_filter};
use btp_tests::client::h1;
use btp_tests::{Builder, Envoy, Request, Route, Upstream};
use serde_json::{Value, json};

/// What some filter notes of a user.
const NOTES: &str = r#"
function envoy_on_request(handle)
  local user = handle:headers():get("user")
  if user == nil then return end
  local notes = handle:streamInfo():dynamicMetadata()
  notes:set("auth", "claims", {
    sub = user, tier = "gold", level = 3, score = 2.5, admin = false,
    groups = {"staff", "ops"}, ["a.b"] = {c = "deep"}, empty = "",
  })
end
"#;

fn notes() -> Value {
    json!({"name": "lua", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": NOTES}}})
}

fn plugin(spec: &Value) -> Value {
    json!({"policies": [{"metadata": {"name": "p"}, "spec": spec}]})
}

/// Envoy with a filter in front of ours.
async fn start(before: Value, local: &Value) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let mut bootstrap = Builder::new()
        .plugin(&plugin(&json!({"rateLimit": {"local": local}})))
        .route(Route::cluster("/", "backend").named("all"))
        .cluster("backend", upstream.addr())
        .build()?;
    bootstrap.edit_http("main", |http| {
        if let Some(filters) = http["http_filters"].as_array_mut() {
            filters.insert(0, before);
        }
    })?;
    Ok((Envoy::start(&bootstrap).await?, upstream))
}

fn user(name: &str) -> Request {
    Request::get("/").header("user", name)
}

/// Whether a rule with this condition counts a request with notes, and one
/// without.
async fn counts(mut condition: Value) -> Result<(bool, bool)> {
    condition["namespace"] = "auth".into();
    let local = json!({"rules": [{
        "clientSelectors": [{"metadata": [condition]}],
        "limit": {"requests": 0, "unit": "Hour"}}]});
    let (envoy, _upstream) = start(notes(), &local).await?;
    let noted = h1::send(envoy.addr(), user("ada")).await?;
    let plain = h1::get(envoy.addr(), "/").await?;
    envoy.assert_vm_alive().await?;
    Ok((noted.status == 429, plain.status == 429))
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_compared_as_what_they_are() -> Result<()> {
    let claim = |keys: &[&str], value: Value| {
        let path: Vec<&str> = ["claims"].iter().chain(keys).copied().collect();
        json!({"path": path, "value": value})
    };
    for (condition, noted) in [
        (claim(&["tier"], "gold".into()), true),
        (claim(&["tier"], "silver".into()), false),
        (claim(&["level"], 3.into()), true),
        (claim(&["level"], 4.into()), false),
        (claim(&["level"], "3".into()), false),
        (claim(&["score"], json!(2.5)), true),
        (claim(&["admin"], false.into()), true),
        (claim(&["admin"], true.into()), false),
        (claim(&["groups", "1"], "ops".into()), true),
        (claim(&["a.b", "c"], "deep".into()), true),
        (claim(&["a", "b"], "deep".into()), false),
        (claim(&["tier", "gold"], "gold".into()), false),
    ] {
        let found = counts(condition.clone()).await?;
        ensure!(found == (noted, false), "{condition}: {found:?}");
    }
    let mut inverted = claim(&["tier"], "gold".into());
    inverted["invert"] = true.into();
    ensure!(counts(inverted).await? == (false, true));
    let distinct = |key: &str| json!({"path": ["claims", key], "type": "Distinct"});
    ensure!(counts(distinct("sub")).await? == (true, false));
    // What is empty is as good as not there.
    ensure!(counts(distinct("empty")).await? == (false, false));
    Ok(())
}

/// Envoy gives the fields of a struct in another order each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_struct_and_a_list_are_the_same_value_each_time() -> Result<()> {
    for keys in [&["claims"][..], &["claims", "a.b"], &["claims", "groups"]] {
        let whole = json!({"namespace": "auth", "path": keys, "type": "Distinct"});
        let local = json!({"rules": [{
            "clientSelectors": [{"metadata": [whole]}],
            "limit": {"requests": 1, "unit": "Hour"}}]});
        let (envoy, _upstream) = start(notes(), &local).await?;
        for name in ["ada", "bob"] {
            let mut passed = 0;
            for _ in 0..10 {
                let status = h1::send(envoy.addr(), user(name)).await?.status;
                passed += usize::from(status == 200);
            }
            // Only what is told of a user as a whole tells users apart.
            let fresh = name == "ada" || keys.len() == 1;
            ensure!(passed == usize::from(fresh), "{keys:?} {name}: {passed}");
        }
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

/// The configuration of the reference page: claims of a token.
#[tokio::test(flavor = "multi_thread")]
async fn each_subject_of_a_token_has_a_bucket_of_its_own() -> Result<()> {
    const KEY: &str = "YSBrZXkgdGhhdCBvbmx5IHRoaXMgdGVzdCBrbm93cy4u";
    const HEAD: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InRlc3QifQ";
    const ADA: &str = "eyJpc3MiOiJ0ZXN0Iiwic3ViIjoiYWRhIiwicGxhbiI6eyJ0aWVyIjoiZ29sZCJ9LCJleHAiOj\
                       QxMDI0NDQ4MDB9.CVwATVBUihvWO67wZr471ySE8BfqYA0UCtjlR-U-YrA";
    const BOB: &str = "eyJpc3MiOiJ0ZXN0Iiwic3ViIjoiYm9iIiwicGxhbiI6eyJ0aWVyIjoiZnJlZSJ9LCJleHAiOj\
                       QxMDI0NDQ4MDB9.SwkF5DVLXwuOs_QPAAaCtlbhkIE_b886knohpHu22To";
    let keys = json!({"keys": [{"kty": "oct", "alg": "HS256", "kid": "test", "k": KEY}]});
    let authn = json!({"name": "envoy.filters.http.jwt_authn", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"tokens": {
            "issuer": "test",
            "payload_in_metadata": "claims",
            "local_jwks": {"inline_string": keys.to_string()}}},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "tokens"}}]}});
    let at = |keys: &[&str]| {
        let path: Vec<&str> = ["claims"].iter().chain(keys).copied().collect();
        json!({"namespace": "envoy.filters.http.jwt_authn", "path": path})
    };
    let (mut subject, mut tier) = (at(&["sub"]), at(&["plan", "tier"]));
    subject["type"] = "Distinct".into();
    tier["value"] = "free".into();
    let local = json!({"rules": [
        {"clientSelectors": [{"metadata": [subject]}], "limit": {"requests": 4, "unit": "Hour"}},
        {"clientSelectors": [{"metadata": [tier]}], "limit": {"requests": 2, "unit": "Hour"}}]});
    let (envoy, _upstream) = start(authn, &local).await?;
    for (token, passes) in [(ADA, 4), (BOB, 2)] {
        let bearer = format!("Bearer {HEAD}.{token}");
        let mut passed = 0;
        for _ in 0..6 {
            let request = Request::get("/").header("authorization", &bearer);
            let status = h1::send(envoy.addr(), request).await?.status;
            ensure!(matches!(status, 200 | 429), "{status}");
            passed += usize::from(status == 200);
        }
        ensure!(passed == passes, "{passed} of {passes}");
    }
    envoy.assert_vm_alive().await
}

/// Faults behind the router know what filters in front of it have noted.
#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_position_sees_it_too() -> Result<()> {
    let fault = |condition: Value| {
        json!({"faultInjection": {
            "position": "Upstream",
            "match": [{"metadata": [condition]}],
            "abort": {"httpStatus": 418}}})
    };
    let spec = fault(json!({"namespace": "auth", "path": ["claims", "sub"], "value": "ada"}));
    let upstream = Upstream::start().await?;
    let mut upstream_plugin = plugin(&spec);
    upstream_plugin["position"] = "Upstream".into();
    let mut backend = cluster("backend", upstream.addr());
    let options = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let codec = "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec";
    backend["typed_extension_protocol_options"] = json!({
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": options,
        "explicit_http_config": {"http_protocol_options": {}},
        "http_filters": [
            wasm_filter(&upstream_plugin, false)?,
            {"name": "envoy.filters.http.upstream_codec", "typed_config": {"@type": codec}},
        ]}});
    let bootstrap = Builder::new()
        .http_filter(notes())
        .route(Route::cluster("/", "backend").named("all"))
        .raw_cluster(backend)
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    for (request, status) in [
        (user("ada"), 418),
        (user("bob"), 200),
        (Request::get("/"), 200),
    ] {
        let response = h1::send(envoy.addr(), request).await?;
        ensure!(response.status == status, "{response:?}");
    }
    envoy.assert_vm_alive().await
}
