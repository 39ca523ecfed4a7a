//! Metadata as the module reads it: flat on routes, values of each kind under a
//! namespace's key, deeper ones from the filter state; and what the log says when it is
//! written in another way. tests/metadata.rs and tests/attachment.rs run on both builds.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::module;
use btp_tests::{Builder, Envoy, Request, Route, Upstream, repo};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(10);

fn filter(plugin: &Value) -> Result<Value> {
    Ok(module::filter(&repo::module()?, &plugin.to_string()))
}

/// A policy that refuses with this status.
fn refusing(name: &str, status: u16, target: Value) -> Value {
    let mut spec = json!({"faultInjection": {"abort": {"httpStatus": status}}});
    if let (Some(spec), Some(target)) = (spec.as_object_mut(), target.as_object()) {
        spec.extend(target.clone());
    }
    json!({"metadata": {"name": name}, "spec": spec})
}

fn targeted(section: Option<&str>) -> Value {
    let mut target =
        json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "shop"});
    if let Some(section) = section {
        target["sectionName"] = section.into();
    }
    json!({"targetRefs": [target]})
}

fn route(prefix: &str, metadata: Value) -> Route {
    let route = Route::direct(&format!("/{prefix}"), 200, "free").named(prefix);
    route.edit(|route| route["metadata"] = json!({"filter_metadata": metadata}))
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_are_known_by_flat_metadata() -> Result<()> {
    let labelled = json!({"targetSelectors": [{"group": "gateway.networking.k8s.io",
        "kind": "HTTPRoute", "matchLabels": {"tier": "gold"}}]});
    let plugin = json!({"policies": [
        refusing("route", 401, targeted(None)),
        refusing("rule", 402, targeted(Some("pay"))),
        refusing("label", 403, labelled),
    ]});
    let resources = |list: Value| json!({"btp": {"resources": list}});
    let bootstrap = Builder::new()
        .http_filter(filter(&plugin)?)
        .route(route("meta", resources(json!(["HTTPRoute/default/shop"]))))
        .route(route(
            "rule",
            resources(json!(["HTTPRoute/default/shop/pay"])),
        ))
        .route(route(
            "second",
            resources(json!(["Gateway/a/b", "HTTPRoute/default/shop"])),
        ))
        .route(route("other", resources(json!(["HTTPRoute/team/shop"]))))
        .route(route(
            "odd",
            resources(json!([7, "HTTPRoute", "HTTPRoute/default/shop"])),
        ))
        .route(route("text", resources(json!("HTTPRoute/default/shop"))))
        .route(route(
            "label",
            json!({"btp.labels": {"tier": "gold", "x": "y"}}),
        ))
        .route(route("number", json!({"btp.labels": {"tier": 7}})))
        .route(route("plain", json!({})))
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    for (path, status) in [
        ("/meta", 401),
        ("/rule", 402),
        ("/second", 401),
        ("/other", 200),
        ("/odd", 401),
        ("/text", 200),
        ("/label", 403),
        ("/number", 200),
        ("/plain", 200),
    ] {
        let response = envoy.get(path).await?;
        ensure!(response.status == status, "{path}: {}", response.status);
    }
    Ok(())
}

/// Such a route would go without its policy, and nobody would know.
#[tokio::test(flavor = "multi_thread")]
async fn nested_metadata_of_a_route_is_told_in_the_log() -> Result<()> {
    let resource = json!({"kind": "HTTPRoute", "namespace": "default", "name": "shop"});
    for (metadata, advice) in [
        (
            json!({"envoy-gateway": {"resources": [resource]}}),
            "add filter_metadata.btp.resources",
        ),
        (
            json!({"btp": {"labels": {"tier": "gold"}}}),
            "filter_metadata[\"btp.labels\"]",
        ),
    ] {
        let selector = json!({"targetSelectors": [{"group": "gateway.networking.k8s.io",
            "kind": "HTTPRoute", "matchLabels": {"tier": "gold"}}]});
        let plugin = json!({"policies": [
            refusing("route", 401, targeted(None)), refusing("label", 403, selector)]});
        let bootstrap = Builder::new()
            .http_filter(filter(&plugin)?)
            .route(route("nested", metadata))
            .build()?;
        let envoy = Envoy::start(&bootstrap).await?;
        ensure!(envoy.get("/nested").await?.status == 200);
        let log = envoy.wait_for_log(advice, PATIENCE).await?;
        ensure!(log.contains("route \"nested\""), "{log}");
    }
    Ok(())
}

const NOTES: &str = r#"
function envoy_on_request(handle)
  local notes = handle:streamInfo():dynamicMetadata()
  notes:set("auth", "text", "gold")
  notes:set("auth", "number", 3)
  notes:set("auth", "truth", true)
  notes:set("auth", "claims", {tier = "gold"})
end
"#;

fn notes() -> Value {
    json!({"name": "lua", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": NOTES}}})
}

fn limited_by(path: &Value, value: &Value) -> Value {
    let condition = json!({"namespace": "auth", "path": path, "value": value});
    let local = json!({"rules": [{"clientSelectors": [{"metadata": [condition]}],
        "limit": {"requests": 0, "unit": "Hour"}}]});
    json!({"policies": [{"metadata": {"name": "p"}, "spec": {"rateLimit": {"local": local}}}]})
}

async fn behind_notes(plugin: &Value) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let bootstrap = Builder::new()
        .http_filter(notes())
        .http_filter(filter(plugin)?)
        .route(Route::cluster("/", "backend").named("all"))
        .cluster("backend", upstream.addr())
        .build()?;
    Ok((Envoy::start(&bootstrap).await?, upstream))
}

#[tokio::test(flavor = "multi_thread")]
async fn values_under_a_key_need_no_other_filter() -> Result<()> {
    for (key, value, status) in [
        ("text", json!("gold"), 429),
        ("text", json!("iron"), 200),
        ("number", json!(3), 429),
        ("number", json!("3"), 200),
        ("truth", json!(true), 429),
        ("truth", json!(false), 200),
        ("absent", json!("gold"), 200),
    ] {
        let (envoy, _upstream) = behind_notes(&limited_by(&json!([key]), &value)).await?;
        // The second time its kind is known.
        for _ in 0..2 {
            let found = envoy.send(Request::get("/")).await?.status;
            ensure!(found == status, "{key} {value}: {found}");
        }
    }
    Ok(())
}

/// Envoy logs an error for each value that is read as another kind.
#[tokio::test(flavor = "multi_thread")]
async fn values_of_several_kinds_do_not_fill_the_log() -> Result<()> {
    let condition =
        |key: &str, value: Value| json!({"namespace": "auth", "path": [key], "value": value});
    let conditions = [
        condition("text", json!("gold")),
        condition("number", json!(3)),
        condition("truth", json!(true)),
    ];
    let local = json!({"rules": [{"clientSelectors": [{"metadata": conditions}],
        "limit": {"requests": 0, "unit": "Hour"}}]});
    let spec = json!({"rateLimit": {"local": local}});
    let plugin = json!({"policies": [{"metadata": {"name": "p"}, "spec": spec}]});
    let (envoy, _upstream) = behind_notes(&plugin).await?;
    for _ in 0..10 {
        ensure!(envoy.get("/").await?.status == 429);
    }
    let log = envoy.log();
    let errors = log.lines().filter(|line| line.contains(" is not a "));
    // Until each kind is known: a number is no text, a boolean neither text nor number.
    ensure!(errors.count() == 3, "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nested_value_that_nobody_shows_is_told_in_the_log() -> Result<()> {
    let plugin = limited_by(&json!(["claims", "tier"]), &json!("gold"));
    let (envoy, _upstream) = behind_notes(&plugin).await?;
    ensure!(envoy.get("/").await?.status == 200);
    let advice = "set_filter_state filter in front that writes btp.metadata.auth:claims";
    envoy.wait_for_log(advice, PATIENCE).await?;
    Ok(())
}
