//! The dynamic module as Envoy loads it: its configuration, a panic in each of its
//! hooks, and that it stays in memory. Whichever build the other tests run on.
//!
//! Panics are planted in a copy of the module that is built with the shipped one's
//! profile (`filter/module/src/planted.rs`); what ships has no code for that.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use btp_tests::bootstrap::PLUGIN_NAME;
use btp_tests::build::{module_filter, with_plain_names};
use btp_tests::client::h2;
use btp_tests::{Body, Bootstrap, Builder, EcdsFile, Envoy, Reply, Request, Response, Route};
use btp_tests::{Upstream, field, field_values, repo, wait};
use serde_json::{Value, json};

const PANICS: &str = "dynamicmodulescustom.btp.panics";
const PATIENCE: Duration = Duration::from_secs(20);

/// As a filter of its own name, so that the harness leaves it as it is.
fn filter(file: &Path, text: &str) -> Value {
    json!({"name": "module", "typed_config": module_filter(file, &string(text))})
}

fn string(text: &str) -> Value {
    json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text})
}

fn policies(name: &str) -> String {
    json!({"policies": [{"metadata": {"name": name}, "spec": {}}]}).to_string()
}

/// The module before an upstream, and before a route that Envoy answers.
fn bootstrap(filter: Value, upstream: &Upstream) -> Result<Bootstrap> {
    let probe = json!({"filter_metadata": {"probe": {
        "text": "t", "number": 1.5, "bool": true, "nested": {"a": "b"},
        "list": ["x", 2, true]}}});
    let builder = Builder::new()
        .http_filter(filter)
        .route(Route::direct("/direct", 200, "hello"))
        .route(
            Route::cluster("/", "backend")
                .named("all")
                .edit(|route| route["metadata"] = probe),
        )
        .cluster_h2("backend", upstream.addr());
    let mut bootstrap = builder.build()?;
    bootstrap.edit(with_plain_names);
    Ok(bootstrap)
}

async fn start(file: &Path) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let filter = filter(file, &policies("p"));
    let envoy = Envoy::start(&bootstrap(filter, &upstream)?).await?;
    Ok((envoy, upstream))
}

async fn commanded(envoy: &Envoy, command: &str) -> Result<Response> {
    envoy
        .send(Request::get("/x").header("x-planted", command))
        .await
}

async fn panics(envoy: &Envoy) -> Result<u64> {
    Ok(envoy.own_stat(PANICS).await?.unwrap_or(0))
}

fn is_answered_for(response: &Response) -> bool {
    response.status == 500 && response.text() == "internal error\n"
}

/// What a probe has said in a line.
fn said<'a>(report: &'a str, name: &str) -> Result<&'a str> {
    let line = |line: &'a str| line.strip_prefix(name)?.strip_prefix(": ");
    let found = report.lines().find_map(line);
    found.with_context(|| format!("no {name} in {report}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_module_loads_and_lets_requests_pass() -> Result<()> {
    let (envoy, upstream) = start(&repo::module()?).await?;
    let response = envoy.send(Request::post("/x", "body")).await?;
    ensure!(response.status == 200, "{response:?}");
    ensure!(upstream.requests().len() == 1);
    // It obeys nobody: commands are for the planted copy.
    let response = commanded(&envoy, "request_headers").await?;
    ensure!(response.status == 200 && panics(&envoy).await? == 0);
    // The same name in Prometheus as the .wasm's statistics have there.
    let prometheus = envoy.admin_get("/stats/prometheus").await?;
    let named = prometheus
        .lines()
        .any(|line| line.starts_with("btp_panics"));
    ensure!(named, "{prometheus}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_struct_is_the_same_configuration_as_its_text() -> Result<()> {
    let upstream = Upstream::start().await?;
    let module = repo::module()?;
    let of = |value: Value| {
        let value = json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": value});
        json!({"name": "module", "typed_config": module_filter(&module, &value)})
    };
    let good = json!({"policies": [{"metadata": {"name": "p"}, "spec": {}}]});
    let envoy = Envoy::start(&bootstrap(of(good), &upstream)?).await?;
    ensure!(envoy.get("/x").await?.status == 200);
    let bad = json!({"policies": [{"metadata": {"name": "p"}, "spec": {"retry": 7}}]});
    let log = Envoy::fails_to_start(&bootstrap(of(bad), &upstream)?).await?;
    ensure!(
        log.contains("configuration refused: policies[0].spec.retry"),
        "{log}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_is_refused_with_the_reason() -> Result<()> {
    let upstream = Upstream::start().await?;
    let module = repo::module()?;
    for (text, reason) in [
        ("{", "configuration refused: "),
        (
            r#"{"polices": []}"#,
            "configuration refused: polices: is not a known field",
        ),
    ] {
        let log = Envoy::fails_to_start(&bootstrap(filter(&module, text), &upstream)?).await?;
        let line = log.lines().find(|line| line.contains(reason));
        ensure!(
            line.is_some_and(|it| it.contains("][error][dynamic_modules]")),
            "{log}"
        );
    }
    let mut other = filter(&module, &policies("p"));
    other["typed_config"]["filter_name"] = "other".into();
    let log = Envoy::fails_to_start(&bootstrap(other, &upstream)?).await?;
    ensure!(
        log.contains(r#"configuration refused: filter_name is "other""#),
        "{log}"
    );
    let bad = bootstrap(filter(&module, "{"), &upstream)?;
    let validation = Envoy::validate(&bad).await?;
    ensure!(!validation.ok && validation.log.contains("configuration refused: "));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_before_the_response_is_answered_500_and_counted() -> Result<()> {
    let (envoy, _upstream) = start(&repo::planted_module()?).await?;
    let mut expected = 0;
    for hook in ["request_headers", "scheduled", "response_headers"] {
        let response = commanded(&envoy, hook).await?;
        ensure!(is_answered_for(&response), "{hook}: {response:?}");
        expected += 1;
        ensure!(panics(&envoy).await? == expected, "{hook}");
        ensure!(envoy.get("/x").await?.status == 200, "after {hook}");
    }
    for hook in ["request_body", "request_trailers"] {
        let mut request = Request::post("/x", "body").header("x-planted", hook);
        if hook == "request_trailers" {
            request = request.body(Body::chunked(["body"]).trailer("x-trailer", "1"));
        }
        let response = h2::send(envoy.addr(), request).await?;
        ensure!(is_answered_for(&response), "{hook}: {response:?}");
        expected += 1;
        ensure!(panics(&envoy).await? == expected, "{hook}");
        ensure!(envoy.get("/x").await?.status == 200, "after {hook}");
    }
    let log = envoy.log();
    ensure!(log.contains("planted in request_headers"), "{log}");
    ensure!(log.contains("caught a panic in request_headers"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_named_in_the_access_log() -> Result<()> {
    let upstream = Upstream::start().await?;
    let log = tempfile::NamedTempFile::new()?;
    let filter = filter(&repo::planted_module()?, &policies("p"));
    let builder = Builder::new().http_filter(filter);
    let builder = builder
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr())
        .access_log(log.path(), "%RESPONSE_CODE_DETAILS%");
    let envoy = Envoy::start(&builder.build()?).await?;
    commanded(&envoy, "request_headers").await?;
    wait::until("the access log", PATIENCE, || {
        let text = std::fs::read_to_string(log.path()).unwrap_or_default();
        (text == "btp_panic\n").then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_after_the_response_has_begun_breaks_it_off() -> Result<()> {
    let (envoy, upstream) = start(&repo::planted_module()?).await?;
    let body = || Body::chunked(["body"]).trailer("x-trailer", "1");
    upstream.script(
        "/x",
        [
            Reply::status(200).body(body()),
            Reply::status(200).body(body()),
        ],
    );
    for (hook, count) in [("response_body", 1), ("response_trailers", 2)] {
        let request = Request::get("/x").header("x-planted", hook);
        let response = h2::send(envoy.addr(), request).await;
        let is_whole = response.is_ok_and(|it| !it.trailers.is_empty());
        ensure!(!is_whole, "{hook}");
        ensure!(panics(&envoy).await? == count, "{hook}");
        ensure!(envoy.get("/").await?.status == 200, "after {hook}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_where_nothing_can_be_answered_costs_nobody_anything() -> Result<()> {
    let (envoy, _upstream) = start(&repo::planted_module()?).await?;
    let mut expected = 0;
    for hook in ["stream_complete", "destroy", "thread"] {
        let response = commanded(&envoy, hook).await?;
        ensure!(response.status == 200, "{hook}: {response:?}");
        expected += 1;
        // Without a stream it is counted with the next one's hook.
        wait::until_async(hook, PATIENCE, async || {
            ensure!(envoy.get("/x").await?.status == 200, "after {hook}");
            Ok((panics(&envoy).await? == expected).then_some(()))
        })
        .await?;
    }
    let request = Request::get("/direct").header("x-planted", "local_reply");
    let response = envoy.send(request).await?;
    ensure!(
        response.status == 200 && response.text() == "hello",
        "{response:?}"
    );
    ensure!(panics(&envoy).await? == expected + 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_panics_when_it_begins_is_answered_500() -> Result<()> {
    let (envoy, _upstream) = start(&repo::planted_module()?).await?;
    ensure!(commanded(&envoy, "filter_new").await?.status == 200);
    let response = envoy.get("/x").await?;
    ensure!(is_answered_for(&response), "{response:?}");
    ensure!(envoy.get("/x").await?.status == 200);
    ensure!(panics(&envoy).await? == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_at_the_upstream_position_is_answered_500() -> Result<()> {
    let upstream = Upstream::start().await?;
    let mut cluster = btp_tests::bootstrap::upstream_filtered(
        btp_tests::bootstrap::cluster("backend", upstream.addr()),
        &json!({}),
    )?;
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    cluster["typed_extension_protocol_options"][options]["http_filters"][0] =
        filter(&repo::planted_module()?, &policies("p"));
    let builder = Builder::new()
        .route(Route::cluster("/", "backend"))
        .raw_cluster(cluster);
    let mut bootstrap = builder.build()?;
    bootstrap.edit(with_plain_names);
    let envoy = Envoy::start(&bootstrap).await?;
    for hook in ["request_headers", "response_headers"] {
        let response = commanded(&envoy, hook).await?;
        ensure!(is_answered_for(&response), "{hook}: {response:?}");
        ensure!(envoy.get("/x").await?.status == 200, "after {hook}");
    }
    // Known: Envoy keeps metrics of this position under the cluster's name.
    let prometheus = envoy.admin_get("/stats/prometheus").await?;
    let of_cluster = format!("cluster.backend.{PANICS}");
    ensure!(
        envoy.own_stat(&of_cluster).await? == Some(2),
        "{prometheus}"
    );
    let named = "envoy_cluster_dynamicmodulescustom_btp_panics";
    ensure!(prometheus.contains(named), "{prometheus}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_panics_is_refused_and_one_that_panics_at_its_end_ends() -> Result<()>
{
    let upstream = Upstream::start().await?;
    let module = repo::planted_module()?;
    let text = policies("panic-in-config-new");
    let log = Envoy::fails_to_start(&bootstrap(filter(&module, &text), &upstream)?).await?;
    ensure!(
        log.contains("configuration refused: loading it has panicked"),
        "{log}"
    );
    ensure!(log.contains("planted in config_new"), "{log}");

    let (file, envoy) =
        discovered(&module, &policies("panic-in-config-destroy"), &upstream).await?;
    file.replace_filter(module_filter(
        &module,
        &string(&policies("panic-in-config-new")),
    ))?;
    envoy
        .wait_for_log("loading it has panicked", PATIENCE)
        .await?;
    ensure!(envoy.get("/x").await?.status == 200);
    file.replace_filter(module_filter(&module, &string(&policies("p"))))?;
    envoy
        .wait_for_log("planted in config_destroy", PATIENCE)
        .await?;
    ensure!(envoy.get("/x").await?.status == 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_may_be_closed_stays() -> Result<()> {
    let upstream = Upstream::start().await?;
    let module = repo::planted_module()?;
    let closable = |name: &str| {
        let mut filter = module_filter(&module, &string(&policies(name)));
        filter["dynamic_module_config"]["do_not_close"] = false.into();
        filter
    };
    let file = EcdsFile::empty()?;
    file.replace_filter(closable("one"))?;
    let envoy = Envoy::start(&discovering(&file, &upstream)?).await?;
    let mapped = || -> Result<bool> {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", envoy.pid()))?;
        Ok(maps.contains(&module.display().to_string()))
    };
    ensure!(envoy.get("/x").await?.status == 200 && mapped()?);
    // Another filter takes its place, so that nobody uses the module.
    file.replace_filter(json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        "mutations": {"response_mutations": [{"append": {"header": {
            "key": "x-other", "value": "1"}}}]},
    }))?;
    let has_other = async || {
        Ok::<_, anyhow::Error>(field(&envoy.get("/x").await?.headers, "x-other").is_some())
    };
    wait::until_async("the other filter", PATIENCE, async || {
        Ok(has_other().await?.then_some(()))
    })
    .await?;
    // Its configuration is gone by now, or soon.
    tokio::time::sleep(Duration::from_millis(500)).await;
    ensure!(mapped()?, "the module was unloaded");
    file.replace_filter(closable("two"))?;
    wait::until_async("the module again", PATIENCE, async || {
        Ok((!has_other().await?).then_some(()))
    })
    .await?;
    let response = commanded(&envoy, "request_headers").await?;
    ensure!(is_answered_for(&response), "{response:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_the_abi_offers_is_what_it_says() -> Result<()> {
    let (envoy, _upstream) = start(&repo::planted_module()?).await?;
    let request = Request::get("/x?y")
        .header("x-many", "1")
        .header("x-many", "2");
    let response = envoy.send(request.header("x-planted", "probe")).await?;
    ensure!(response.status == 203, "{response:?}");
    ensure!(
        field_values(&response.headers, "x-probe") == [b"1", b"2"],
        "{response:?}"
    );
    let report = response.text();
    for (name, value) in [
        (":path", "/x?y"),
        ("x-many 0", "1"),
        ("x-many 1", "2"),
        ("x-many 2", "-"),
        ("all x-many", "2"),
        ("response trailers", "-"),
        ("request.path", "/x?y"),
        ("request.method", "GET"),
        ("request.protocol", "HTTP/1.1"),
        ("response.code_details", "-"),
        ("upstream.address", "-"),
        ("xds.cluster_name", "backend"),
        ("xds.route_name", "all"),
        ("xds.virtual_host_name", "main"),
        ("upstream.request_attempt_count", "0"),
        ("cluster", "backend"),
        ("worker", "0"),
        ("buffer limit", "1048576"),
        ("dynamic text", "-"),
        ("route text", "t"),
        ("route number", "1.5"),
        ("route bool", "true"),
        ("route list", "3"),
        ("route list 0", "x"),
        ("route list 1", "2"),
        ("route list 2", "true"),
        ("route keys", "bool list nested number text"),
        ("state before", "-"),
        ("state set", "true"),
        ("state after", "kept"),
        ("validation", "false"),
        ("log error", "true"),
        ("metrics", "true"),
    ] {
        ensure!(said(&report, name)? == value, "{name}: {report}");
    }
    // Known: what is nested deeper than a list cannot be read, and asking is logged.
    ensure!(said(&report, "route nested")? == "-", "{report}");
    ensure!(said(&report, "all")? == said(&report, "count")?, "{report}");
    ensure!(
        said(&report, "source.address")?.starts_with("127.0.0.1:"),
        "{report}"
    );
    let prometheus = envoy.admin_get("/stats/prometheus").await?;
    for line in [
        "btp_probe_plain{} 2",
        r#"btp_probe_counter{btp_namespace="default",btp_policy="p"} 3"#,
        r#"btp_probe_gauge{btp_policy="p"} 7"#,
    ] {
        ensure!(
            prometheus.lines().any(|it| it == line),
            "{line} in {prometheus}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_can_be_changed_on_their_way() -> Result<()> {
    let (envoy, upstream) = start(&repo::planted_module()?).await?;
    upstream.script(
        "/x",
        [Reply::status(200).body(Body::sized(vec![b'x'; 100_000]))],
    );
    let request = Request::get("/x").header("x-removed", "1");
    let response = envoy.send(request.header("x-planted", "rewrite")).await?;
    ensure!(response.text() == "100000 bytes", "{response:?}");
    for (name, value) in [
        ("x-response", "set"),
        ("x-kept", "kept"),
        ("x-request", "two"),
    ] {
        let found = field(&response.headers, name);
        ensure!(found.as_deref() == Some(value), "{name}: {response:?}");
    }
    let seen = upstream.requests();
    let headers = &seen.first().context("no request")?.headers;
    ensure!(field_values(headers, "x-set") == [b"two"], "{headers:?}");
    ensure!(
        field_values(headers, "x-added") == [b"one", b"two"],
        "{headers:?}"
    );
    for absent in ["x-removed", "x-split", "x-smuggled"] {
        ensure!(field(headers, absent).is_none(), "{absent}: {headers:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_can_be_held_until_its_body_is_there() -> Result<()> {
    let (envoy, upstream) = start(&repo::planted_module()?).await?;
    // More than Envoy keeps by itself.
    let request = Request::post("/x", vec![b'x'; 3 << 20]).header("x-planted", "hold_body");
    let response = envoy.send(request).await?;
    ensure!(response.status == 200, "{response:?}");
    let seen = upstream.requests();
    let headers = &seen.first().context("no request")?.headers;
    ensure!(
        field(headers, "x-body-size").as_deref() == Some("3145728"),
        "{headers:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_can_be_woken_and_reset() -> Result<()> {
    let (envoy, upstream) = start(&repo::planted_module()?).await?;
    ensure!(commanded(&envoy, "resume").await?.status == 200);
    ensure!(upstream.requests().len() == 1);
    ensure!(commanded(&envoy, "reset").await.is_err());
    ensure!(envoy.get("/x").await?.status == 200);
    ensure!(panics(&envoy).await? == 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_client_is_told_a_status_of_our_own() -> Result<()> {
    let (envoy, _upstream) = start(&repo::planted_module()?).await?;
    let request = Request::post("/x", "").header("content-type", "application/grpc");
    let response = h2::send(envoy.addr(), request.header("x-planted", "grpc")).await?;
    ensure!(response.status == 200, "{response:?}");
    let all = [response.headers.clone(), response.trailers.clone()].concat();
    ensure!(field_values(&all, "grpc-status") == [b"8"], "{response:?}");
    // Known: the body is the message, whatever the headers say.
    ensure!(
        field_values(&all, "grpc-message") == [b"body"],
        "{response:?}"
    );
    Ok(())
}

/// A filter that Envoy reads from a file.
fn discovering(file: &EcdsFile, upstream: &Upstream) -> Result<Bootstrap> {
    let filter = json!({
        "name": PLUGIN_NAME,
        "config_discovery": {
            "config_source": {
                "path_config_source": {"path": file.path()},
                "resource_api_version": "V3",
            },
            "type_urls": [
                btp_tests::build::MODULE_TYPE,
                "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            ],
        },
    });
    bootstrap(filter, upstream)
}

async fn discovered(module: &Path, text: &str, upstream: &Upstream) -> Result<(EcdsFile, Envoy)> {
    let file = EcdsFile::empty()?;
    file.replace_filter(module_filter(module, &string(text)))?;
    let envoy = Envoy::start(&discovering(&file, upstream)?).await?;
    Ok((file, envoy))
}
