//! A gRPC-Web client reads a gRPC status and message in every reply of ours,
//! wherever our filter stands.

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use btp_tests::bootstrap::wasm_filter;
use btp_tests::client::{h1, h2};
use btp_tests::{Body, Builder, Envoy, Request, Response, Route, Upstream};
use serde_json::{Value, json};

/// Where our filter stands, seen from `grpc_web`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    InFront,
    Behind,
    Alone,
}

const PLACES: [Place; 3] = [Place::InFront, Place::Behind, Place::Alone];

/// Content types of requests, and of the answers to them.
const TYPES: [(&str, &str); 4] = [
    ("application/grpc-web", "application/grpc-web+proto"),
    ("application/grpc-web+proto", "application/grpc-web+proto"),
    (
        "application/grpc-web-text",
        "application/grpc-web-text+proto",
    ),
    (
        "application/grpc-web-text+proto",
        "application/grpc-web-text+proto",
    ),
];

/// Envoy with a route for each name, and this policy for it.
async fn start(place: Place, specs: &[(&str, Value)]) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let policies = specs.iter().map(|(name, spec)| {
        let mut spec = spec.clone();
        let group = "gateway.networking.k8s.io";
        spec["targetRefs"] = json!([{"group": group, "kind": "HTTPRoute", "name": name}]);
        json!({"metadata": {"name": name}, "spec": spec})
    });
    let policies: Vec<Value> = policies.collect();
    let plugin = json!({"allowOnHeadersStopIteration": true, "policies": policies});
    let ours = wasm_filter(&plugin, true)?;
    let grpc_web = json!({
        "name": "envoy.filters.http.grpc_web",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
        },
    });
    let filters = match place {
        Place::InFront => vec![ours, grpc_web],
        Place::Behind => vec![grpc_web, ours],
        Place::Alone => vec![ours],
    };
    let mut builder = Builder::new()
        .cluster_h2("backend", upstream.addr())
        .cluster("down", ([127, 0, 0, 1], 1).into());
    for (name, _) in specs {
        let route = |prefix: &str, cluster| Route::cluster(prefix, cluster).named(name);
        builder = builder
            .route(route(&format!("/{name}/down/"), "down"))
            .route(route(&format!("/{name}/"), "backend"));
    }
    for filter in filters {
        builder = builder.http_filter(filter);
    }
    Ok((Envoy::start(&builder.build()?).await?, upstream))
}

/// A call with one message of ten bytes, of which all are framing and text.
fn call(path: &str, content_type: &str) -> Request {
    let frame = match content_type.contains("text") {
        true => &b"AAAAAAVoZWxsbw=="[..],
        false => &b"\0\0\0\0\x05hello"[..],
    };
    Request::new("POST", path)
        .header("content-type", content_type)
        .header("accept", content_type)
        .header("x-grpc-web", "1")
        .body(Body::sized(frame))
}

/// Sends the same over HTTP/1 and HTTP/2.
async fn both(envoy: &Envoy, request: &Request) -> Result<[Response; 2]> {
    let one = h1::send(envoy.addr(), request.clone()).await?;
    let two = h2::send(envoy.addr(), request.clone()).await?;
    Ok([one, two])
}

/// Status and message, from the headers or from the frame at the body's end.
fn told(response: &Response, content_type: &str) -> Result<(String, String)> {
    if response.body.is_empty() {
        let header = |name| response.header(name).unwrap_or_default();
        return Ok((header("grpc-status"), header("grpc-message")));
    }
    for name in ["grpc-status", "grpc-message"] {
        ensure!(response.header(name).is_none(), "told twice: {response:?}");
    }
    let frame = match content_type.contains("text") {
        true => BASE64_STANDARD.decode(&response.body)?,
        false => response.body.clone(),
    };
    let Some(([0x80, length @ ..], trailers)) = frame.split_first_chunk::<5>() else {
        bail!("no frame of trailers: {response:?}");
    };
    ensure!(
        u32::from_be_bytes(*length) as usize == trailers.len(),
        "{response:?}"
    );
    let trailers = String::from_utf8(trailers.to_vec())?;
    let trailer = |name: &str| {
        let mut lines = trailers.split("\r\n");
        lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.to_owned()))
    };
    Ok((
        trailer("grpc-status").unwrap_or_default(),
        trailer("grpc-message").unwrap_or_default(),
    ))
}

fn tells(response: &Response, content_type: Option<&str>, wanted: (&str, &str)) -> Result<()> {
    ensure!(response.broken.is_none(), "{response:?}");
    ensure!(response.status == 200, "{response:?}");
    ensure!(
        response.header_values("content-type").len() <= 1,
        "{response:?}"
    );
    ensure!(
        response.header("content-type").as_deref() == content_type,
        "{response:?}"
    );
    let (status, message) = told(response, content_type.unwrap_or_default())?;
    ensure!(
        (&*status, &*message) == wanted,
        "{status} {message}: {response:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_replies_tell_status_and_message() -> Result<()> {
    let limit = json!({"local": {"rules": [{"limit": {"requests": 0, "unit": "Hour"}}]}});
    let abort = |abort: Value| json!({"faultInjection": {"abort": abort}});
    let delayed = json!({"faultInjection": {
        "delay": {"fixedDelay": "20ms"}, "abort": {"httpStatus": 503}}});
    let page = json!({"rateLimit": limit, "responseOverride": [
        {"match": {"grpcStatus": [14]}, "response": {"grpcStatus": 3, "body": {"inline": "page"}}}]});
    let streamed = json!({"requestBuffer": {"limit": 2, "mode": "Stream"}});
    let keyed = json!({"rateLimit": {"local": {"rules": [{
        "clientSelectors": [{"headers": [
            {"name": "x-user", "type": "Distinct", "onMissing": "Refuse"}]}],
        "limit": {"requests": 1, "unit": "Hour"}}]}}});
    let cases = [
        (
            "limited",
            json!({"rateLimit": limit}),
            "14",
            "local_rate_limited",
        ),
        ("keyed", keyed, "3", "missing_key"),
        ("paged", page, "3", "page"),
        (
            "aborted",
            abort(json!({"grpcStatus": 8})),
            "8",
            "fault filter abort",
        ),
        (
            "mapped",
            abort(json!({"httpStatus": 404, "body": "50%"})),
            "12",
            "50%25",
        ),
        ("delayed", delayed, "14", "fault filter abort"),
        (
            "gathered",
            json!({"requestBuffer": {"limit": 2}}),
            "8",
            "Payload Too Large",
        ),
        ("streamed", streamed, "8", "Payload Too Large"),
    ];
    let specs = cases.clone().map(|(name, spec, ..)| (name, spec));
    for place in PLACES {
        let (envoy, upstream) = start(place, &specs).await?;
        for (name, _, status, message) in &cases {
            for (asked, told) in TYPES {
                let request = call(&format!("/{name}/status/200"), asked);
                for response in both(&envoy, &request).await? {
                    tells(&response, Some(told), (status, message))
                        .with_context(|| format!("{place:?} {asked} {name}"))?;
                }
            }
        }
        envoy.assert_vm_alive().await?;
        // What is too large may have begun: behind grpc_web it is a call.
        for request in upstream.requests() {
            let begins = ["/streamed/", "/gathered/"];
            ensure!(
                begins.iter().any(|it| request.path.starts_with(it)),
                "{request:?}"
            );
        }
    }
    Ok(())
}

fn overrides() -> Value {
    let of = |status: u16| json!({"statusCodes": [{"value": status}]});
    json!({"responseOverride": [
        {"match": of(404), "response": {"grpcStatus": 5, "body": {"inline": "no page"}}},
        {"match": of(503), "response": {"body": {"inline": "not now"}}},
        {"match": of(401), "redirect": {"mode": "Client", "hostname": "login.test",
                                        "scheme": "https"}},
        {"match": {"grpcStatus": [7]}, "response": {"grpcStatus": 16, "body": {"inline": "who?"}}}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn overrides_tell_status_and_message() -> Result<()> {
    for place in PLACES {
        let (envoy, _upstream) = start(place, &[("all", overrides())]).await?;
        for (path, status, message) in [
            ("/all/status/404", "5", "no page"),
            ("/all/status/404?chunked", "5", "no page"),
            ("/all/status/404?empty", "5", "no page"),
            ("/all/down/", "14", "not now"),
            ("/all/status/401", "2", ""),
            ("/all/grpc/7", "16", "who?"),
        ] {
            // A reply in the place of a response with a body passes no filter in
            // front of us: nobody turns gRPC back into gRPC-Web, and Envoy gives what
            // has no body no content type.
            let is_reply = !path.contains("empty") && !path.contains("grpc");
            for (asked, told) in TYPES {
                let told = match place {
                    Place::Behind if is_reply => None,
                    _ => Some(told),
                };
                for response in both(&envoy, &call(path, asked)).await? {
                    tells(&response, told, (status, message))
                        .with_context(|| format!("{place:?} {asked} {path}"))?;
                }
            }
        }
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

/// An answer with messages goes on to the client as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_succeeds_is_left_alone() -> Result<()> {
    for place in [Place::InFront, Place::Behind] {
        let (envoy, upstream) = start(place, &[("all", overrides())]).await?;
        for (asked, told) in TYPES {
            for response in both(&envoy, &call("/all/grpc-stream", asked)).await? {
                let content_type = response.header("content-type");
                ensure!(content_type.as_deref() == Some(told), "{response:?}");
                let text = response.text();
                let is_whole = match asked.contains("text") {
                    true => text.starts_with("AAAAAAVoZWxsbw=="),
                    false => text.contains("hello") && text.contains("grpc-status:0"),
                };
                ensure!(is_whole, "{place:?} {asked} {response:?}");
            }
        }
        let seen = upstream.requests();
        let as_grpc = |it: &&btp_tests::upstream::RecordedRequest| it.body == b"\0\0\0\0\x05hello";
        ensure!(seen.iter().filter(as_grpc).count() == 8, "{seen:?}");
    }
    Ok(())
}
