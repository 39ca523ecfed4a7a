//! The state machine, event by event and in a whole proxy in memory.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use btp_policy::PluginConfig;

use crate::action::{Action, Flow};
use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::testing::feed;
use crate::testing::{FakeHost, Message, Proxy, demo_upstream};
use crate::worker::Worker;

mod decisions;
mod order;

const MS: u64 = 1_000_000;

fn plan(spec: &str) -> Plan {
    let text = format!(r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{spec}}}]}}"#);
    Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap())
}

fn get(path: &str) -> Message {
    Message::request("GET", path)
}

const DELAY_AND_ABORT: &str = r#"{"faultInjection":{
    "delay":{"fixedDelay":"100ms","percentage":50},
    "abort":{"httpStatus":503,"percentage":50}}}"#;

const ERROR_PAGE: &str = r#"{"responseOverride":[
    {"match":{"statusCodes":[{"type":"Range","range":{"start":500,"end":599}}]},
     "response":{"body":{"inline":"sorry"},"header":{"set":[{"name":"x-page","value":"1"}]}}},
    {"match":{"statusCodes":[{"value":404}]},
     "response":{"statusCode":410,"contentType":"text/html","body":{"inline":"<p>gone"}}}]}"#;

#[test]
fn a_request_that_no_policy_governs_asks_the_host_for_nothing() {
    let plan = plan("{}");
    let mut host = FakeHost::default();
    let mut out = Vec::new();
    let mut exchange = Exchange::default();
    assert_eq!(
        feed(&plan, &mut Worker::new(&plan), &mut host, &mut out, |cx| {
            exchange.request_headers(cx, true)
        }),
        Flow::Continue
    );
    assert_eq!(
        feed(&plan, &mut Worker::new(&plan), &mut host, &mut out, |cx| {
            exchange.response_headers(cx, false)
        }),
        Flow::Continue
    );
    assert_eq!((host.lookups.get(), out.capacity()), (0, 0));
}

#[test]
fn what_is_known_of_routes_the_host_is_not_asked() {
    let shared =
        r#"{"limit":{"requests":1,"unit":"Hour"},"shared":true,"xRateLimitHeaders":"Off"}"#;
    let per_route = r#"{"limit":{"requests":1,"unit":"Hour"},"xRateLimitHeaders":"Off"}"#;
    for (rule, attachment, lookups) in [
        (shared, "", 1),
        (shared, r#","attachment":{"allRoutes":"default/p"}"#, 0),
        (shared, r#","attachment":{"onlyRoute":"shop"}"#, 0),
        (per_route, "", 1),
        (per_route, r#","attachment":{"allRoutes":"default/p"}"#, 1),
        (per_route, r#","attachment":{"onlyRoute":"shop"}"#, 0),
    ] {
        let target = r#"{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","name":"shop"}"#;
        let text = format!(
            r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{{"targetRefs":[{target}],
                "rateLimit":{{"local":{{"rules":[{rule}]}}}}}}}}]{attachment}}}"#
        );
        let plan = Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap());
        let mut host = FakeHost::default();
        host.route = Some(b"shop".to_vec());
        let (worker, mut out) = (&mut Worker::new(&plan), Vec::new());
        let mut flows = [(); 2].map(|()| {
            feed(&plan, worker, &mut host, &mut out, |cx| {
                Exchange::default().request_headers(cx, true)
            })
        });
        // The second finds no token, whatever was asked.
        flows.reverse();
        assert_eq!(flows, [Flow::Stop, Flow::Continue], "{rule} {attachment}");
        let before = host.lookups.get();
        let _ = feed(&plan, worker, &mut host, &mut out, |cx| {
            Exchange::default().request_headers(cx, true)
        });
        // One more is the content type of the refused.
        let asked = host.lookups.get() - before;
        assert_eq!(asked, lookups + 1, "{rule} {attachment}");
    }
}

#[test]
fn an_exchange_is_over_when_nothing_of_it_matters_any_more() {
    const LIMIT: &str = r#"{"requestBuffer":{"limit":"1Ki","mode":"Stream"}}"#;
    for (spec, end, over) in [
        ("{}", true, (true, true)),
        // It may be redirected until it has a response.
        (DELAY_AND_ABORT, true, (false, true)),
        (ERROR_PAGE, true, (false, true)),
        (LIMIT, true, (true, true)),
        (LIMIT, false, (false, false)),
    ] {
        let plan = plan(spec);
        let mut host = FakeHost::default();
        host.random = [u64::MAX; 2].into();
        let (worker, mut out) = (&mut Worker::new(&plan), Vec::new());
        let mut exchange = Exchange::default();
        let flow = feed(&plan, worker, &mut host, &mut out, |cx| {
            exchange.request_headers(cx, end)
        });
        assert_eq!(flow, Flow::Continue, "{spec}");
        let after_request = exchange.is_over(&plan);
        host.response_headers = vec![(":status".to_owned(), b"200".to_vec())];
        let _ = feed(&plan, worker, &mut host, &mut out, |cx| {
            exchange.response_headers(cx, false)
        });
        let after_response = exchange.is_over(&plan);
        assert_eq!((after_request, after_response), over, "{spec}");
    }
}

#[test]
fn delay_and_abort_are_drawn_independently_and_the_delay_comes_first() {
    const LOW: u64 = 0;
    const HIGH: u64 = u64::MAX;
    for (draws, held, status) in [
        ([HIGH, HIGH], 0, "200"),
        ([HIGH, LOW], 0, "503"),
        ([LOW, HIGH], 100 * MS, "200"),
        ([LOW, LOW], 100 * MS, "503"),
    ] {
        let mut proxy = Proxy::new(plan(DELAY_AND_ABORT));
        proxy.host.random = draws.into();
        let outcome = proxy.exchange(None, &get("/"), demo_upstream);
        assert_eq!(outcome.held_ns, held, "{draws:?}");
        assert_eq!(outcome.response.get(":status"), Some(status), "{draws:?}");
        assert_eq!(outcome.upstream_requests, usize::from(status == "200"));
    }
}

#[test]
fn faults_are_counted_by_policy() {
    let mut proxy = Proxy::new(plan(DELAY_AND_ABORT));
    for _ in 0..1000 {
        proxy.exchange(None, &get("/"), demo_upstream);
    }
    for name in ["fault_delays_injected", "fault_aborts_injected"] {
        let count = proxy.counter(&format!("btp.default.p.{name}")).unwrap();
        assert!((450..=550).contains(&count), "{name}: {count}");
    }
}

#[test]
fn a_timer_that_comes_early_waits_on() {
    let plan = plan(r#"{"faultInjection":{"delay":{"fixedDelay":"100ms"}}}"#);
    let mut host = FakeHost::default();
    let mut out = Vec::new();
    let mut exchange = Exchange::default();
    let mut worker = Worker::new(&plan);
    assert_eq!(
        feed(&plan, &mut worker, &mut host, &mut out, |cx| exchange
            .request_headers(cx, true)),
        Flow::HoldAll
    );
    out.clear();
    host.now_ns = 99 * MS;
    assert_eq!(
        feed(&plan, &mut worker, &mut host, &mut out, |cx| exchange
            .timer(cx)),
        Flow::HoldAll
    );
    assert_eq!(out, []);
    assert_eq!(exchange.wakes_at(), Some(100 * MS));
    host.now_ns = 100 * MS;
    assert_eq!(
        feed(&plan, &mut worker, &mut host, &mut out, |cx| exchange
            .timer(cx)),
        Flow::Continue
    );
    assert!(matches!(out.as_slice(), [Action::Adjust(_, -1)]));
    assert_eq!(exchange.wakes_at(), None);
    out.clear();
    assert_eq!(
        feed(&plan, &mut worker, &mut host, &mut out, |cx| exchange
            .timer(cx)),
        Flow::Continue
    );
    assert!(out.is_empty());
}

#[test]
fn an_abort_for_grpc_carries_the_grpc_status() {
    let mut proxy = Proxy::new(plan(r#"{"faultInjection":{"abort":{"grpcStatus":14}}}"#));
    let mut call = Message::request("POST", "/svc/method");
    call.set("content-type", "application/grpc");
    let response = proxy.exchange(None, &call, demo_upstream).response;
    assert_eq!(response.get("grpc-status"), Some("14"));
    assert_eq!(response.get("grpc-message"), Some("fault filter abort"));
    let plain = proxy.exchange(None, &get("/"), demo_upstream).response;
    assert_eq!(plain.get(":status"), Some("200"));
    assert_eq!(plain.get("grpc-status"), None);
}

#[test]
fn the_first_matching_override_replaces_status_headers_and_body() {
    let mut proxy = Proxy::new(plan(ERROR_PAGE));
    let outcome = proxy.exchange(None, &get("/status/502"), demo_upstream);
    assert_eq!(
        outcome.response,
        Message::response(
            502,
            &[
                ("content-type", "text/plain"),
                ("x-page", "1"),
                ("content-length", "5")
            ],
            b"sorry"
        )
    );
    let gone = proxy
        .exchange(None, &get("/status/404"), demo_upstream)
        .response;
    assert_eq!(gone.get(":status"), Some("410"));
    assert_eq!(gone.body, b"<p>gone");
    let fine = proxy
        .exchange(None, &get("/status/200"), demo_upstream)
        .response;
    assert_eq!(fine.get("x-upstream"), Some("yes"));
    assert_eq!(proxy.counter("btp.default.p.responses_overridden"), Some(2));
}

#[test]
fn bodies_are_replaced_in_place_only_where_length_and_body_are_known() {
    for (path, head, details) in [
        ("/status/500", false, "via_upstream"),
        ("/status/500?bytes=65536", false, "via_upstream"),
        ("/status/500?bytes=65537", false, "btp_response_override"),
        ("/status/500?chunked", false, "btp_response_override"),
        ("/status/500?trailers", false, "btp_response_override"),
        ("/status/500?empty", false, "btp_response_override"),
        ("/status/500", true, "btp_response_override"),
    ] {
        let mut proxy = Proxy::new(plan(ERROR_PAGE));
        let method = if head { "HEAD" } else { "GET" };
        let outcome = proxy.exchange(None, &Message::request(method, path), demo_upstream);
        assert_eq!(outcome.details, details, "{method} {path}");
        assert_eq!(
            outcome.response.get("content-length"),
            Some("5"),
            "{method} {path}"
        );
        let body: &[u8] = if head { b"" } else { b"sorry" };
        assert_eq!(outcome.response.body, body, "{method} {path}");
        assert!(outcome.response.trailers.is_empty());
    }
}

#[test]
fn a_body_that_comes_in_pieces_is_replaced_once_and_its_trailers_go() {
    let plan = plan(ERROR_PAGE);
    let mut host = FakeHost::default();
    let headers = [(":status", "500"), ("content-length", "9")];
    host.response_headers = headers
        .map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()))
        .into();
    let mut out = Vec::new();
    let mut exchange = Exchange::default();
    assert_eq!(
        feed(&plan, &mut Worker::new(&plan), &mut host, &mut out, |cx| {
            exchange.request_headers(cx, true)
        }),
        Flow::Continue
    );
    assert_eq!(
        feed(&plan, &mut Worker::new(&plan), &mut host, &mut out, |cx| {
            exchange.response_headers(cx, false)
        }),
        Flow::Continue
    );
    out.clear();
    for _ in 0..3 {
        assert_eq!(
            feed(&plan, &mut Worker::new(&plan), &mut host, &mut out, |cx| {
                exchange.response_body(cx)
            }),
            Flow::Continue
        );
    }
    assert_eq!(
        feed(&plan, &mut Worker::new(&plan), &mut host, &mut out, |cx| {
            exchange.response_trailers(cx)
        }),
        Flow::Continue
    );
    assert_eq!(out[0], Action::ReplaceBody(b"sorry".to_vec()));
    assert_eq!(
        out[1..],
        [
            Action::ReplaceBody(Vec::new()),
            Action::ReplaceBody(Vec::new()),
            Action::DropTrailers
        ]
    );
}

#[test]
fn our_own_replies_are_overridden_before_they_are_sent_and_only_once() {
    let spec = r#"{"faultInjection":{"abort":{"httpStatus":503}},
        "responseOverride":[{"match":{"statusCodes":[{"value":503},{"value":500}]},
                             "response":{"statusCode":500,"body":{"inline":"later"}}}]}"#;
    let plan = plan(spec);
    let mut host = FakeHost::default();
    let mut out = Vec::new();
    let mut exchange = Exchange::default();
    assert_eq!(
        feed(&plan, &mut Worker::new(&plan), &mut host, &mut out, |cx| {
            exchange.request_headers(cx, true)
        }),
        Flow::Stop
    );
    let Some(Action::ReplyInstead(reply)) = out.pop() else {
        panic!("no reply: {out:?}")
    };
    assert_eq!((reply.status, reply.body.as_slice()), (500, &b"later"[..]));
    assert_eq!(reply.details, "btp_fault_abort");
    out.clear();
    host.response_headers = vec![(":status".to_owned(), b"500".to_vec())];
    assert_eq!(
        feed(&plan, &mut Worker::new(&plan), &mut host, &mut out, |cx| {
            exchange.response_headers(cx, false)
        }),
        Flow::Continue
    );
    assert!(out.is_empty());
}

#[test]
fn grpc_replies_are_never_rewritten_in_place() {
    let mut proxy = Proxy::new(plan(ERROR_PAGE));
    let mut call = Message::request("POST", "/svc/status/503");
    call.set("content-type", "application/grpc");
    proxy.host.protocol = Some("HTTP/2");
    let outcome = proxy.exchange(None, &call, demo_upstream);
    assert_eq!(outcome.details, "btp_response_override");
    assert_eq!(outcome.response.get("grpc-status"), Some("14"));
}

#[test]
fn a_status_without_body_gets_none_even_if_the_override_has_one() {
    let spec = r#"{"responseOverride":[{"match":{"statusCodes":[{"value":304},{"value":200}]},
                   "response":{"body":{"inline":"text"},"header":{"add":[{"name":"a","value":"b"}]}}}]}"#;
    let mut proxy = Proxy::new(plan(spec));
    let unchanged = proxy
        .exchange(None, &get("/status/304"), demo_upstream)
        .response;
    assert_eq!(unchanged, Message::response(304, &[("a", "b")], b""));
}

#[test]
fn a_reply_that_ends_a_delay_is_overridden_like_any_other() {
    let spec = r#"{"faultInjection":{"delay":{"fixedDelay":"1h"}},
        "responseOverride":[{"match":{"statusCodes":[{"value":504}]},"response":{"statusCode":503}}]}"#;
    let plan = plan(spec);
    let mut host = FakeHost::default();
    let mut out = Vec::new();
    let mut exchange = Exchange::default();
    assert_eq!(
        feed(&plan, &mut Worker::new(&plan), &mut host, &mut out, |cx| {
            exchange.request_headers(cx, true)
        }),
        Flow::HoldAll
    );
    host.response_headers = vec![(":status".to_owned(), b"504".to_vec())];
    assert_eq!(
        feed(&plan, &mut Worker::new(&plan), &mut host, &mut out, |cx| {
            exchange.response_headers(cx, true)
        }),
        Flow::Continue
    );
    let status = (b":status".to_vec(), b"503".to_vec());
    assert!(out.contains(&Action::ReplaceResponseHeaders(vec![status])));
    assert_eq!(
        feed(&plan, &mut Worker::new(&plan), &mut host, &mut out, |cx| {
            exchange.timer(cx)
        }),
        Flow::Continue
    );
}

#[test]
fn statuses_that_are_no_number_match_nothing() {
    let plan = plan(ERROR_PAGE);
    let mut host = FakeHost::default();
    for value in [&b"\xff"[..], b"", b"99999"] {
        host.response_headers = vec![(":status".to_owned(), value.to_vec())];
        let mut exchange = Exchange::default();
        let mut out = Vec::new();
        assert_eq!(
            feed(&plan, &mut Worker::new(&plan), &mut host, &mut out, |cx| {
                exchange.request_headers(cx, true)
            }),
            Flow::Continue
        );
        assert_eq!(
            feed(&plan, &mut Worker::new(&plan), &mut host, &mut out, |cx| {
                exchange.response_headers(cx, false)
            }),
            Flow::Continue
        );
    }
}

#[test]
fn the_switches_take_everything_or_one_capability_out() {
    let spec = r#"{"faultInjection":{"abort":{"httpStatus":503}},
        "responseOverride":[{"match":{"statusCodes":[{"value":200}]},"response":{"statusCode":201}}]}"#;
    for (switches, status) in [
        (r#""disabled":true"#, "200"),
        (r#""enforce":[]"#, "200"),
        (r#""enforce":["responseOverride"]"#, "201"),
        (r#""enforce":["faultInjection"]"#, "503"),
    ] {
        let text =
            format!(r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{spec}}}],{switches}}}"#);
        let config = PluginConfig::parse(text.as_bytes()).unwrap();
        let mut proxy = Proxy::new(Plan::compile(config));
        let response = proxy.exchange(None, &get("/"), demo_upstream).response;
        assert_eq!(response.get(":status"), Some(status), "{switches}");
    }
}

#[test]
fn a_named_route_is_resolved_once_and_an_unnamed_one_each_time() {
    let text = r#"{"policies":[
        {"metadata":{"name":"r"},"spec":{
            "targetRefs":[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","name":"r"}],
            "faultInjection":{"abort":{"httpStatus":503},"exemptHealthChecks":false}}},
        {"metadata":{"name":"all"},"spec":{}}]}"#;
    let plan = Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap());
    let mut worker = Worker::new(&plan);
    let mut ask = |route: Option<&[u8]>, resource: Option<&'static str>| {
        let mut host = FakeHost::default();
        host.route = route.map(<[u8]>::to_vec);
        host.resources = resource
            .map(|name| ("HTTPRoute", "default", name, None))
            .into_iter()
            .collect();
        let flow = feed(&plan, &mut worker, &mut host, &mut Vec::new(), |cx| {
            Exchange::default().request_headers(cx, true)
        });
        (flow == Flow::Stop, host.lookups.get())
    };
    // A reply asks for the content type, too.
    assert_eq!(ask(Some(b"r"), None), (true, 3));
    assert_eq!(ask(Some(b"r"), None), (true, 2));
    assert_eq!(ask(Some(b"other"), None), (false, 2));
    assert_eq!(ask(Some(b"other"), None), (false, 1));
    assert_eq!(ask(None, Some("r")), (true, 3));
    assert_eq!(ask(None, Some("r")), (true, 3));
    assert_eq!(ask(None, None), (false, 2));
    assert_eq!(ask(Some(b"\xff"), None), (false, 2));
}
