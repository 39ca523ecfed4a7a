//! `sessionPersistence` on the real Envoy: who stays with an endpoint, by what, and for
//! how long.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use btp_tests::apply::{apply, ensure_undone, lint};
use btp_tests::native::{addresses, backend, cluster_of, governed, upstreams, wait_for_stat};
use btp_tests::{Bootstrap, Builder, Envoy, Request, Response, Route, Upstream};
use serde_json::{Value, json};

/// Of so many requests each of three endpoints has some, unless something keeps them.
const MANY: usize = 60;

/// The endpoints that have had a request since they were last asked.
fn asked(upstreams: &[Upstream]) -> Vec<usize> {
    let upstreams = upstreams.iter().enumerate();
    let asked = upstreams.filter(|(_, it)| !it.requests().is_empty());
    asked.map(|(index, _)| index).collect()
}

/// How many endpoints these requests come to.
async fn spread(envoy: &Envoy, upstreams: &[Upstream], request: &Request) -> Result<usize> {
    upstreams.iter().for_each(Upstream::clear);
    for _ in 0..MANY {
        let response = envoy.send(request.clone()).await?;
        ensure!(response.status == 200, "{response:?}");
    }
    Ok(asked(upstreams).len())
}

/// `name=value` of the cookie that a response sets.
fn cookie(response: &Response) -> Result<String> {
    let set = response.header("set-cookie").context("no cookie is set")?;
    let pair = set.split(';').next().unwrap_or_default();
    Ok(pair.to_owned())
}

fn with_cookie(path: &str, cookie: &str) -> Request {
    Request::get(path).header("cookie", cookie)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_the_cookie_stays_with_its_endpoint() -> Result<()> {
    let upstreams = upstreams(3).await?;
    let spec = json!({"sessionPersistence": {"cookie": {"name": "basket"}}});
    let envoy = governed(&upstreams, &spec).await?;
    ensure!(spread(&envoy, &upstreams, &Request::get("/")).await? == 3);
    let first = envoy.get("/").await?;
    let set = first.header("set-cookie").unwrap_or_default();
    ensure!(
        set.starts_with("basket=") && set.contains("Path=/;"),
        "{set}"
    );
    ensure!(!set.contains("Max-Age"), "{set}");
    let request = with_cookie("/", &cookie(&first)?);
    ensure!(spread(&envoy, &upstreams, &request).await? == 1);
    // Nothing new is said to who has it.
    ensure!(envoy.send(request).await?.header("set-cookie").is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_for_the_paths_of_its_cookie() -> Result<()> {
    let upstreams = upstreams(3).await?;
    let spec = json!({"sessionPersistence": {"type": "Cookie", "cookie": {"path": "/cart"}}});
    let envoy = governed(&upstreams, &spec).await?;
    let inside = envoy.get("/cart/items").await?;
    let set = inside.header("set-cookie").unwrap_or_default();
    ensure!(set.contains("Path=/cart;"), "{set}");
    ensure!(envoy.get("/other").await?.header("set-cookie").is_none());
    let session = cookie(&inside)?;
    let request = with_cookie("/cart/items", &session);
    ensure!(spread(&envoy, &upstreams, &request).await? == 1);
    ensure!(spread(&envoy, &upstreams, &with_cookie("/other", &session)).await? == 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_the_header_stays_with_its_endpoint() -> Result<()> {
    let upstreams = upstreams(3).await?;
    let spec = json!({"sessionPersistence": {"type": "Header", "header": {"name": "x-session"}}});
    let envoy = governed(&upstreams, &spec).await?;
    ensure!(spread(&envoy, &upstreams, &Request::get("/")).await? == 3);
    let first = envoy.get("/").await?;
    ensure!(first.header("set-cookie").is_none());
    let session = first.header("x-session").context("no header is set")?;
    let request = Request::get("/").header("x-session", session);
    ensure!(spread(&envoy, &upstreams, &request).await? == 1);
    Ok(())
}

/// By the client, whom `Max-Age` tells, and by Envoy, which looks at the value.
#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_cookie_ends_with_its_timeout() -> Result<()> {
    let upstreams = upstreams(3).await?;
    let session = |timeout: &str| {
        json!({"sessionPersistence": {"absoluteTimeout": timeout,
            "cookie": {"name": "basket", "lifetimeType": "Permanent"}}})
    };
    let envoy = governed(&upstreams, &session("1h")).await?;
    let first = envoy.get("/").await?;
    let set = first.header("set-cookie").unwrap_or_default();
    ensure!(set.contains("Max-Age=3600"), "{set}");
    let request = with_cookie("/", &cookie(&first)?);
    ensure!(spread(&envoy, &upstreams, &request).await? == 1);
    let envoy = governed(&upstreams, &session("1s")).await?;
    let request = with_cookie("/", &cookie(&envoy.get("/").await?)?);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let after = envoy.send(request.clone()).await?;
    ensure!(after.header("set-cookie").is_some(), "still in force");
    ensure!(spread(&envoy, &upstreams, &request).await? == 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_endpoint_has_gone_gets_another_one() -> Result<()> {
    let mut upstreams = upstreams(3).await?;
    let spec = json!({"sessionPersistence": {"cookie": {"name": "basket"}},
        "healthCheck": {"panicThreshold": 0, "active": {"type": "TCP", "tcp": {},
            "interval": "100ms", "timeout": "1s", "unhealthyThreshold": 1}}});
    let envoy = governed(&upstreams, &spec).await?;
    let healthy = "cluster.backend.membership_healthy";
    wait_for_stat(&envoy, healthy, |it| it == 3).await?;
    let first = envoy.get("/").await?;
    let request = with_cookie("/", &cookie(&first)?);
    let had = *asked(&upstreams).first().context("nobody was asked")?;
    drop(upstreams.remove(had));
    wait_for_stat(&envoy, healthy, |it| it == 2).await?;
    let next = envoy.send(request).await?;
    ensure!(next.status == 200, "{next:?}");
    let request = with_cookie("/", &cookie(&next)?);
    ensure!(spread(&envoy, &upstreams, &request).await? == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_goes_before_every_balancer() -> Result<()> {
    let by_header = json!({"type": "ConsistentHash",
        "consistentHash": {"type": "Headers", "headers": [{"name": "x-user"}]}});
    for balancer in [
        json!({"type": "RoundRobin"}),
        json!({"type": "LeastRequest"}),
        json!({"type": "Random"}),
        json!({"type": "BackendUtilization", "backendUtilization": {}}),
        json!({"type": "RoundRobin",
            "endpointOverride": {"extractFrom": [{"header": "x-endpoint"}]}}),
        by_header,
    ] {
        let upstreams = upstreams(3).await?;
        let spec = json!({"loadBalancer": balancer,
            "sessionPersistence": {"cookie": {"name": "basket"}}});
        let envoy = governed(&upstreams, &spec).await?;
        let session = cookie(&envoy.get("/").await?)?;
        let mut seen = BTreeMap::new();
        for (session, count) in [(None, 3), (Some(&session), 1)] {
            upstreams.iter().for_each(Upstream::clear);
            for number in 0..MANY {
                let endpoint = upstreams[number % 3].addr().to_string();
                let mut request = Request::get("/")
                    .header("x-user", format!("user {number}"))
                    .header("x-endpoint", endpoint);
                if let Some(session) = session {
                    request = request.header("cookie", session.clone());
                }
                envoy.send(request).await?;
            }
            seen.insert(count, asked(&upstreams).len());
        }
        let wanted = BTreeMap::from([(1, 1), (3, 3)]);
        ensure!(seen == wanted, "{spec}: {seen:?}");
    }
    Ok(())
}

const TARGET: &str = "group: gateway.networking.k8s.io, kind: HTTPRoute, name";

fn policy(route: &str, lines: &str) -> String {
    format!(
        "kind: BackendTrafficPolicy\nmetadata: {{name: {route}}}\nspec:\n  \
         targetRefs: [{{{TARGET}: {route}}}]\n  {lines}\n---\n"
    )
}

fn two_routes(upstreams: &[Upstream]) -> Result<Bootstrap> {
    Builder::new()
        .raw_cluster(cluster_of("backend", &addresses(upstreams)))
        .route(Route::cluster("/shop", "backend").named("shop"))
        .route(Route::cluster("/blog", "backend").named("blog"))
        .route(Route::cluster("/", "backend").named("rest"))
        .build()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_policy_has_a_cookie_of_its_own() -> Result<()> {
    let upstreams = upstreams(3).await?;
    let policies = ["shop", "blog"].map(|it| policy(it, "sessionPersistence: {}"));
    let (applied, report) = apply(&two_routes(&upstreams)?, &policies.concat())?;
    ensure!(
        report.contains("http_filters btp.stateful_session"),
        "{report}"
    );
    let envoy = Envoy::start(&applied).await?;
    for name in ["shop", "blog"] {
        let path = format!("/{name}");
        let session = cookie(&envoy.get(&path).await?)?;
        let wanted = format!("btp_session_default_{name}_");
        ensure!(session.starts_with(&wanted), "{session}");
        ensure!(spread(&envoy, &upstreams, &with_cookie(&path, &session)).await? == 1);
        ensure!(spread(&envoy, &upstreams, &with_cookie("/rest", &session)).await? == 3);
    }
    ensure!(envoy.get("/rest").await?.header("set-cookie").is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_undone_and_made_again_the_same() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let bootstrap = two_routes(&upstreams)?;
    let session = policy(
        "shop",
        "sessionPersistence: {}\n  requestBuffer: {limit: 1Mi}",
    );
    let other = policy("shop", "timeout: {http: {requestTimeout: 9s}}");
    ensure_undone(&bootstrap, &session, &other)?;
    Ok(())
}

/// As the Gateway API had it until its release 1.6.
#[tokio::test(flavor = "multi_thread")]
async fn the_older_spelling_means_the_same() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let bootstrap = two_routes(&upstreams)?;
    for (old, new) in [
        (
            "{sessionName: a, absoluteTimeout: 1h, type: Cookie, \
             cookieConfig: {lifetimeType: Permanent}}",
            "{absoluteTimeout: 1h, cookie: {name: a, lifetimeType: Permanent}}",
        ),
        (
            "{sessionName: a, type: Header}",
            "{type: Header, header: {name: a}}",
        ),
    ] {
        let [old, new] = [old, new].map(|it| policy("shop", &format!("sessionPersistence: {it}")));
        let said = lint(&bootstrap, &old)?;
        ensure!(said.contains("BTP0117"), "{said}");
        let (old, _) = apply(&bootstrap, &old)?;
        let (new, _) = apply(&bootstrap, &new)?;
        ensure!(old.config() == new.config(), "{}", old.config());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_envoy_cannot_end_is_refused() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let refused = |session: Value| -> Result<String> {
        let mut bootstrap = backend(&upstreams)?;
        let found = bootstrap.govern("backend", &json!({ "sessionPersistence": session }));
        let error = found.err().context("it is not refused")?;
        Ok(error.to_string())
    };
    for (session, says) in [
        (json!({"absoluteTimeout": "1h"}), "lifetimeType Permanent"),
        (
            json!({"type": "Header", "header": {"name": "x"}, "absoluteTimeout": "1h"}),
            "lifetimeType Permanent",
        ),
        (json!({"idleTimeout": "1h"}), "absoluteTimeout"),
        (json!({"type": "Header"}), "header"),
        (
            json!({"cookie": {"lifetimeType": "Permanent"}}),
            "absoluteTimeout",
        ),
        (
            json!({"absoluteTimeout": "1500ms", "cookie": {"lifetimeType": "Permanent"}}),
            "whole seconds",
        ),
        (json!({"cookie": {"path": "/a; Secure"}}), "path"),
        (json!({"cookie": {"name": "a b"}}), "cookie name"),
    ] {
        let said = refused(session.clone())?;
        ensure!(said.contains(says), "{session}: {said}");
    }
    Ok(())
}
