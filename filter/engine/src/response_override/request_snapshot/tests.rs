//! What is kept of requests, and that it is printed as if all were kept.

use btp_policy::PluginConfig;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::response_override::captured::Location;
use crate::response_override::memory_quota::MemoryQuota;
use crate::testing::feed;
use crate::testing::{FakeHost, Message, Proxy};
use crate::worker::Worker;

mod waiting;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const TOO_LONG: &str = "btp.default.p.request_values_too_long";
const NO_ROOM: &str = "btp.default.p.request_values_no_room";
/// What an item costs beside its value.
const PLACE: usize = size_of::<Location>();

fn plan(limits: &Value, spec: &Value) -> Plan {
    let policies = json!([{"metadata": {"name": "p"}, "spec": spec}]);
    let text = json!({"policies": policies, "limits": limits}).to_string();
    Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap())
}

fn errors() -> Value {
    json!({"statusCodes": [{"type": "Range", "range": {"start": 500, "end": 599}}]})
}

fn printing(body: &str) -> Value {
    json!({"responseOverride": [{"match": errors(), "response": {"body": {"inline": body}}}]})
}

fn request(path: &str, headers: &[(&str, &str)]) -> Message {
    let mut message = Message::request("GET", path);
    let headers = headers.iter();
    message
        .headers
        .extend(headers.map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())));
    message
}

/// An exchange whose request has gone on.
fn open(plan: &Plan, worker: &mut Worker, host: &mut FakeHost, request: &Message) -> Exchange {
    host.request_headers.clone_from(&request.headers);
    let mut exchange = Exchange::default();
    let _ = feed(plan, worker, host, &mut Vec::new(), |cx| {
        exchange.request_headers(cx, false)
    });
    exchange
}

fn answer(
    exchange: &mut Exchange,
    status: &str,
    plan: &Plan,
    worker: &mut Worker,
    host: &mut FakeHost,
) {
    host.response_headers = vec![(":status".to_owned(), status.as_bytes().to_vec())];
    let _ = feed(plan, worker, host, &mut Vec::new(), |cx| {
        exchange.response_headers(cx, true)
    });
}

/// What is kept of one request.
fn kept_of(spec: &Value, request: &Message) -> usize {
    let plan = plan(&json!({}), spec);
    let mut worker = Worker::new(&plan);
    let _open = open(&plan, &mut worker, &mut FakeHost::new(&plan), request);
    worker.quota().used()
}

#[test]
fn a_value_is_kept_once_whoever_prints_it() {
    let path = format!("/{}?q={}&z=1", "a".repeat(200), "b".repeat(300));
    let of_path = request(&path, &[("x", "0123456789")]);
    for (body, bytes) in [
        ("%REQ(:path)%", path.len() + PLACE),
        (
            "%REQ(:path)% %PATH(WQ)% %PATH(NQ)% %QUERY_PARAM(q)% %PATH% %REQ(:path):7%",
            path.len() + 5 * PLACE,
        ),
        ("%QUERY_PARAM(q)%%PATH(NQ)%", 300 + 201 + 2 * PLACE),
        ("%QUERY_PARAM(q)%%PATH(WQ)%", path.len() + 2 * PLACE),
        ("%REQ(x)%%REQ(x?y)%%REQ(z?x)%%REQ(x):3%", 10 + 4 * PLACE),
        ("%REQ(x):3%%REQ(x?y):5%", 5 + 2 * PLACE),
        ("%REQ(y)%", 0),
        ("%RESPONSE_CODE% %RESP(x)%", 0),
    ] {
        assert_eq!(kept_of(&printing(body), &of_path), bytes, "{body}");
    }
}

#[test]
fn no_more_is_kept_than_can_be_printed() {
    let long = "x%41".repeat(10_000);
    let long_path = format!("/{long}?q={long}");
    let request = request(&long_path, &[("x", &long)]);
    for (body, bytes) in [
        ("%REQ(x):20%", 20),
        ("%PATH(WQ):30%", 30),
        ("%PATH(NQ):40%", 40),
        // As it came: an x, and three bytes for one.
        ("%QUERY_PARAM(q):50%", 25 + 75),
        ("%REQ(x):0%", 0),
    ] {
        assert_eq!(kept_of(&printing(body), &request), bytes + PLACE, "{body}");
    }
}

#[test]
fn of_accept_is_kept_what_is_heeded() {
    let variants = json!({"responseOverride": [{"match": errors(), "response": {"variants": [
        {"contentType": "text/html", "body": {"inline": "x"}},
        {"contentType": "text/plain", "body": {"inline": "y"}}]}}]});
    let many = ["text/plain"; 80].join(",");
    let sixty_four = ["text/plain"; 64].join(",").len();
    let endless = "a".repeat(50_000);
    for (accept, bytes) in [
        ("text/plain", 10 + PLACE),
        (&many, sixty_four + PLACE),
        (&endless, PLACE),
    ] {
        let request = request("/", &[("accept", accept)]);
        assert_eq!(kept_of(&variants, &request), bytes);
    }
}

#[test]
fn nothing_is_kept_for_a_rule_that_is_ruled_out() {
    let spec = json!({"responseOverride": [{
        "match": {"requests": [{"headers": [{"name": "x-a", "value": "1"}]}]},
        "response": {"body": {"inline": "%PATH%"}}}]});
    assert_eq!(kept_of(&spec, &request("/abc", &[])), 0);
    assert_eq!(kept_of(&spec, &request("/abc", &[("x-a", "1")])), 4 + PLACE);
    let redirect = |to: Value| json!({"responseOverride": [{"match": errors(), "redirect": to}]});
    let asked = request("/abc", &[(":scheme", "http"), (":authority", "a.b:80")]);
    for (to, bytes) in [
        (
            json!({"mode": "Client", "scheme": "https"}),
            4 + 6 + 4 + 3 * PLACE,
        ),
        (
            json!({"mode": "Client", "scheme": "https", "port": 1}),
            6 + 4 + 2 * PLACE,
        ),
        (
            json!({"mode": "Client", "scheme": "https", "port": 1, "hosts": ["a.b"]}),
            4 + 6 + 4 + 3 * PLACE,
        ),
        (
            json!({"mode": "Client", "scheme": "https", "hostname": "c.d"}),
            4 + PLACE,
        ),
        (
            json!({"mode": "Client", "path": {"type": "ReplaceFullPath", "replaceFullPath": "/"}}),
            0,
        ),
    ] {
        assert_eq!(kept_of(&redirect(to.clone()), &asked), bytes, "{to}");
    }
}

/// However an exchange ends, and also when nobody tells its end.
#[test]
fn what_was_kept_is_given_back() {
    let spec = printing("%PATH%");
    let with = |fault: Value| {
        let mut spec = spec.clone();
        spec["faultInjection"] = fault;
        plan(&json!({}), &spec)
    };
    let delayed = with(json!({"delay": {"fixedDelay": "1s"}}));
    let aborted = with(json!({"delay": {"fixedDelay": "1s"}, "abort": {"httpStatus": 503}}));
    let reset = with(json!({"delay": {"fixedDelay": "1s"}, "abort": {"reset": true}}));
    type End = fn(&mut Exchange, &Plan, &mut Worker, &mut FakeHost);
    let response: End = |exchange, plan, worker, host| answer(exchange, "200", plan, worker, host);
    let timer: End = |exchange, plan, worker, host| {
        host.now_ns += 2_000_000_000;
        let _ = feed(plan, worker, host, &mut Vec::new(), |cx| exchange.timer(cx));
    };
    let done: End = |exchange, plan, worker, host| {
        feed(plan, worker, host, &mut Vec::new(), |cx| exchange.done(cx));
        std::mem::take(exchange);
    };
    let dropped: End = |exchange, _, _, _| std::mem::drop(std::mem::take(exchange));
    for (plan, end) in [
        (&delayed, response),
        (&aborted, timer),
        (&reset, timer),
        (&delayed, done),
        (&delayed, dropped),
    ] {
        let quota = MemoryQuota::default();
        let mut worker = Worker::new(plan).with_quota(&quota);
        let mut host = FakeHost::new(plan);
        let mut exchange = open(plan, &mut worker, &mut host, &request("/abc", &[]));
        assert_eq!(quota.used(), 4 + PLACE);
        end(&mut exchange, plan, &mut worker, &mut host);
        assert_eq!(quota.used(), 0);
    }
}

#[test]
fn what_an_exchange_has_no_room_for_is_printed_as_missing_and_counted() {
    let body = "%REQ(x)% %REQ(x):3% %REQ(y)% %PATH%";
    let plan = plan(&json!({"requestValueBytes": 10}), &printing(body));
    let mut proxy = Proxy::new(plan);
    let fails = |_: &Message| (Message::response(500, &[], b""), "via_upstream");
    let request = request("/a", &[("x", "12345678901"), ("y", "12345")]);
    let response = proxy.exchange(None, &request, fails).response;
    assert_eq!(response.body, b"- 123 12345 /a");
    assert_eq!(proxy.counter(TOO_LONG), Some(1));
    assert_eq!(proxy.counter(NO_ROOM), Some(0));
}

#[test]
fn what_a_worker_has_no_room_for_is_printed_as_missing_and_counted() {
    let limits = json!({"requestValueBytesPerWorker": 5 + PLACE});
    let mut proxy = Proxy::new(plan(&limits, &printing("%PATH%")));
    for (path, body, refused) in [("/abcd", "/abcd", 0), ("/abcde", "-", 1), ("/", "/", 1)] {
        let fails = |_: &Message| (Message::response(500, &[], b""), "via_upstream");
        let response = proxy.exchange(None, &request(path, &[]), fails).response;
        assert_eq!(response.body, body.as_bytes());
        assert_eq!(proxy.counter(NO_ROOM), Some(refused));
    }
}

/// A redirect that has lost its path or host would lead elsewhere.
#[test]
fn a_redirect_without_its_parts_is_not_made() {
    let spec = json!({"responseOverride": [{"match": errors(),
        "redirect": {"mode": "Client", "scheme": "https"}}]});
    for limits in [
        json!({"requestValueBytes": 20}),
        json!({"requestValueBytesPerWorker": 20 + 3 * PLACE}),
    ] {
        let mut proxy = Proxy::new(plan(&limits, &spec));
        for (path, status) in [("/123456", "302"), ("/12345678901", "500")] {
            let fails = |_: &Message| (Message::response(500, &[], b""), "via_upstream");
            let request = request(path, &[(":scheme", "http"), (":authority", "a.bc:80")]);
            let response = proxy.exchange(None, &request, fails).response;
            assert_eq!(response.get(":status"), Some(status), "{path}");
        }
    }
}

/// A character that a length cuts apart does not break the text.
#[test]
fn a_value_that_is_cut_in_a_character_is_still_text() {
    let body = "%REQ(x):4%|%PATH(NQ):5%|%QUERY_PARAM(q):2%";
    let mut proxy = Proxy::new(plan(&json!({}), &printing(body)));
    let fails = |_: &Message| (Message::response(500, &[], b""), "via_upstream");
    let request = request("/näää?q=%C3%A4%C3%A4", &[("x", "äßü")]);
    let response = proxy.exchange(None, &request, fails).response;
    assert_eq!(
        String::from_utf8(response.body).unwrap(),
        "äß|/nä\u{fffd}|ä"
    );
}

/// The operators, and what they print of a request that is at hand.
const OPERATORS: [&str; 9] = [
    "REQ(x)",
    "REQ(y)",
    "REQ(x?y)",
    "REQ(y?x)",
    "REQ(:path)",
    "PATH(WQ)",
    "PATH(NQ)",
    "QUERY_PARAM(q)",
    "QUERY_PARAM(r)",
];

fn at_hand(operator: &str, request: &Message) -> Option<Vec<u8>> {
    let header = |name: &str| {
        let values = request.headers.iter().filter(|(other, _)| other == name);
        let values: Vec<&[u8]> = values.map(|(_, value)| value.as_slice()).collect();
        (!values.is_empty()).then(|| values.join(&b','))
    };
    let path = header(":path").unwrap();
    let query = |name: &str| {
        let headers = vec![(":path", &path)];
        let value = Request::new(&headers, None).query_param(name)?.into_owned();
        Some(value)
    };
    match operator {
        "REQ(x)" => header("x"),
        "REQ(y)" => header("y"),
        "REQ(x?y)" => header("x").or_else(|| header("y")),
        "REQ(y?x)" => header("y").or_else(|| header("x")),
        "REQ(:path)" | "PATH(WQ)" => Some(path),
        "PATH(NQ)" => {
            let end = path.iter().position(|byte| b"?#".contains(byte));
            Some(path[..end.unwrap_or(path.len())].to_vec())
        }
        "QUERY_PARAM(q)" => query("q"),
        _ => query("r"),
    }
}

fn any_request() -> impl Strategy<Value = Message> {
    // No value has the byte that parts them.
    let value = || proptest::collection::vec(2_u8.., 0..30);
    let headers = proptest::collection::vec((prop::sample::select(vec!["x", "y"]), value()), 0..4);
    let path =
        "/[a-c]{0,20}([?#](([qr%]|%7[1-3])=?([a%=&?#]|%4[1-3]|%[fz]9|%C3%A4){0,12}&?){0,4})?";
    (path, headers).prop_map(|(path, headers)| {
        let mut message = Message::request("GET", &path);
        let headers = headers.into_iter();
        message
            .headers
            .extend(headers.map(|(name, value)| (name.to_owned(), value)));
        message
    })
}

type Printed = Vec<(usize, Option<usize>)>;

fn any_printed() -> impl Strategy<Value = Printed> {
    let length = prop::option::of(0_usize..24);
    proptest::collection::vec((0..OPERATORS.len(), length), 1..8)
}

/// The spec that prints these, parted by a byte that no value has.
fn spec_of(printed: &Printed) -> Value {
    let parts = printed.iter().map(|(operator, length)| {
        let length = length.map_or(String::new(), |length| format!(":{length}"));
        format!("%{}{length}%", OPERATORS[*operator])
    });
    printing(&parts.collect::<Vec<_>>().join("\u{1}"))
}

/// What each prints when the request is at hand.
fn wanted(printed: &Printed, request: &Message) -> Vec<String> {
    let print = |(operator, length): &(usize, Option<usize>)| {
        let value = at_hand(OPERATORS[*operator], request).unwrap_or(b"-".to_vec());
        let most = length.unwrap_or(usize::MAX).min(value.len());
        String::from_utf8_lossy(&value[..most]).into_owned()
    };
    printed.iter().map(print).collect()
}

proptest! {
    #[test]
    fn what_is_kept_prints_like_what_is_at_hand(request in any_request(), printed in any_printed()) {
        let mut proxy = Proxy::new(plan(&json!({}), &spec_of(&printed)));
        let fails = |_: &Message| (Message::response(500, &[], b""), "via_upstream");
        let response = proxy.exchange(None, &request, fails).response;
        let text = String::from_utf8(response.body).unwrap();
        prop_assert_eq!(text, wanted(&printed, &request).join("\u{1}"));
    }

    /// Within small bounds a value is printed as it is, or as missing; the
    /// account never passes its bound and is zero in the end.
    #[test]
    fn what_is_kept_is_never_above_its_bounds(
        printed in any_printed(),
        requests in proptest::collection::vec((any_request(), 0_u8..4), 1..20),
        (of_exchange, of_worker) in (0_usize..60, 0_usize..400),
    ) {
        let limits = json!({
            "requestValueBytes": of_exchange, "requestValueBytesPerWorker": of_worker});
        let plan = plan(&limits, &spec_of(&printed));
        let quota = MemoryQuota::default();
        let mut worker = Worker::new(&plan).with_quota(&quota);
        let mut host = FakeHost::new(&plan);
        let mut open_ones = Vec::new();
        for (request, gone) in requests {
            let before = quota.used();
            let exchange = open(&plan, &mut worker, &mut host, &request);
            prop_assert!(quota.used() <= of_worker);
            prop_assert!(quota.used() - before <= of_exchange + printed.len() * PLACE);
            open_ones.push((request, exchange));
            if gone == 0 {
                let (request, mut exchange) = open_ones.swap_remove(0);
                let mut out = Vec::new();
                host.response_headers = vec![(":status".to_owned(), b"500".to_vec())];
                let _ = feed(&plan, &mut worker, &mut host, &mut out, |cx| exchange.response_headers(cx, true));
                let body = out.into_iter().find_map(|action| match action {
                    crate::Action::ReplyInstead(response) => Some(response.body),
                    // Nothing was printed.
                    crate::Action::ReplaceResponseHeaders(_) => Some(Vec::new()),
                    _ => None,
                });
                let text = String::from_utf8(body.unwrap()).unwrap();
                for (found, wanted) in text.split('\u{1}').zip(wanted(&printed, &request)) {
                    prop_assert!(found == wanted || found == "-");
                }
            } else if gone == 1 {
                open_ones.swap_remove(0);
            }
        }
        drop(open_ones);
        prop_assert_eq!(quota.used(), 0);
    }
}
