//! `telemetry` on the real Envoy: what a collector of spans gets, and under which names
//! requests are counted.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use btp_tests::native::{SOON, upstreams};
use btp_tests::{Bootstrap, Builder, Envoy, Request, Route, Upstream, wait};
use serde_json::{Value, json};

/// An Envoy that sends each span at once to a collector.
struct Traced {
    envoy: Envoy,
    collector: Upstream,
    _upstreams: Vec<Upstream>,
}

impl Traced {
    /// Routes `/plain` without a policy and `/` with this `tracing`. Of itself the listener
    /// traces nothing by chance.
    async fn start(tracing: &Value) -> Result<Self> {
        Self::start_with(tracing, &zipkin()).await
    }

    /// With spans for this provider.
    async fn start_with(tracing: &Value, provider: &Value) -> Result<Self> {
        let upstreams = upstreams(1).await?;
        let collector = Upstream::start().await?;
        let mut bootstrap = Builder::new()
            .cluster("plain", upstreams[0].addr())
            .cluster("backend", upstreams[0].addr())
            .cluster("collector", collector.addr())
            .route(Route::cluster("/plain", "plain"))
            .route(Route::cluster("/", "backend"))
            .build()?;
        trace(&mut bootstrap, provider);
        bootstrap.govern("backend", &json!({"telemetry": {"tracing": tracing}}))?;
        let envoy = Envoy::start(&bootstrap).await?;
        Ok(Self {
            envoy,
            collector,
            _upstreams: upstreams,
        })
    }

    /// The spans that have come so far.
    fn spans(&self) -> Result<Vec<Value>> {
        let mut spans = Vec::new();
        for request in self.collector.requests_under("/api/v2/spans") {
            let some: Vec<Value> = serde_json::from_slice(&request.body)?;
            spans.extend(some);
        }
        Ok(spans)
    }

    /// Waits for so many.
    async fn wait_for(&self, count: usize) -> Result<Vec<Value>> {
        wait::until_async("spans", SOON, async || {
            let spans = self.spans().unwrap_or_default();
            Ok((spans.len() >= count).then_some(spans))
        })
        .await
    }

    async fn ask(&self, times: usize, request: &Request) -> Result<()> {
        for _ in 0..times {
            ensure!(self.envoy.send(request.clone()).await?.status == 200);
        }
        // What is not to be traced has time to come, too.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    }
}

fn zipkin() -> Value {
    json!({"name": "envoy.tracers.zipkin", "typed_config": {
        "@type": "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig",
        "collector_cluster": "collector",
        "collector_endpoint": "/api/v2/spans",
        "collector_endpoint_version": "HTTP_JSON"}})
}

fn open_telemetry() -> Value {
    json!({"name": "envoy.tracers.opentelemetry", "typed_config": {
        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
        "service_name": "shop",
        "http_service": {"http_uri": {
            "uri": "http://collector/v1/traces", "cluster": "collector", "timeout": "1s"}}}})
}

fn trace(bootstrap: &mut Bootstrap, provider: &Value) {
    bootstrap.edit(|config| {
        config["layered_runtime"] = json!({"layers": [{"name": "test", "static_layer": {
            "tracing.zipkin.min_flush_spans": 1,
            "tracing.opentelemetry.min_flush_spans": 1}}]});
        let listener = &mut config["static_resources"]["listeners"][0];
        let hcm = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
        hcm["tracing"] = json!({
            "random_sampling": {"value": 0},
            "spawn_upstream_span": true,
            "custom_tags": [{"tag": "place", "literal": {"value": "listener"}},
                {"tag": "kept", "literal": {"value": "listener"}}],
            "provider": provider,
        });
    });
}

fn whole() -> Value {
    json!({"numerator": 1, "denominator": 1})
}

fn none() -> Value {
    json!({"numerator": 0})
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_traced_as_often_as_their_route_says() -> Result<()> {
    let asked = || Request::get("/").header("x-client-trace-id", "17");
    // Two spans each: the request, and its try.
    for (tracing, request, spans) in [
        (json!({}), Request::get("/"), 20),
        (json!({}), Request::get("/plain"), 0),
        (json!({"samplingFraction": whole()}), Request::get("/"), 20),
        (json!({"samplingFraction": none()}), Request::get("/"), 0),
        (json!({"samplingFraction": none()}), asked(), 0),
        (
            json!({"samplingFraction": none(), "clientSamplingFraction": whole()}),
            asked(),
            20,
        ),
        (
            json!({"samplingFraction": whole(), "overallSamplingFraction": none()}),
            Request::get("/"),
            0,
        ),
    ] {
        let traced = Traced::start(&tracing).await?;
        traced.ask(10, &request).await?;
        let found = traced.wait_for(spans).await?.len();
        ensure!(found == spans, "{tracing}: {found} spans");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_have_the_names_and_tags_of_the_policy() -> Result<()> {
    let traced = Traced::start(&json!({
        "spanName": {"client": "shop %REQ(:METHOD)%", "server": "call %UPSTREAM_CLUSTER%"},
        "tags": {"place": "route", "twice": "%PROTOCOL%"},
        "customTags": {
            "twice": {"type": "Literal", "literal": {"value": "lost"}},
            "user": {"type": "RequestHeader", "requestHeader": {"name": "x-user"}},
            "team": {"type": "RequestHeader",
                "requestHeader": {"name": "x-team", "defaultValue": "nobody"}},
            "path": {"type": "Environment",
                "environment": {"name": "NOT_SET_ANYWHERE", "defaultValue": "unset"}},
        },
    }))
    .await?;
    let request = Request::get("/").header("x-user", "ann");
    ensure!(traced.envoy.send(request).await?.status == 200);
    let spans = traced.wait_for(2).await?;
    let named = |name: &str| spans.iter().find(|it| it["name"] == name);
    let tags = &named("shop GET").with_context(|| format!("the request's: {spans:?}"))?["tags"];
    ensure!(named("call backend").is_some(), "{spans:?}");
    for (tag, value) in [
        ("place", "route"),
        ("kept", "listener"),
        ("twice", "HTTP/1.1"),
        ("user", "ann"),
        ("team", "nobody"),
        ("path", "unset"),
    ] {
        ensure!(tags[tag] == value, "{tag}: {tags}");
    }
    Ok(())
}

/// Spans come as Protobuf, in which texts are as they are.
#[tokio::test(flavor = "multi_thread")]
async fn open_telemetry_gets_the_same_spans() -> Result<()> {
    let tracing = |sampling: Value| {
        json!({"samplingFraction": sampling, "tags": {"place": "route"},
            "spanName": {"client": "shop %REQ(:METHOD)%", "server": "call %UPSTREAM_CLUSTER%"}})
    };
    let traced = Traced::start_with(&tracing(whole()), &open_telemetry()).await?;
    traced.ask(1, &Request::get("/")).await?;
    for text in [
        "shop GET",
        "call backend",
        "place",
        "route",
        "kept",
        "listener",
    ] {
        wait::until_async(text, SOON, async || {
            let spans = traced.collector.requests_under("/v1/traces");
            let has = |body: &[u8]| body.windows(text.len()).any(|it| it == text.as_bytes());
            Ok(spans.iter().any(|it| has(&it.body)).then_some(()))
        })
        .await?;
    }
    let traced = Traced::start_with(&tracing(none()), &open_telemetry()).await?;
    traced.ask(10, &Request::get("/")).await?;
    let spans = traced.collector.requests_under("/v1/traces");
    ensure!(spans.is_empty(), "{} requests with spans", spans.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_under_the_name_of_their_route() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let mut bootstrap = Builder::new()
        .cluster("backend", upstreams[0].addr())
        .route(Route::cluster("/pay", "backend").named("team/shop/pay"))
        .route(Route::cluster("/", "backend").named("team/shop"))
        .build()?;
    let template = "%ROUTE_KIND%.%ROUTE_NAMESPACE%.%ROUTE_NAME%.%ROUTE_RULE_NAME%";
    let spec = json!({"telemetry": {"metrics": {"routeStatName": template}}});
    bootstrap.govern("backend", &spec)?;
    let envoy = Envoy::start(&bootstrap).await?;
    for path in ["/pay", "/", "/"] {
        ensure!(envoy.get(path).await?.status == 200);
    }
    for (name, count) in [("HTTPRoute.team.shop.pay", 1), ("HTTPRoute.team.shop.-", 2)] {
        let regex = format!("route\\.{}\\.upstream_rq_200$", name.replace('.', "\\."));
        let found = envoy.stats_matching(&regex).await?;
        ensure!(found.values().sum::<u64>() == count, "{name}: {found:?}");
    }
    Ok(())
}
