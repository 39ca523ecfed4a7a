//! Public pages' examples of which policy applies, and of what the filter does: they do
//! what their page says.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::Request;
use btp_tests::client::{grpc, h1};
use btp_tests::pages::{EG, KUBELB, Stage};

const CONCEPTS: &str = "concepts/gateway_api_extensions/backend-traffic-policy";

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_by_labels_governs_those_routes_alone() -> Result<()> {
    let title = "targets routes by labels, and a limit without rules";
    let stage = Stage::set(CONCEPTS, title).await?;
    let get = Request::get;
    let requests = [get("/payments"), get("/payments"), get("/"), get("/")];
    let found = stage.statuses(&requests).await?;
    ensure!(found == [200, 429, 200, 200], "{found:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_governs_is_as_the_page_says() -> Result<()> {
    for (title, route, others) in [
        ("a route's policy before its Gateway's", 30, Some(90)),
        ("the older of two policies for one route", 20, None),
    ] {
        let stage = Stage::set(CONCEPTS, title).await?;
        let limit = |route: &str| -> Result<Option<u64>> {
            let cluster = stage.cluster_of(route)?;
            let threshold = &cluster["circuit_breakers"]["thresholds"][0];
            Ok(threshold["max_connections"].as_u64())
        };
        ensure!(
            limit("shop")? == Some(route),
            "{title}: {:?}",
            limit("shop")
        );
        ensure!(limit("signup")? == others, "{title}: {:?}", limit("signup"));
    }
    Ok(())
}

/// The first status is the Gateway's own listener's, the second that of the ListenerSet's.
#[tokio::test(flavor = "multi_thread")]
async fn listeners_of_a_set_have_its_policies() -> Result<()> {
    let page = "test/e2e/testdata/backendtrafficpolicy-listenerset";
    for (title, expected) in [
        ("a ListenerSet's policy beside its Gateway's", [430, 431]),
        ("a policy of a route on a ListenerSet", [200, 432]),
        ("a route's policy merged with its ListenerSet's", [200, 503]),
    ] {
        let stage = Stage::set(page, title).await?;
        let of_set = stage
            .envoy
            .listener_addr("default/lobby/default/annex/web")?;
        let found = [
            stage.envoy.get("/").await?.status,
            h1::get(of_set, "/").await?.status,
        ];
        ensure!(found == expected, "{title}: {found:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_limited_by_header_path_and_method() -> Result<()> {
    let page = format!("{EG}/local-rate-limit");
    let trial = || Request::get("/").header("x-account", "trial");
    let staff = || trial().header("x-team", "staff");
    for (title, met, missed) in [
        ("by a header's value", trial(), Request::get("/")),
        ("by two headers, one of them inverted", trial(), staff()),
        (
            "everybody together",
            Request::get("/"),
            Request::get("/signup"),
        ),
        (
            "by path",
            Request::get("/orders/new"),
            Request::get("/orders"),
        ),
        ("by method", Request::new("PUT", "/"), Request::get("/")),
    ] {
        let stage = Stage::set(&page, title).await?;
        let found = stage.statuses(&vec![met; 3]).await?;
        ensure!(found == [200, 200, 429], "{title}: {found:?}");
        let found = stage.statuses(&vec![missed; 3]).await?;
        ensure!(found == [200; 3], "{title}: {found:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_injected() -> Result<()> {
    let page = format!("{EG}/fault-injection");
    let stage = Stage::set(&page, "a share is aborted").await?;
    let found = stage.statuses(&vec![Request::get("/"); 200]).await?;
    let aborted = found.iter().filter(|it| **it == 507).count();
    ensure!((60..=140).contains(&aborted), "{aborted} of 200");
    let stage = Stage::set(&page, "all are delayed").await?;
    let response = stage.envoy.get("/").await?;
    let delay = response.headers_after;
    ensure!(delay >= Duration::from_millis(690), "{delay:?}");
    let stage = Stage::set(&page, "a gRPC call is aborted").await?;
    let reply = grpc::call(stage.envoy.addr(), "/quotes.Quotes/Get", b"x").await?;
    ensure!(reply.grpc_status == Some(8), "{reply:?}");
    stage.envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_are_refused() -> Result<()> {
    let stage = Stage::set(&format!("{EG}/request-buffering"), "small bodies only").await?;
    let requests = [Request::post("/", "123456"), Request::post("/", "1234567")];
    let found = stage.statuses(&requests).await?;
    ensure!(found == [200, 413], "{found:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_overridden() -> Result<()> {
    let page = format!("{EG}/response-override");
    let title = "a text, a redirect, and a body from a ConfigMap";
    let stage = Stage::set(&page, title).await?;
    for (path, status, body) in [
        ("/status/410", 410, "That offer is over."),
        // The other route's answer, as Envoy asks it in the client's place.
        ("/status/402", 301, "upstream says 200\n"),
        ("/status/525", 525, "{\"sorry\": true}"),
        ("/status/503", 503, "upstream says 503\n"),
    ] {
        let response = stage.envoy.get(path).await?;
        let found = (response.status, response.text());
        ensure!(found == (status, body.to_owned()), "{path}: {found:?}");
    }
    ensure!(stage.upstreams[2].requests_under("/notice").len() == 1);
    for (title, body) in [
        ("replies of the proxy itself", "upstream says 418\n"),
        ("replies of backends", "{\"by\": \"a backend\"}"),
    ] {
        let stage = Stage::set(&page, title).await?;
        let found = stage.envoy.get("/status/418").await?.text();
        ensure!(found == body, "{title}: {found}");
    }
    Ok(())
}

/// Envoy does the redirect and the filter the rest, and neither takes what the
/// other is to have.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_rule_wins_beside_a_redirect_of_envoys_own() -> Result<()> {
    let title = "a redirect in front of a rule for a header";
    let stage = Stage::set("test/e2e/testdata/response-override", title).await?;
    for (path, status, body) in [
        ("/status/410", 410, "410 That offer is over."),
        ("/status/409", 410, ""),
        ("/status/402", 301, "upstream says 200\n"),
        ("/status/402?h=x-kind:draft", 301, "upstream says 200\n"),
        ("/status/500?h=x-kind:draft", 500, "This is a draft."),
        ("/status/301", 301, "It has moved."),
    ] {
        let response = stage.envoy.get(path).await?;
        let found = (response.status, response.text());
        ensure!(found == (status, body.to_owned()), "{path}: {found:?}");
    }
    stage.envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_switch_policies_off() -> Result<()> {
    for title in [
        "policies switched off for all",
        "policies switched off for a tenant",
    ] {
        let stage = Stage::set(KUBELB, title).await?;
        let found = stage.envoy.get("/").await?.status;
        ensure!(found == 200, "{title}: {found}");
    }
    Ok(())
}
