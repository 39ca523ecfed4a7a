//! Envoy performs the actions of a callback when the callback is over: replies,
//! the end of a stream, a request that goes on. The filter counts on it
//! (`filter/wasm/src/dispatch.rs`): were it called again meanwhile, for the
//! reply's own headers or for the end, its VM would die. So it would in many rows of
//! the scenario tables, which run on every version of Envoy that is supported.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::client::raw;
use btp_tests::{Body, Builder, Envoy, Request, Route, Upstream};
use serde_json::{Value, json};

const LIMIT: usize = 1_000;

fn policies(specs: &[(&str, Value)]) -> Value {
    let of_route = |(route, spec): &(&str, Value)| {
        let mut spec = spec.clone();
        spec["targetRefs"] = json!([
            {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route}]);
        // Responses are looked at, whoever makes them.
        spec["responseOverride"] = json!([
            {"match": {"statusCodes": [{"value": 500}]}, "response": {"body": {"inline": "new"}}},
            {"match": {"statusCodes": [{"value": 418}]}, "response": {"keepBody": true,
                "header": {"set": [{"name": "x-seen", "value": "%PATH%"}]}}}]);
        json!({"metadata": {"name": route}, "spec": spec})
    };
    let policies: Vec<Value> = specs.iter().map(of_route).collect();
    json!({"policies": policies, "allowOnHeadersStopIteration": true})
}

#[tokio::test(flavor = "multi_thread")]
async fn no_callback_comes_before_the_one_at_hand_is_over() -> Result<()> {
    let delay = json!({"fixedDelay": "5ms"});
    let gathered = json!({"limit": LIMIT, "mode": "Buffer", "maxDuration": "300ms"});
    let counted = json!({"limit": LIMIT, "mode": "Stream"});
    let specs = [
        (
            "reply",
            json!({"faultInjection": {"abort": {"httpStatus": 418}}}),
        ),
        (
            "reset",
            json!({"faultInjection": {"abort": {"reset": true}}}),
        ),
        ("waits", json!({"faultInjection": {"delay": delay}})),
        (
            "waits-reply",
            json!({"faultInjection": {"delay": delay, "abort": {"httpStatus": 418}}}),
        ),
        (
            "waits-reset",
            json!({"faultInjection": {"delay": delay, "abort": {"reset": true}}}),
        ),
        ("gathered", json!({"requestBuffer": gathered})),
        ("counted", json!({"requestBuffer": counted})),
    ];
    let upstream = Upstream::start().await?;
    let mut builder = Builder::new()
        .plugin(&policies(&specs))
        .stop_iteration(true)
        .cluster("backend", upstream.addr());
    for (route, _) in specs.iter().rev() {
        // `/waits` is a prefix of others, which therefore come first.
        builder = builder.route(
            Route::cluster(&format!("/{route}/"), "backend")
                .named(route)
                .edit(|route| route["route"]["prefix_rewrite"] = "/".into()),
        );
    }
    let envoy = Envoy::start(&builder.build()?).await?;
    for (path, status) in [
        ("/reply/", Some(418)),
        ("/reset/", None),
        ("/waits/status/200", Some(200)),
        ("/waits/status/500", Some(500)),
        // Chunked: replaced by a reply.
        ("/waits/status/500?chunked", Some(500)),
        ("/waits-reply/", Some(418)),
        ("/waits-reset/", None),
    ] {
        let found = envoy.get(path).await.ok().map(|response| response.status);
        ensure!(found == status, "{path}: {found:?}");
        envoy.assert_vm_alive().await?;
    }
    for path in ["/gathered/", "/counted/"] {
        for (size, status) in [(LIMIT, 200), (LIMIT + 1, 413)] {
            let body = Body::chunked([vec![b'x'; size / 2], vec![b'x'; size - size / 2]]);
            let request = Request::new("POST", path).body(body);
            let found = envoy.send(request).await?.status;
            ensure!(found == status, "{size} bytes to {path}: {found}");
        }
        envoy.assert_vm_alive().await?;
    }
    // The timer answers a body that does not come.
    let mut slow = raw::Connection::open(envoy.addr()).await?;
    slow.send("POST /gathered/ HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nx")
        .await?;
    ensure!(slow.read_head().await?.status == 408);
    // A client that goes while its request waits.
    let mut gone = raw::Connection::open(envoy.addr()).await?;
    gone.send("GET /waits/ HTTP/1.1\r\nhost: h\r\n\r\n").await?;
    drop(gone);
    tokio::time::sleep(Duration::from_millis(20)).await;
    envoy.assert_vm_alive().await
}
