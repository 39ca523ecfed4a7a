//! The scenario tables against the engine and a proxy in memory.
//!
//! The same tables run against the real Envoy in `btp-tests`; where the two
//! disagree, either the engine or what we believe of Envoy is wrong.

use btp_engine::Plan;
use btp_engine::testing::{Message, Outcome, Proxy, demo_upstream};
use btp_policy::PluginConfig;
use serde_json::Value;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A time that the tables' schedules take for now.
const NOW_MS: u64 = 1_795_273_200_000;
const DETAILS_OF_A_DEAD_UPSTREAM: &str = "upstream_reset_before_response_started";

#[test]
fn demo() {
    run(include_str!("../../../tests/scenarios/demo.json"));
}

#[test]
fn edges() {
    run(include_str!("../../../tests/scenarios/edges.json"));
}

#[test]
fn limits() {
    run(include_str!("../../../tests/scenarios/limits.json"));
}

#[test]
fn limit_selectors() {
    run(include_str!(
        "../../../tests/scenarios/limit_selectors.json"
    ));
}

#[test]
fn retry() {
    run(include_str!("../../../tests/scenarios/retry.json"));
}

#[test]
fn services() {
    run(include_str!("../../../tests/scenarios/services.json"));
}

#[test]
fn fault() {
    run(include_str!("../../../tests/scenarios/fault.json"));
}

#[test]
fn overrides() {
    run(include_str!("../../../tests/scenarios/override.json"));
}

#[test]
fn buffer() {
    run(include_str!("../../../tests/scenarios/buffer.json"));
}

#[test]
fn access_log() {
    run(include_str!("../../../tests/scenarios/access_log.json"));
}

#[test]
fn browsers() {
    run(include_str!("../../../tests/scenarios/browsers.json"));
}

fn run(table: &str) {
    let table: Value = serde_json::from_str(table).unwrap();
    let config = PluginConfig::parse(table["config"].to_string().as_bytes()).unwrap();
    let mut proxy = Proxy::new(Plan::compile(config));
    proxy.host.source = Some([127, 0, 0, 1].into());
    proxy.host.wall_ms = NOW_MS;
    let scenarios = table["scenarios"].as_array().unwrap();
    assert!(!scenarios.is_empty());
    let failures: Vec<String> = scenarios
        .iter()
        .flat_map(|scenario| {
            proxy.host.cluster = Some(b"backend".to_vec());
            proxy.host.backends.clear();
            let route = scenario["request"]["path"]
                .as_str()
                .unwrap()
                .split('/')
                .nth(1);
            if let Some(own) = table["clusters"].get(route.unwrap_or_default()) {
                proxy.host.cluster = own["name"].as_str().map(|it| it.as_bytes().to_vec());
                let backends = own["backends"].as_array().into_iter().flatten();
                let backends = backends.filter_map(Value::as_str);
                proxy.host.backends = backends.map(str::to_owned).collect();
            }
            let outcome = play(&mut proxy, &table["routes"], &scenario["request"], scenario);
            let wrong = differences(&scenario["expect"], &outcome);
            wrong
                .into_iter()
                .map(|what| format!("{}: {what}", scenario["name"]))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Routes as the real Envoy of the tables has them.
fn play(proxy: &mut Proxy, routes: &Value, request: &Value, scenario: &Value) -> Outcome {
    let path = request["path"].as_str().unwrap();
    let mut message = Message::request(request["method"].as_str().unwrap_or("GET"), path);
    message.set(":scheme", "http");
    message.set(
        ":authority",
        request["host"].as_str().unwrap_or("127.0.0.1"),
    );
    for header in request["headers"].as_array().into_iter().flatten() {
        message.set(header[0].as_str().unwrap(), header[1].as_str().unwrap());
    }
    message.body = body(request);
    let protocol = match scenario["protocol"].as_str() {
        Some("http2" | "grpc") => "HTTP/2",
        _ => "HTTP/1.1",
    };
    proxy.host.protocol = Some(protocol);
    if scenario["protocol"] == "grpc" {
        message.set(":method", "POST");
        message.set("content-type", "application/grpc");
        let length = u32::try_from(message.body.len()).unwrap();
        let frame = [&[0][..], &length.to_be_bytes()].concat();
        message.body.splice(..0, frame);
    } else if !message.body.is_empty() && request["chunked"] != true {
        message.set("content-length", &message.body.len().to_string());
    }
    let named = routes.as_array().unwrap().iter().filter_map(Value::as_str);
    let found = ["direct", "down"]
        .into_iter()
        .chain(named)
        .find(|name| path.starts_with(&format!("/{name}/")));
    proxy.exchange(found, &message, |request| match found {
        Some("direct") => {
            let headers = [("content-type", "text/plain"), ("content-length", "6")];
            (
                Message::response(418, &headers, b"teapot"),
                "direct_response",
            )
        }
        Some("down") => {
            let headers = [("content-type", "text/plain"), ("content-length", "4")];
            (
                Message::response(503, &headers, b"dead"),
                DETAILS_OF_A_DEAD_UPSTREAM,
            )
        }
        Some(_) => demo_upstream(request),
        None => (Message::response(404, &[], b""), "route_not_found"),
    })
}

fn body(request: &Value) -> Vec<u8> {
    match (request["body"].as_str(), request["bodyBytes"].as_u64()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(count)) => vec![b'x'; usize::try_from(count).unwrap()],
        (None, None) => Vec::new(),
    }
}

fn differences(expect: &Value, outcome: &Outcome) -> Vec<String> {
    let response = &outcome.response;
    let mut wrong = Vec::new();
    let mut check = |name: &str, wanted: &Value, got: Value| {
        if !wanted.is_null() && *wanted != got {
            wrong.push(format!("{name}: wanted {wanted}, got {got}"));
        }
    };
    let status: u16 = response.get(":status").unwrap().parse().unwrap();
    check("status", &expect["status"], status.into());
    let body = String::from_utf8_lossy(&response.body);
    check("body", &expect["body"], body.as_ref().into());
    check(
        "details",
        &expect["details"],
        outcome.details.as_str().into(),
    );
    check(
        "decision",
        &expect["decision"],
        outcome.decision.as_deref().unwrap_or("-").into(),
    );
    let upstream = outcome.upstream_requests;
    check(
        "upstreamRequests",
        &expect["upstreamRequests"],
        upstream.into(),
    );
    let trailers = response.trailers.iter();
    let trailer = trailers
        .filter(|(name, _)| name == "grpc-status")
        .find_map(|(_, value)| std::str::from_utf8(value).ok());
    let grpc_status: Option<u8> = response
        .get("grpc-status")
        .or(trailer)
        .map(|code| code.parse().unwrap());
    check("grpcStatus", &expect["grpcStatus"], grpc_status.into());
    for (name, wanted) in expect["headers"].as_object().into_iter().flatten() {
        let got: Value = response.get(name).into();
        // No length and a length of nothing are the same to a client.
        let same = name == "content-length" && wanted == "0" && got.is_null();
        if *wanted != got && !same {
            wrong.push(format!("{name}: wanted {wanted}, got {got}"));
        }
    }
    let held_ms = outcome.held_ns / 1_000_000;
    if expect["minDelayMs"]
        .as_u64()
        .is_some_and(|least| held_ms < least)
        || expect["maxDelayMs"]
            .as_u64()
            .is_some_and(|most| held_ms > most)
    {
        wrong.push(format!("held for {held_ms} ms"));
    }
    wrong
}
