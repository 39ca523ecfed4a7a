//! Any bytes as a request that conditions look at and a page is negotiated
//! for: its path with a query, and its Accept.

#![no_main]

use std::cell::RefCell;

use btp_engine::Plan;
use btp_engine::testing::{Message, Proxy};
use btp_policy::PluginConfig;
use libfuzzer_sys::fuzz_target;

/// One page of three types, for requests that meet conditions of each kind
/// and for those that do not.
const CONFIG: &str = r#"{"policies": [{"metadata": {"name": "p"}, "spec": {
    "responseOverride": [
        {"match": {"statusCodes": [{"value": 500}], "requests": [
            {"queryParams": [{"name": "q", "value": "a b"}]},
            {"path": {"type": "RegularExpression", "value": "/(a|b)+/[0-9]{1,4}"}},
            {"headers": [{"name": "accept", "type": "RegularExpression", "value": ".*xhtml.*"}]}]},
         "response": {"statusCode": 502, "contentType": "text/plain",
            "body": {"inline": "%QUERY_PARAM(q)% %PATH(NQ)% %REQ(accept):9%"}}},
        {"match": {"statusCodes": [{"value": 500}]}, "response": {"variants": [
            {"contentType": "text/html", "body": {"inline": "<p>%QUERY_PARAM(q)%</p>"}},
            {"contentType": "application/problem+json", "body": {"inline": "{\"q\": \"%QUERY_PARAM(q)%\"}"}},
            {"contentType": "text/plain", "body": {"inline": "%REQ(:path)%"}}]}}]}}]}"#;

/// What parts the path from the Accept.
const BREAK: u8 = b'\n';

thread_local! {
    static PROXY: RefCell<Proxy> = RefCell::new(proxy());
}

fn proxy() -> Proxy {
    let config = PluginConfig::parse(CONFIG.as_bytes()).expect("the configuration is fine");
    Proxy::new(Plan::compile(config))
}

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == BREAK);
    let (path, accept) = input.split_at(end.unwrap_or(input.len()));
    let mut request = Message::request("GET", "/");
    request.headers.retain(|(name, _)| name != ":path");
    request.headers.push((":path".to_owned(), path.to_vec()));
    request.headers.push(("accept".to_owned(), accept.to_vec()));
    PROXY.with_borrow_mut(|proxy| {
        let answer = Message::response(500, &[("content-length", "3")], b"no\n");
        let outcome = proxy.exchange(None, &request, |_| (answer.clone(), "via_upstream"));
        let kind = outcome.response.get("content-type").unwrap_or_default();
        let body = &outcome.response.body;
        match kind {
            "text/html" => {
                let inner = body
                    .strip_prefix(b"<p>")
                    .and_then(|it| it.strip_suffix(b"</p>"));
                assert!(inner.is_some_and(|inner| !inner.contains(&b'<')));
            }
            "application/problem+json" => {
                serde_json::from_slice::<serde_json::Value>(body).expect("it is JSON");
            }
            "text/plain" => {}
            other => panic!("an answer of type {other:?}"),
        }
    });
});
