//! What Envoy's `cors` filter writes is on every response that a page of another
//! origin reads, whatever we make of it and wherever our filter stands.

use anyhow::{Context, Result, bail, ensure};
use btp_tests::bootstrap::wasm_filter;
use btp_tests::client::{h1, h2};
use btp_tests::{Body, Builder, Envoy, Request, Response, Route, Upstream};
use serde_json::{Value, json};

const ORIGIN: &str = "https://app.test";

/// Where our filter stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    InFrontOfCors,
    BehindCors,
}

const PLACES: [Place; 2] = [Place::InFrontOfCors, Place::BehindCors];

fn cors() -> Value {
    json!({
        "name": "envoy.filters.http.cors",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"},
    })
}

/// Lets pages of one origin read all that the route answers.
fn shared(route: Route) -> Route {
    route.edit(|route| {
        route["typed_per_filter_config"] = json!({"envoy.filters.http.cors": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
            "allow_origin_string_match": [{"exact": ORIGIN}],
            "allow_methods": "GET, POST",
            "expose_headers": "grpc-status, grpc-message",
            "allow_credentials": true,
        }});
    })
}

async fn start(place: Place, spec: &Value) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let plugin = json!({
        "allowOnHeadersStopIteration": true,
        "policies": [{"metadata": {"name": "p"}, "spec": spec}]});
    let ours = wasm_filter(&plugin, true)?;
    let filters = match place {
        Place::InFrontOfCors => [ours, cors()],
        Place::BehindCors => [cors(), ours],
    };
    let nobody = ([127, 0, 0, 1], 1).into();
    let mut builder = Builder::new()
        .route(shared(Route::cluster("/down/", "down")))
        .route(shared(Route::cluster("/", "backend")))
        .cluster("backend", upstream.addr())
        .cluster("down", nobody);
    for filter in filters {
        builder = builder.http_filter(filter);
    }
    Ok((Envoy::start(&builder.build()?).await?, upstream))
}

fn of_app(method: &str, path: &str) -> Request {
    Request::new(method, path).header("origin", ORIGIN)
}

fn preflight(path: &str) -> Request {
    of_app("OPTIONS", path).header("access-control-request-method", "POST")
}

fn may_read(response: &Response) -> Result<()> {
    for (name, wanted) in [
        ("access-control-allow-origin", ORIGIN),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "grpc-status, grpc-message"),
    ] {
        let values = response.header_values(name);
        ensure!(values == [wanted.as_bytes()], "{name}: {response:?}");
    }
    Ok(())
}

fn page_for_all(status: u16) -> Value {
    json!({
        "match": {"statusCodes": [{"type": "Range", "range": {"start": 200, "end": 599}}]},
        "response": {"statusCode": status, "body": {"inline": "closed"}},
    })
}

fn overrides() -> Value {
    let of = |status: u16| json!({"statusCodes": [{"value": status}]});
    json!({"responseOverride": [
        {"match": of(404), "response": {"body": {"inline": "no such page"}}},
        {"match": of(503), "response": {"body": {"inline": "not now"}}},
        {"match": of(401), "redirect": {"mode": "Client", "hostname": "login.test",
                                        "scheme": "https"}}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_may_read_what_is_overridden() -> Result<()> {
    for place in PLACES {
        let (envoy, _upstream) = start(place, &overrides()).await?;
        let mut cases = vec![
            ("GET", "/status/404", 404, "no such page"),
            ("GET", "/down/", 503, "not now"),
            ("GET", "/status/401", 302, ""),
            ("GET", "/status/401?empty", 302, ""),
            ("POST", "/status/404", 404, "no such page"),
        ];
        // A reply in the place of a response passes no filter in front of us, so
        // these cannot have what cors did not write yet.
        if place == Place::InFrontOfCors {
            cases.extend([
                ("GET", "/status/404?chunked", 404, "no such page"),
                ("GET", "/status/404?empty", 404, "no such page"),
                ("GET", "/status/404?bytes=70000", 404, "no such page"),
                ("GET", "/status/401?chunked", 302, ""),
                ("HEAD", "/status/404", 404, ""),
            ]);
        }
        for (method, path, status, body) in cases {
            let one = h1::send(envoy.addr(), of_app(method, path)).await?;
            let two = h2::send(envoy.addr(), of_app(method, path)).await?;
            for response in [one, two] {
                let context = || format!("{place:?} {method} {path}");
                may_read(&response).with_context(context)?;
                ensure!(response.status == status, "{place:?} {response:?}");
                ensure!(response.text() == body, "{place:?} {response:?}");
            }
        }
        let other = Request::get("/status/404").header("origin", "https://evil.test");
        let other = h1::send(envoy.addr(), other).await?;
        let header = other.header("access-control-allow-origin");
        ensure!(header.is_none(), "{place:?} {other:?}");
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

/// Behind cors; in front of it cors has not seen the request when we refuse it.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_may_read_our_own_replies_behind_cors() -> Result<()> {
    let at = |path: &str| json!([{"path": {"value": path}}]);
    let spec = json!({
        "faultInjection": {"match": at("/abort"), "abort": {"httpStatus": 418}},
        "rateLimit": {"local": {"rules": [{
            "limit": {"requests": 0, "unit": "Hour"},
            "clientSelectors": [{"path": {"type": "PathPrefix", "value": "/limit"}}]}]}},
        "requestBuffer": {"limit": 2},
        "responseOverride": [
            {"match": {"requests": at("/limit/page")},
             "response": {"statusCode": 503, "body": {"inline": "closed"}}}],
    });
    let (envoy, upstream) = start(Place::BehindCors, &spec).await?;
    for (path, status) in [
        ("/abort", 418),
        ("/limit", 429),
        ("/limit/page", 503),
        ("/large", 413),
    ] {
        let post = of_app("POST", path).body(Body::sized("12345"));
        let refused = h1::send(envoy.addr(), post).await?;
        ensure!(refused.status == status, "{refused:?}");
        may_read(&refused).context(path)?;
        let allowed = h1::send(envoy.addr(), preflight(path)).await?;
        ensure!(
            allowed.status == 200,
            "cors answers preflights: {allowed:?}"
        );
    }
    ensure!(upstream.requests().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_that_cors_has_answered_is_never_replaced() -> Result<()> {
    for place in PLACES {
        let spec = json!({"responseOverride": [page_for_all(503)]});
        let (envoy, _upstream) = start(place, &spec).await?;
        let allowed = h1::send(envoy.addr(), preflight("/status/200")).await?;
        ensure!(allowed.status == 200, "{place:?} {allowed:?}");
        let methods = allowed.header("access-control-allow-methods");
        ensure!(
            methods.as_deref() == Some("GET, POST"),
            "{place:?} {allowed:?}"
        );
        let closed = h1::send(envoy.addr(), of_app("GET", "/status/200")).await?;
        ensure!(
            closed.status == 503 && closed.text() == "closed",
            "{closed:?}"
        );
        may_read(&closed)?;
    }
    Ok(())
}

/// cors overwrites what the origin says of the same; the rest is the origin's.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_origin_says_of_cors_survives_beside_it() -> Result<()> {
    let said = "/status/404?h=access-control-allow-origin:*&h=access-control-max-age:5\
                &h=vary:Origin&h=vary:accept-language,origin";
    for place in PLACES {
        let (envoy, _upstream) = start(place, &overrides()).await?;
        let response = h2::send(envoy.addr(), of_app("GET", said)).await?;
        may_read(&response)?;
        let age = response.header("access-control-max-age");
        ensure!(age.as_deref() == Some("5"), "{place:?} {response:?}");
        let vary = response.header_values("vary");
        let [vary] = vary[..] else {
            bail!("{place:?} {response:?}");
        };
        let vary = String::from_utf8_lossy(vary).to_lowercase();
        for name in ["origin", "accept-language"] {
            ensure!(vary.contains(name), "{place:?} {response:?}");
        }
        // Who is not told apart by cors gets what the origin says to all.
        let alone = h1::send(envoy.addr(), Request::get(said)).await?;
        let origins = alone.header("access-control-allow-origin");
        ensure!(origins.as_deref() == Some("*"), "{place:?} {alone:?}");
    }
    Ok(())
}
