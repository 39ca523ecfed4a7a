//! A panic in each hook of the dynamic module: the client gets a 500 where there is still
//! something to answer, it is counted, and nobody else notices.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::build::module_filter;
use btp_tests::client::h2;
use btp_tests::module::{bootstrap, commanded, discovering, filter, is_answered_for, panics};
use btp_tests::module::{policies, start, string};
use btp_tests::{Body, Builder, EcdsFile, Envoy, Reply, Request, Route, Upstream, repo, wait};

const PATIENCE: Duration = Duration::from_secs(20);

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
async fn a_configuration_that_panics_is_refused_and_one_that_panics_at_its_end_ends() -> Result<()>
{
    let upstream = Upstream::start().await?;
    let module = repo::planted_module()?;
    let text = policies("panic-in-config-new");
    let log = Envoy::fails_to_start(&bootstrap(filter(&module, &text), &upstream)?).await?;
    ensure!(
        log.contains("configuration refused: loading it panicked"),
        "{log}"
    );
    ensure!(log.contains("planted in config_new"), "{log}");

    let file = EcdsFile::empty()?;
    let text = string(&policies("panic-in-config-destroy"));
    file.replace_filter(module_filter(&module, &text))?;
    let envoy = Envoy::start(&discovering(&file, &upstream)?).await?;
    file.replace_filter(module_filter(
        &module,
        &string(&policies("panic-in-config-new")),
    ))?;
    envoy.wait_for_log("loading it panicked", PATIENCE).await?;
    ensure!(envoy.get("/x").await?.status == 200);
    file.replace_filter(module_filter(&module, &string(&policies("p"))))?;
    envoy
        .wait_for_log("planted in config_destroy", PATIENCE)
        .await?;
    ensure!(envoy.get("/x").await?.status == 200);
    Ok(())
}
