//! Where `btp apply` puts the filter among a person's own filters, and what
//! holds because of it.

use anyhow::{Result, ensure};
use btp_tests::bootstrap::cluster;
use btp_tests::client::{Request, Response, h1};
use btp_tests::{Bootstrap, Envoy, Upstream};
use serde_json::{Value, json};

const TYPES: &str = "type.googleapis.com/envoy.extensions.filters.http";

/// A filter of this package and type, with these settings.
fn filter(package: &str, kind: &str, settings: &Value) -> Value {
    let mut config = json!({"@type": format!("{TYPES}.{package}.v3.{kind}")});
    for (key, value) in settings.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    json!({"name": package, "typed_config": config})
}

/// A policy for the route `r`.
fn policy(spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["targetRefs"] =
        json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "r"}]);
    json!({"kind": "BackendTrafficPolicy", "metadata": {"name": "p"}, "spec": spec})
}

/// So many requests an hour, of those that the selectors mean.
fn limit(requests: u32, selectors: &Value) -> Value {
    json!({"rateLimit": {"local": {"rules": [
        {"clientSelectors": selectors, "limit": {"requests": requests, "unit": "Hour"}}]}}})
}

/// A person's configuration: these filters, the route `r` with these settings,
/// and one cluster.
fn configuration(upstream: &Upstream, filters: &[Value], per_route: &Value) -> Value {
    let router = filter("router", "Router", &json!({}));
    let filters: Vec<Value> = filters.iter().cloned().chain([router]).collect();
    let route = json!({"name": "r", "match": {"prefix": "/"},
        "route": {"cluster": "backend"}, "typed_per_filter_config": per_route});
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "http_filters": filters,
        "route_config": {"virtual_hosts": [
            {"name": "all", "domains": ["*"], "routes": [route]}]}});
    json!({"static_resources": {
        "listeners": [{"name": "http",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]}],
        "clusters": [cluster("backend", upstream.addr())]}})
}

/// Envoy with what `btp apply` makes of a configuration and a policy.
async fn applied(config: &Value, policy: &Value) -> Result<Envoy> {
    Ok(applied_with(config, policy, &[]).await?.0)
}

/// The same with options; gives what it said, too.
async fn applied_with(config: &Value, policy: &Value, options: &[&str]) -> Result<(Envoy, String)> {
    let bootstrap = Bootstrap::from_value(config.clone());
    let (bootstrap, said) = bootstrap.applied(policy, options)?;
    Ok((Envoy::start(&bootstrap).await?, said))
}

async fn statuses(envoy: &Envoy, request: Request, count: usize) -> Result<Vec<u16>> {
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(h1::send(envoy.addr(), request.clone()).await?.status);
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_browser_reads_the_reply_and_its_preflights_are_free() -> Result<()> {
    const ORIGIN: &str = "https://app.test";
    let upstream = Upstream::start().await?;
    let cors = filter("cors", "Cors", &json!({}));
    let allowed = json!({"cors": {"@type": format!("{TYPES}.cors.v3.CorsPolicy"),
        "allow_origin_string_match": [{"exact": ORIGIN}], "allow_methods": "GET"}});
    let config = configuration(&upstream, &[cors], &allowed);
    let envoy = applied(&config, &policy(&limit(1, &json!([])))).await?;
    let get = || Request::get("/").header("origin", ORIGIN);
    let send = |request: Request| h1::send(envoy.addr(), request);
    let is_readable =
        |it: &Response| it.header("access-control-allow-origin").as_deref() == Some(ORIGIN);
    let first = send(get()).await?;
    ensure!(first.status == 200 && is_readable(&first), "{first:?}");
    let second = send(get()).await?;
    ensure!(second.status == 429 && is_readable(&second), "{second:?}");
    let preflight = Request::new("OPTIONS", "/")
        .header("origin", ORIGIN)
        .header("access-control-request-method", "GET");
    let preflight = send(preflight).await?;
    ensure!(
        preflight.status == 200 && is_readable(&preflight),
        "{preflight:?}"
    );
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_is_neither_limited_nor_faulted() -> Result<()> {
    let upstream = Upstream::start().await?;
    let health = filter(
        "health_check",
        "HealthCheck",
        &json!({"pass_through_mode": false,
            "headers": [{"name": ":path", "string_match": {"exact": "/healthz"}}]}),
    );
    let config = configuration(&upstream, &[health], &json!({}));
    for (spec, expected) in [
        (limit(2, &json!([])), [200, 200, 429]),
        (
            json!({"faultInjection": {"abort": {"httpStatus": 503}}}),
            [503; 3],
        ),
    ] {
        let envoy = applied(&config, &policy(&spec)).await?;
        let probes = statuses(&envoy, Request::get("/healthz"), 4).await?;
        ensure!(probes == [200; 4], "{probes:?}");
        let others = statuses(&envoy, Request::get("/"), 3).await?;
        ensure!(others == expected, "{others:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_see_what_other_filters_write() -> Result<()> {
    let upstream = Upstream::start().await?;
    let plan = filter(
        "header_to_metadata",
        "Config",
        &json!({"request_rules": [{"header": "x-plan",
            "on_header_present": {"metadata_namespace": "acme", "key": "plan"}}]}),
    );
    let program = "function envoy_on_request(handle) \
                   handle:headers():add('x-tenant', 't1') end";
    let lua = filter(
        "lua",
        "Lua",
        &json!({"default_source_code": {"inline_string": program}}),
    );
    let config = configuration(&upstream, &[plan, lua], &json!({}));
    for condition in [
        json!({"metadata": [{"namespace": "acme", "path": ["plan"], "value": "free"}]}),
        json!({"headers": [{"name": "x-tenant", "value": "t1"}]}),
    ] {
        let envoy = applied(&config, &policy(&limit(1, &json!([condition])))).await?;
        let request = Request::get("/").header("x-plan", "free");
        let found = statuses(&envoy, request, 4).await?;
        ensure!(found == [200, 429, 429, 429], "{condition}: {found:?}");
    }
    Ok(())
}

/// Faults are in front of what writes headers: said, and cured as it says.
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_by_a_header_that_lua_writes_is_in_force_behind_lua() -> Result<()> {
    let upstream = Upstream::start().await?;
    let program = "function envoy_on_request(handle) \
                   handle:headers():add('x-tenant', 't1') end";
    let lua = filter(
        "lua",
        "Lua",
        &json!({"default_source_code": {"inline_string": program}}),
    );
    let config = configuration(&upstream, &[lua], &json!({}));
    let fault = policy(&json!({"faultInjection": {
        "match": [{"headers": [{"name": "x-tenant", "value": "t1"}]}],
        "abort": {"httpStatus": 418}}}));
    for (options, expected, is_warned) in [
        (&[][..], 200, true),
        (&["--faults-behind", "lua"], 418, false),
    ] {
        let (envoy, said) = applied_with(&config, &fault, options).await?;
        let found = statuses(&envoy, Request::get("/"), 1).await?;
        ensure!(found == [expected], "{options:?}: {found:?}");
        let warning = "btp apply --faults-behind lua";
        ensure!(said.contains(warning) == is_warned, "{options:?}: {said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_filters_of_its_own_gets_upstream_faults_too() -> Result<()> {
    let upstream = Upstream::start().await?;
    let mut config = configuration(&upstream, &[], &json!({}));
    let own = [
        filter("header_mutation", "HeaderMutation", &json!({})),
        filter("upstream_codec", "UpstreamCodec", &json!({})),
    ];
    config["static_resources"]["clusters"][0]["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http_protocol_options": {}},
            "http_filters": own}});
    let fault = json!({"faultInjection": {"position": "Upstream",
        "abort": {"httpStatus": 418, "percentage": 100}}});
    let envoy = applied(&config, &policy(&fault)).await?;
    let found = statuses(&envoy, Request::get("/"), 10).await?;
    ensure!(found == [418; 10], "{found:?}");
    envoy.assert_vm_alive().await
}

/// Each listener's instances have a root id of their own, and the names of
/// stats stay the same.
#[tokio::test(flavor = "multi_thread")]
async fn two_listeners_have_the_filter_under_root_ids_of_their_own() -> Result<()> {
    let upstream = Upstream::start().await?;
    let mut config = configuration(&upstream, &[], &json!({}));
    let listeners = &mut config["static_resources"]["listeners"];
    let mut second = listeners[0].clone();
    second["name"] = "second".into();
    listeners
        .as_array_mut()
        .into_iter()
        .for_each(|it| it.push(second.clone()));
    let fault = json!({"faultInjection": {"abort": {"httpStatus": 418}}});
    let envoy = applied(&config, &policy(&fault)).await?;
    for listener in ["http", "second"] {
        let status = h1::get(envoy.listener_addr(listener)?, "/").await?.status;
        ensure!(status == 418, "{listener}: {status}");
    }
    let counted = envoy
        .stat("wasmcustom.btp.default.p.fault_aborts_injected")
        .await?;
    ensure!(counted == Some(2), "{counted:?}");
    envoy.assert_vm_alive().await
}
