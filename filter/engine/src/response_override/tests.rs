//! Overrides as one sees them from outside, against a proxy in memory.

use btp_policy::PluginConfig;
use proptest::prelude::*;

use crate::action::Flow;
use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::testing::feed;
use crate::testing::{FakeHost, Message, Proxy, demo_upstream};
use crate::worker::Worker;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn plan(rules: &str) -> Plan {
    plan_beside("", rules)
}

fn plan_beside(fault: &str, rules: &str) -> Plan {
    let text = format!(
        r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{{{fault}"responseOverride":[{rules}]}}}}]}}"#
    );
    Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap())
}

const ERRORS: &str =
    r#""match":{"statusCodes":[{"type":"Range","range":{"start":400,"end":599}}]}"#;

/// How often the host is read in the request's phase and in that of a response with this
/// status.
fn lookups(rules: &str, status: &str) -> (usize, usize) {
    let plan = plan(rules);
    let mut host = FakeHost::default();
    host.response_headers = vec![(":status".to_owned(), status.as_bytes().to_vec())];
    let mut exchange = Exchange::default();
    let mut out = Vec::new();
    let flow = feed(&plan, &mut Worker::new(&plan), &mut host, &mut out, |cx| {
        exchange.request_headers(cx, true)
    });
    assert_eq!(flow, Flow::Continue);
    let of_request = host.lookups.get();
    let _ = feed(&plan, &mut Worker::new(&plan), &mut host, &mut out, |cx| {
        exchange.response_headers(cx, true)
    });
    (of_request, host.lookups.get() - of_request)
}

#[test]
fn the_host_is_asked_for_what_the_rules_need_and_no_more() {
    let fixed = format!(r#"{{{ERRORS},"response":{{"body":{{"inline":"x"}}}}}}"#);
    // The content type, for gRPC; the status.
    assert_eq!(lookups(&fixed, "200"), (1, 1));
    assert_eq!(lookups(&fixed, "500"), (1, 2));
    let printing = format!(r#"{{{ERRORS},"response":{{"body":{{"inline":"%REQ(a)% %PATH%"}}}}}}"#);
    // All request headers at once.
    assert_eq!(lookups(&printing, "200"), (1, 1));
    let local = format!(r#"{{{ERRORS},"source":"Local","response":{{}}}}"#);
    assert_eq!(lookups(&local, "200"), (1, 1));
    // The status, the source, the headers for matching and for building.
    assert_eq!(lookups(&local, "500"), (1, 4));
    let headers =
        r#"{"match":{"responseHeaders":[{"name":"a","value":{"value":"b"}}]},"response":{}}"#;
    assert_eq!(lookups(headers, "200"), (1, 2));
    let duration = format!(r#"{{{ERRORS},"response":{{"body":{{"inline":"%DURATION%"}}}}}}"#);
    assert_eq!(lookups(&duration, "200"), (1, 1));
}

#[test]
fn a_duration_counts_from_the_request() {
    let fault = r#""faultInjection":{"delay":{"fixedDelay":"250ms"}},"#;
    let rule = format!(r#"{{{ERRORS},"response":{{"body":{{"inline":"%DURATION% ms"}}}}}}"#);
    let mut proxy = Proxy::new(plan_beside(fault, &rule));
    let outcome = proxy.exchange(None, &Message::request("GET", "/status/500"), demo_upstream);
    assert_eq!(outcome.response.body, b"250 ms");
}

#[test]
fn our_own_replies_to_grpc_clients_keep_their_status_unless_told_otherwise() {
    let fault = r#""faultInjection":{"abort":{"httpStatus":503}},"#;
    let mut call = Message::request("POST", "/svc/method");
    call.set("content-type", "application/grpc");
    for (rule, status, message) in [
        (
            r#"{"match":{"grpcStatus":[14]},"response":{"body":{"inline":"%RESPONSE_CODE%"}}}"#,
            "14",
            Some("503"),
        ),
        (
            r#"{"match":{"grpcStatus":[14]},"response":{"grpcStatus":8,"keepBody":false}}"#,
            "8",
            None,
        ),
        (
            r#"{"match":{"statusCodes":[{"value":200}]},"response":{"statusCode":404}}"#,
            "12",
            None,
        ),
        (
            r#"{"match":{"grpcStatus":[13]},"response":{}}"#,
            "14",
            Some("fault filter abort"),
        ),
        (
            r#"{"match":{"statusCodes":[{"value":200}]},"response":{"keepBody":true}}"#,
            "14",
            Some("fault filter abort"),
        ),
    ] {
        let mut proxy = Proxy::new(plan_beside(fault, rule));
        let outcome = proxy.exchange(None, &call, demo_upstream);
        assert_eq!(outcome.response.get("grpc-status"), Some(status), "{rule}");
        assert_eq!(outcome.response.get("grpc-message"), message, "{rule}");
        assert_eq!(outcome.details, "btp_fault_abort");
    }
}

#[test]
fn vary_is_one_header_and_loses_nothing() {
    let rule = format!(
        r#"{{{ERRORS},"keepHeaders":"All","response":{{"variants":[
            {{"contentType":"text/html","body":{{"inline":"x"}}}}]}}}}"#
    );
    let mut proxy = Proxy::new(plan(&rule));
    for (vary, wanted) in [
        (None, vec!["accept"]),
        (Some("Accept"), vec!["Accept"]),
        (Some("origin, ACCEPT"), vec!["origin, ACCEPT"]),
        (Some("*"), vec!["*"]),
        (Some("origin"), vec!["origin, accept"]),
    ] {
        let query = vary.map_or(String::new(), |vary| format!("?h=vary:{vary}"));
        let request = Message::request("GET", &format!("/status/500{query}"));
        let response = proxy.exchange(None, &request, demo_upstream).response;
        let values: Vec<&[u8]> = response
            .headers
            .iter()
            .filter(|(name, _)| name == "vary")
            .map(|(_, value)| value.as_slice())
            .collect();
        let wanted: Vec<&[u8]> = wanted.into_iter().map(str::as_bytes).collect();
        assert_eq!(values, wanted, "{vary:?}");
    }
}

/// And no other bodiless answer is spared.
#[test]
fn what_cors_answers_a_preflight_is_never_replaced() {
    let rule = r#"{"match":{"statusCodes":[{"type":"Range","range":{"start":200,"end":599}}]},
        "response":{"statusCode":503}}"#;
    for (details, status) in [("cors_response", "200"), ("via_upstream", "503")] {
        let mut proxy = Proxy::new(plan(rule));
        let preflight = Message::request("OPTIONS", "/");
        let allows = |_: &Message| (Message::response(200, &[], b""), details);
        let response = proxy.exchange(None, &preflight, allows).response;
        assert_eq!(response.get(":status"), Some(status), "{details}");
    }
}

#[test]
fn a_content_type_among_the_headers_is_the_only_one() {
    for list in ["add", "set"] {
        let rule = format!(
            r#"{{{ERRORS},"response":{{"body":{{"inline":"x"}},
                "header":{{"{list}":[{{"name":"Content-Type","value":"text/x"}}]}}}}}}"#
        );
        let mut proxy = Proxy::new(plan(&rule));
        let request = Message::request("GET", "/status/500");
        let response = proxy.exchange(None, &request, demo_upstream).response;
        let headers = response.headers.iter();
        let types: Vec<_> = headers.filter(|(name, _)| name == "content-type").collect();
        assert_eq!(types, [&("content-type".to_owned(), b"text/x".to_vec())]);
    }
}

/// An upgrade must not be torn down, nor a status sent on that Envoy refuses.
#[test]
fn a_rule_for_any_status_takes_final_ones_only() {
    let rule = r#"{"match":{"requests":[{"methods":[{"value":"GET"}]}]},"response":{}}"#;
    for (status, taken) in [("101", false), ("200", true), ("599", true), ("600", false)] {
        let mut proxy = Proxy::new(plan(rule));
        let answers = |_: &Message| {
            let mut response = Message::response(200, &[("x", "y")], b"");
            response.set(":status", status);
            (response, "via_upstream")
        };
        let request = Message::request("GET", "/");
        let response = proxy.exchange(None, &request, answers).response;
        assert_eq!(response.get("x").is_none(), taken, "{status}");
    }
}

/// The location that a client gets for this path and authority.
fn location(redirect: &str, path: &str, authority: &str) -> String {
    let rule = format!(r#"{{{ERRORS},"redirect":{{"mode":"Client",{redirect}}}}}"#);
    let mut proxy = Proxy::new(plan(&rule));
    let mut request = Message::request("GET", path);
    request.set(":scheme", "http");
    request.set(":authority", authority);
    let fails = |_: &Message| (Message::response(500, &[], b""), "via_upstream");
    let response = proxy.exchange(None, &request, fails).response;
    response.get("location").unwrap().to_owned()
}

#[test]
fn redirects_change_what_they_name() {
    for (redirect, authority, wanted) in [
        (r#""scheme":"https""#, "a.b:80", "https://a.b/x?y=%41"),
        (r#""scheme":"http""#, "a.b:81", "http://a.b:81/x?y=%41"),
        (r#""port":8443"#, "a.b", "http://a.b:8443/x?y=%41"),
        (r#""hostname":"c.d""#, "a.b:81", "http://c.d/x?y=%41"),
        (r#""port":1"#, "[::1]:80", "http://[::1]:1/x?y=%41"),
        (r#""port":1"#, "[::1]", "http://[::1]:1/x?y=%41"),
        (
            r#""path":{"type":"ReplaceFullPath","replaceFullPath":"/z?%%25#%REQ(:path):4%"}"#,
            "a.b",
            "/z?%25#%2Fx%3Fy",
        ),
    ] {
        assert_eq!(location(redirect, "/x?y=%41", authority), wanted);
    }
}

proptest! {
    /// Wherever it came from, a value stays within the path or query that it
    /// was put into, and the path that stays is no other host.
    #[test]
    fn no_value_leads_elsewhere(path in "/[ -~]{0,30}") {
        let to = r#""path":{"type":"ReplaceFullPath","replaceFullPath":"/login?back=%REQ(:PATH)%"}"#;
        let found = location(to, &path, "a.b");
        let value = found.strip_prefix("/login?back=").unwrap();
        prop_assert!(!value.contains(['/', '?', '&', '#', '=', ' ', '"']), "{}", found);
        let found = location(r#""scheme":"https""#, &path, "a.b");
        prop_assert!(found.starts_with("https://a.b/"), "{}", found);
        prop_assert!(!found.contains([' ', '"', '<', '>', '\\']), "{}", found);
    }

    #[test]
    fn anything_may_be_in_headers(
        name in "[a-z-]{1,12}",
        value in proptest::collection::vec(any::<u8>(), 0..40),
        accept in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let rule = format!(
            r#"{{{ERRORS},"keepHeaders":"All","response":{{"header":{{"set":[{{"name":"x","value":"%RESP(h)%"}}]}},
                "variants":[{{"contentType":"text/html","body":{{"inline":"%RESP(h)%%REQ(accept)%"}}}},
                            {{"contentType":"a/json","body":{{"inline":"\"%RESP(h):7%\""}}}}]}}}}"#
        );
        let mut proxy = Proxy::new(plan(&rule));
        let mut request = Message::request("GET", "/");
        request.headers.push(("accept".to_owned(), accept));
        let fails = |_: &Message| {
            let mut response = Message::response(500, &[], b"");
            response.headers.push((name.clone(), value.clone()));
            response.headers.push(("h".to_owned(), value.clone()));
            (response, "via_upstream")
        };
        let response = proxy.exchange(None, &request, fails).response;
        let x = response.headers.iter().find(|(name, _)| name == "x").unwrap();
        prop_assert!(!x.1.iter().any(|byte| b"\r\n\0".contains(byte)));
        let body = String::from_utf8(response.body).unwrap();
        prop_assert!(!body.contains('<'));
    }
}
