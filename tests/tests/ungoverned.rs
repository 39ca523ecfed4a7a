//! A configuration that governs nothing: whatever passes the filter is as without it, also
//! when an update switches policies on and off again.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::bootstrap::EcdsFile;
use btp_tests::client::{grpc, h1, h2};
use btp_tests::{Body, Builder, Envoy, Request, Response, Route, Upstream, wait};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);

fn base(upstream: &Upstream) -> Builder {
    Builder::new()
        .cluster("backend", upstream.addr())
        .cluster_h2("backend-h2", upstream.addr())
        .route(Route::direct("/direct/", 418, "teapot").named("direct"))
        .route(Route::cluster("/h2/", "backend-h2").named("h2"))
        .route(Route::cluster("/", "backend").named("all"))
}

/// Requests of every shape.
fn requests() -> Vec<Request> {
    let pieces = [(Duration::ZERO, "one"), (Duration::from_millis(20), "two")];
    vec![
        Request::get("/direct/x"),
        Request::get("/x"),
        Request::new("HEAD", "/x"),
        Request::get("/x/status/204"),
        Request::get("/x/status/503?chunked"),
        Request::get("/x?bytes=100000"),
        Request::post("/x/echo", "hello"),
        Request::post("/x/echo", vec![b'x'; 100_000]),
        Request::new("POST", "/x/echo").body(Body::streamed(pieces)),
    ]
}

/// What a client gets: status, body and how the stream ended.
type Answer = (u16, Vec<u8>, Option<String>);

fn answer(response: &Response) -> Answer {
    // An echo says more of the request than its body: ids, for one.
    let body = match response.json() {
        Ok(echo) => echo["body"].to_string().into_bytes(),
        Err(_) => response.body.clone(),
    };
    (response.status, body, response.trailer("x-trailer"))
}

async fn answers(envoy: &Envoy) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for request in requests() {
        answers.push(answer(&h1::send(envoy.addr(), request.clone()).await?));
        answers.push(answer(&h2::send(envoy.addr(), request).await?));
    }
    answers.push(answer(&h2::get(envoy.addr(), "/h2/x?trailers").await?));
    let call = grpc::call(envoy.addr(), "/h2/grpc-stream", b"ping").await?;
    let messages = call.messages.concat();
    let ended = call.grpc_status.map(|it| it.to_string());
    answers.push((call.status, messages, ended));
    Ok(answers)
}

#[tokio::test]
async fn all_passes_as_without_the_filter() -> Result<()> {
    let upstream = Upstream::start().await?;
    let expected = answers(&Envoy::start(&base(&upstream).build()?).await?).await?;
    let teapots = json!({"metadata": {"name": "all"}, "spec": {
        "faultInjection": {"abort": {"httpStatus": 418}}}});
    for plugin in [
        json!({"policies": []}),
        json!({"disabled": true, "policies": [teapots]}),
    ] {
        let envoy = Envoy::start(&base(&upstream).plugin(&plugin).build()?).await?;
        ensure!(answers(&envoy).await? == expected, "{plugin}");
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_request_in_flight_ends_as_it_began_when_policies_come_and_go() -> Result<()> {
    let upstream = Upstream::start().await?;
    let none = json!({"policies": []});
    let some = json!({"policies": [{"metadata": {"name": "all"}, "spec": {
        "responseOverride": [{
            "match": {"statusCodes": [{"value": 200}]},
            "response": {"statusCode": 418}}]}}]});
    let file = EcdsFile::new(&none, true)?;
    let envoy = Envoy::start(&base(&upstream).plugin_from(&file).build()?).await?;
    for (number, (next, before, after)) in [(&some, 200, 418), (&none, 418, 200)]
        .into_iter()
        .enumerate()
    {
        let path = format!("/slow/{number}?delay=4000");
        let slow = tokio::spawn(h1::send(envoy.addr(), Request::get(&path)));
        wait::until("the request to be upstream", SOON, || {
            let all = upstream.requests();
            all.iter().any(|it| it.path == path).then_some(())
        })
        .await?;
        file.replace(next)?;
        wait::until_async("the update", SOON, async || {
            let status = envoy.get("/x").await?.status;
            Ok((status == after).then_some(()))
        })
        .await?;
        ensure!(!slow.is_finished(), "too slow a machine for this test");
        let status = slow.await??.status;
        ensure!(status == before, "{status} instead of {before}");
    }
    envoy.assert_vm_alive().await
}
