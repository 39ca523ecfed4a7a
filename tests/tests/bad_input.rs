//! What nobody should send: wrong configurations and hostile requests.

use anyhow::{Result, ensure};
use btp_tests::client::raw;
use btp_tests::{Bootstrap, Builder, EcdsFile, Envoy, Request, Route, Upstream};
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

fn with_plugin(plugin: &Value) -> Result<Bootstrap> {
    Builder::new()
        .plugin(plugin)
        .route(Route::direct("/", 200, "fine"))
        .build()
}

fn spec(spec: &Value) -> Value {
    json!({"policies": [{"metadata": {"name": "p"}, "spec": spec}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_refused_in_one_line_with_path_value_and_reason() -> Result<()> {
    for (plugin, line) in [
        (
            spec(&json!({"faultInjection": {"delay": {"fixedDelay": "5 minutes"}}})),
            "configuration refused: policies[0].spec.faultInjection.delay.fixedDelay: must be a \
             duration such as 200ms, 10s or 1h30m (units h, m, s, ms; no fractions) (got \"5 minutes\")",
        ),
        (
            spec(&json!({"faultInjektion": {}})),
            "configuration refused: policies[0].spec.faultInjektion: is not a known field; \
             did you mean \"faultInjection\"?",
        ),
        (
            spec(&json!({"faultInjection": {"abort": {"httpStatus": "503"}}})),
            "policies[0].spec.faultInjection.abort.httpStatus: must be a whole number, \
             not a string (got \"503\")",
        ),
        (
            spec(&json!({"faultInjection": {"abort": {"httpStatus": 600, "percentage": 101}}})),
            "policies[0].spec.faultInjection.abort.percentage: must be a percentage from 0 to 100, \
             in steps of 0.0001 (got 101); policies[0].spec.faultInjection.abort.httpStatus: must \
             be between 200 and 599 (got 600)",
        ),
        (
            spec(&json!({"circuitBreaker": {}})),
            "policies[0].spec.circuitBreaker: is enforced by Envoy itself: configure it there, as btp apply does",
        ),
    ] {
        let bootstrap = with_plugin(&plugin)?;
        let validation = Envoy::validate(&bootstrap).await?;
        ensure!(!validation.ok, "{plugin} is accepted");
        let found = validation.log.lines().any(|logged| logged.contains(line));
        ensure!(found, "no line with {line:?} in {}", validation.log);
        let log = Envoy::fails_to_start(&bootstrap).await?;
        ensure!(log.lines().any(|logged| logged.contains(line)), "{log}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_is_refused() -> Result<()> {
    for text in ["", "{", "{\"policies\":[]} trailing", "\u{0}", "[]"] {
        let mut bootstrap = with_plugin(&json!({"policies": []}))?;
        bootstrap.edit_http("main", |http| {
            http["http_filters"][0]["typed_config"]["config"]["configuration"]["value"] =
                text.into();
        })?;
        let validation = Envoy::validate(&bootstrap).await?;
        ensure!(!validation.ok, "{text:?} is accepted");
        ensure!(
            validation.log.contains("configuration refused: "),
            "{}",
            validation.log
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_update_leaves_the_old_configuration_serving() -> Result<()> {
    let abort = |status: u16| spec(&json!({"faultInjection": {"abort": {"httpStatus": status}}}));
    let file = EcdsFile::new(&abort(501), false)?;
    let bootstrap = Builder::new()
        .plugin_from(&file)
        .route(Route::direct("/", 200, "fine"))
        .concurrency(2)
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    ensure!(envoy.get("/").await?.status == 501);
    file.replace(&abort(600))?;
    envoy
        .wait_for_log("must be between 200 and 599 (got 600)", PATIENCE)
        .await?;
    ensure!(envoy.get("/").await?.status == 501);
    file.replace(&abort(502))?;
    btp_tests::wait::until_async("the new configuration to serve", PATIENCE, async || {
        Ok((envoy.get("/").await?.status == 502).then_some(()))
    })
    .await?;
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_in_flight_loses_no_request() -> Result<()> {
    let delay = spec(&json!({"faultInjection": {"delay": {"fixedDelay": "700ms"}}}));
    let file = EcdsFile::new(&delay, false)?;
    let upstream = Upstream::start().await?;
    let bootstrap = Builder::new()
        .plugin_from(&file)
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr())
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    let addr = envoy.addr();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..20 {
        waiting.spawn(btp_tests::client::h1::get(addr, "/waits"));
    }
    btp_tests::wait::until_async("all to wait", PATIENCE, async || {
        let active = envoy.stat("http.main.downstream_rq_active").await?;
        Ok((active == Some(20)).then_some(()))
    })
    .await?;
    file.replace(&spec(
        &json!({"faultInjection": {"abort": {"httpStatus": 500}}}),
    ))?;
    btp_tests::wait::until_async("the new configuration to serve", PATIENCE, async || {
        Ok((envoy.get("/").await?.status == 500).then_some(()))
    })
    .await?;
    while let Some(response) = waiting.join_next().await {
        let response = response??;
        ensure!(response.status == 200, "{response:?}");
        ensure!(response.elapsed >= Duration::from_millis(700));
    }
    envoy.assert_vm_alive().await
}

/// Every header that the filter reads may hold any bytes.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_headers_do_not_crash_the_vm() -> Result<()> {
    let plugin = spec(&json!({
        "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "r"}],
        "faultInjection": {"delay": {"fixedDelay": "1ms"}},
        "responseOverride": [{"match": {"statusCodes": [{"value": 500}]}, "response": {}}]}));
    let upstream = Upstream::start().await?;
    let bootstrap = Builder::new()
        .plugin(&plugin)
        .route(Route::cluster("/", "backend").named("r"))
        .cluster("backend", upstream.addr())
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    let hostile: [&[u8]; 4] = [b"\xa1\xff", b"\xc3", b"application/grpc\xff", b"%00%ff"];
    for value in hostile {
        for name in ["content-type", "x-any", "cookie", "te"] {
            let mut client = raw::Connection::open(envoy.addr()).await?;
            client
                .send(format!("GET /status/500 HTTP/1.1\r\nhost: h\r\n{name}: "))
                .await?;
            client.send([value, b"\r\n\r\n"].concat()).await?;
            let status = client.read_head().await?.status;
            ensure!(
                [400, 500].contains(&status),
                "{name}: {value:?} gives {status}"
            );
        }
    }
    let mut many = Request::get("/status/500");
    for index in 0..90 {
        many = many.header(&format!("x-{index}"), "v");
    }
    ensure!(envoy.send(many).await?.status == 500);
    let large = Request::get("/status/500").header("x-large", vec![b'x'; 58 * 1024]);
    ensure!(envoy.send(large).await?.status == 500);
    let too_large = Request::get("/").header("x-large", vec![b'x'; 70 * 1024]);
    ensure!(envoy.send(too_large).await?.status == 431);
    // A route name, too, is read as bytes.
    ensure!(envoy.get("/status/200").await?.status == 200);
    envoy.assert_vm_alive().await
}

/// An upstream may send anything as well.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_responses_do_not_crash_the_vm() -> Result<()> {
    let plugin = spec(&json!({"responseOverride": [
        {"match": {"statusCodes": [{"value": 500}]}, "response": {"body": {"inline": "sorry"}}}]}));
    for head in [
        &b"HTTP/1.1 500 \xff\xfe\r\nx-bytes: \xff\xfe\r\ncontent-length: 3\r\n\r\nabc"[..],
        b"HTTP/1.1 500 OK\r\ncontent-length: 99999999999999999999\r\n\r\nabc",
        b"HTTP/1.1 500 OK\r\ncontent-length: -1\r\n\r\nabc",
        b"HTTP/1.1 500 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"HTTP/1.1 500 OK\r\n\r\nuntil I close",
        b"HTTP/1.0 500 OK\r\n\r\nuntil I close",
        b"garbage\r\n\r\n",
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let bootstrap = Builder::new()
            .plugin(&plugin)
            .route(Route::cluster("/", "backend"))
            .cluster("backend", listener.local_addr()?)
            .build()?;
        let envoy = Envoy::start(&bootstrap).await?;
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let (mut stream, _) = listener.accept().await?;
            let mut request = [0; 4096];
            let _received = stream.read(&mut request).await?;
            stream.write_all(head).await?;
            stream.shutdown().await
        });
        let response = envoy.get("/").await?;
        let shown = String::from_utf8_lossy(head);
        let expected = match response.status {
            500 => "sorry",
            502 | 503 => "",
            status => anyhow::bail!("{shown:?} gives {status}"),
        };
        ensure!(
            expected.is_empty() || response.text() == expected,
            "{shown:?}: {response:?}"
        );
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

/// The log has one sane line for a hostile document, and what it repeats of
/// that hides nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_document_makes_one_short_line_in_which_nothing_is_hidden() -> Result<()> {
    // First, as only the first problems are shown.
    let long = format!("a\u{0}b\u{202e}{}", "k".repeat(1_000_000));
    let many = (0..100_000).map(|index| format!("x{index}"));
    let hostile: serde_json::Map<String, Value> = std::iter::once(long)
        .chain(many)
        .map(|key| (key, json!(1)))
        .collect();
    let validation = Envoy::validate(&with_plugin(&spec(&Value::Object(hostile)))?).await?;
    ensure!(!validation.ok);
    let mut lines = validation.log.lines();
    let line = lines.find(|line| line.contains("configuration refused: "));
    let line = line.unwrap_or_default();
    ensure!(
        line.contains("policies[0].spec.a\\u{0}b\\u{202e}kkk"),
        "{:.500}",
        validation.log
    );
    ensure!(
        line.contains("has 99501 more problems than are listed"),
        "{line}"
    );
    ensure!(line.len() < 20_000, "{} bytes", line.len());
    ensure!(!line.contains(['\u{0}', '\u{202e}']));
    Ok(())
}
