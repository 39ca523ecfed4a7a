//! Which responses an override takes for whose, what it knows of them, and
//! what it counts.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::client::h1;
use btp_tests::{Builder, Envoy, Reply, Request, Route, Upstream};
use serde_json::{Value, json};

fn policy(rules: &Value) -> Value {
    json!({"policies": [{"metadata": {"name": "p"}, "spec": {"responseOverride": rules}}]})
}

fn any_error() -> Value {
    json!({"statusCodes": [{"type": "Range", "range": {"start": 400, "end": 599}}]})
}

fn abort(status: u16) -> Value {
    json!({"name": "envoy.filters.http.fault", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        "headers": [{"name": "x-fault", "present_match": true}],
        "abort": {"http_status": status, "percentage": {"numerator": 100}}}})
}

/// Whatever Envoy makes is local, whatever an upstream makes is not, retried
/// or not.
#[tokio::test(flavor = "multi_thread")]
async fn local_and_backend_are_told_apart() -> Result<()> {
    let plugin = policy(&json!([
        {"match": any_error(), "source": "Local",
         "response": {"body": {"inline": "local %RESPONSE_CODE_DETAILS%"}}},
        {"match": any_error(), "source": "Backend",
         "response": {"body": {"inline": "backend %RESPONSE_CODE_DETAILS%"}}}]));
    let upstream = Upstream::start().await?;
    let closed = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let timed = Route::cluster("/hang", "backend").edit(|route| {
        route["route"]["timeout"] = json!("0.3s");
    });
    let retried = Route::cluster("/retried", "backend").edit(|route| {
        route["route"]["retry_policy"] = json!({"retry_on": "5xx", "num_retries": 1});
    });
    let bootstrap = Builder::new()
        .plugin(&plugin)
        .http_filter(abort(401))
        .route(Route::direct("/direct", 418, "teapot"))
        .route(Route::cluster("/closed", "closed"))
        .route(Route::cluster("/unknown", "unknown"))
        .route(timed)
        .route(retried)
        .route(Route::cluster("/status", "backend"))
        .route(Route::cluster("/reset", "backend"))
        .cluster("backend", upstream.addr())
        .cluster("closed", closed)
        .build()?;
    let mut bootstrap = bootstrap;
    bootstrap.edit(|config| {
        config["static_resources"]["clusters"]
            .as_array_mut()
            .expect("a list")
            .push(json!({"name": "unknown", "type": "STATIC"}));
    });
    let envoy = Envoy::start(&bootstrap).await?;
    upstream.script("/reset", [Reply::reset()]);
    upstream.script("/hang", [Reply::hang()]);
    upstream.script(
        "/retried",
        [Reply::reset(), Reply::status(500).text("oops")],
    );
    for (path, body) in [
        ("/direct", "local direct_response"),
        ("/closed", "local upstream_reset_before_response_started"),
        ("/unknown", "local no_healthy_upstream"),
        ("/reset", "local upstream_reset_before_response_started"),
        ("/hang", "local response_timeout"),
        ("/nowhere", "local route_not_found"),
        ("/retried", "backend via_upstream"),
        ("/status/503", "backend via_upstream"),
        ("/status/404?chunked", "backend via_upstream"),
    ] {
        let response = envoy.get(path).await?;
        ensure!(response.text().starts_with(body), "{path}: {response:?}");
    }
    let request = Request::get("/status/200").header("x-fault", "1");
    let response = envoy.send(request).await?;
    ensure!(
        response.text().starts_with("local fault_filter_abort"),
        "{response:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_of_the_filter_itself_are_local() -> Result<()> {
    let plugin = json!({"policies": [{"metadata": {"name": "p"}, "spec": {
        "faultInjection": {"abort": {"httpStatus": 503}},
        "responseOverride": [
            {"match": any_error(), "source": "Backend", "response": {"body": {"inline": "no"}}},
            {"match": any_error(), "source": "Local", "response": {
                "body": {"inline": "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %REQ(:PATH)%"}}}]}}]});
    let upstream = Upstream::start().await?;
    let bootstrap = Builder::new()
        .plugin(&plugin)
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr())
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    let response = envoy.get("/x?y").await?;
    ensure!(
        response.text() == "503 btp_fault_abort /x?y",
        "{response:?}"
    );
    Ok(())
}

/// What can only be asked of the host when the response is there.
#[tokio::test(flavor = "multi_thread")]
async fn operators_know_the_exchange() -> Result<()> {
    let body = "%PROTOCOL% %ROUTE_NAME% %UPSTREAM_CLUSTER% %UPSTREAM_HOST% \
                %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %FILTER_STATE(envoy.key:PLAIN)% \
                %FILTER_STATE(envoy.key:PLAIN):3% %START_TIME(%Y)% %DURATION% \
                %GRPC_STATUS_NUMBER% %REQ(:AUTHORITY)% %REQ(:SCHEME)%";
    let plugin = policy(&json!([{"match": any_error(), "response": {"body": {"inline": body}}}]));
    let state = json!({"name": "envoy.filters.http.set_filter_state", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
        "on_request_headers": [{"object_key": "envoy.key", "factory_key": "envoy.string",
            "format_string": {"text_format_source": {"inline_string": "from-a-filter"}}}]}});
    let upstream = Upstream::start().await?;
    let bootstrap = Builder::new()
        .plugin(&plugin)
        .http_filter(state)
        .route(Route::cluster("/", "backend").named("all"))
        .cluster("backend", upstream.addr())
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    let wait = Reply::status(500)
        .text("late")
        .after(Duration::from_millis(50));
    upstream.script("/", [wait]);
    let response = h1::send(envoy.addr(), Request::get("/").host("shop.example")).await?;
    let text = response.text();
    let words: Vec<&str> = text.split(' ').collect();
    let [
        protocol,
        route,
        cluster,
        host,
        client,
        state,
        cut,
        year,
        took,
        grpc,
        authority,
        scheme,
    ] = words.as_slice()
    else {
        anyhow::bail!("{text}");
    };
    ensure!(
        [*protocol, *route, *cluster] == ["HTTP/1.1", "all", "backend"],
        "{text}"
    );
    ensure!(*host == upstream.addr().to_string(), "{text}");
    ensure!(
        [*client, *state, *cut] == ["127.0.0.1", "from-a-filter", "fro"],
        "{text}"
    );
    ensure!((2024..2100).contains(&year.parse::<u32>()?), "{text}");
    ensure!((50..60_000).contains(&took.parse::<u32>()?), "{text}");
    ensure!(
        [*grpc, *authority, *scheme] == ["-", "shop.example", "http"],
        "{text}"
    );
    Ok(())
}

/// By its name, wherever it is in the list.
#[tokio::test(flavor = "multi_thread")]
async fn each_rule_counts_for_itself() -> Result<()> {
    let one = |status| json!({"statusCodes": [{"value": status}]});
    let plugin = policy(&json!([
        {"name": "rule-0", "match": one(500), "response": {"body": {"inline": "a"}}},
        {"name": "rule-1", "match": one(404), "response": {"keepBody": true, "statusCode": 410}},
        {"name": "rule-2", "match": one(401), "redirect": {"mode": "Client", "port": 1}},
        {"name": "rule-3", "match": one(418), "response": {"keepBody": true}}]));
    let upstream = Upstream::start().await?;
    let bootstrap = Builder::new()
        .plugin(&plugin)
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr())
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    let counts = async || -> Result<Vec<(String, u64)>> {
        let stats = envoy.stats_matching("responses_overridden").await?;
        let short = |name: String| name.replace("wasmcustom.btp.default.p.", "");
        Ok(stats
            .into_iter()
            // All are there from the start.
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (short(name), count))
            .collect())
    };
    ensure!(counts().await?.is_empty(), "{:?}", counts().await?);
    for path in [
        "/status/500",
        "/status/500",
        "/status/404",
        "/status/418",
        "/status/200",
    ] {
        envoy.get(path).await?;
    }
    let rule = |index: usize| format!("response_override.rule-{index}.responses_overridden");
    let wanted = [
        (rule(0), 2),
        (rule(1), 1),
        ("responses_overridden".to_owned(), 3),
    ];
    ensure!(counts().await? == wanted, "{:?}", counts().await?);
    envoy.get("/status/401").await?;
    ensure!(counts().await?.contains(&(rule(2), 1)));
    Ok(())
}

/// As a person sees it who wrote it wrong: path, reason and what to do.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_keeps_envoy_from_starting() -> Result<()> {
    let upstream = Upstream::start().await?;
    for (rule, said) in [
        (
            json!({"match": any_error(), "redirect": {"hostname": "errors.example"}}),
            "policies[0].spec.responseOverride[0].redirect: makes Envoy run the request again \
             on another route, which a filter cannot do: add mode: Client",
        ),
        (
            json!({"match": any_error(), "response": {"body": {"inline": "%RESPONS_CODE%"}}}),
            "responseOverride[0].response.body.inline: has %RESPONS_CODE%, which is unknown here; \
             did you mean %RESPONSE_CODE%?",
        ),
        (
            json!({"match": any_error(), "response": {"body": {"type": "ValueRef",
                "valueRef": {"group": "", "kind": "ConfigMap", "name": "gone"}}}}),
            "response.body.valueRef: refers to ConfigMap default/gone, which is missing",
        ),
        (
            json!({"match": any_error(), "response": {}, "redirect": {}}),
            "responseOverride[0]: must have exactly one of response and redirect",
        ),
    ] {
        let bootstrap = Builder::new()
            .plugin(&policy(&json!([rule])))
            .route(Route::cluster("/", "backend"))
            .cluster("backend", upstream.addr())
            .build()?;
        let log = Envoy::fails_to_start(&bootstrap).await?;
        ensure!(log.contains(said), "{log}");
    }
    Ok(())
}
