//! Bodies that wait for an upstream take room as values of requests do.

use super::*;
use crate::action::Action;
use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::testing::feed;
use crate::worker::Worker;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const NO_ROOM_FOR_BODY: &str = "btp.default.p.replacement_bodies_no_room";

/// What a response is replaced by, held until the upstream's body comes.
fn paged(plan: &Plan, worker: &mut Worker, host: &mut FakeHost) -> (Exchange, Vec<Action>) {
    let mut exchange = open(plan, worker, host, &request("/", &[("x", "0123456789")]));
    host.response_headers = [(":status", "500"), ("content-length", "9")]
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .into();
    let mut out = Vec::new();
    let _ = feed(plan, worker, host, &mut out, |cx| {
        exchange.response_headers(cx, false)
    });
    (exchange, out)
}

/// An upstream that sends headers and no body keeps as many bodies waiting as
/// there are streams.
#[test]
fn bodies_that_wait_for_an_upstream_stay_within_the_quota() {
    const LENGTH: usize = 20;
    let limits = json!({"requestValueBytesPerWorker": 200});
    let plan = plan(&limits, &printing("%REQ(x)% %REQ(x):9%"));
    let (mut worker, mut host) = (Worker::new(&plan), FakeHost::new(&plan));
    let mut waiting = Vec::new();
    for round in 0..10 {
        let (exchange, out) = paged(&plan, &mut worker, &mut host);
        let reply = out.iter().find_map(|action| match action {
            Action::ReplyInstead(reply) => Some(&reply.body),
            _ => None,
        });
        let used = worker.quota().used();
        assert!(used <= 200, "{used}");
        if let Some(body) = reply {
            assert!(round > 0 && !body.is_empty(), "{round}");
            assert_eq!(used, waiting.len() * LENGTH, "a reply holds nothing");
        } else {
            waiting.push(exchange);
            assert_eq!(used, waiting.len() * LENGTH);
        }
    }
    assert!((1..10).contains(&waiting.len()), "{}", waiting.len());
    // The one that is written gives its bytes back, the others when they end.
    let mut first = waiting.remove(0);
    let mut out = Vec::new();
    let _ = feed(&plan, &mut worker, &mut host, &mut out, |cx| {
        first.response_body(cx)
    });
    let [Action::ReplaceBody(body)] = &out[..] else {
        panic!("{out:?}");
    };
    assert_eq!(body.len(), LENGTH);
    assert_eq!(worker.quota().used(), waiting.len() * LENGTH);
    drop(waiting);
    assert_eq!(worker.quota().used(), 0);
}

#[test]
fn a_body_without_values_waits_for_free() {
    let plan = plan(
        &json!({"requestValueBytesPerWorker": 0}),
        &printing("sorry"),
    );
    let (mut worker, mut host) = (Worker::new(&plan), FakeHost::new(&plan));
    let (mut exchange, out) = paged(&plan, &mut worker, &mut host);
    assert!(matches!(
        out[..],
        [
            Action::Count(_),
            Action::Count(_),
            Action::ReplaceResponseHeaders(_)
        ]
    ));
    let mut out = Vec::new();
    let _ = feed(&plan, &mut worker, &mut host, &mut out, |cx| {
        exchange.response_body(cx)
    });
    assert_eq!(out, [Action::ReplaceBody(b"sorry".to_vec())]);
}

#[test]
fn a_body_that_had_no_room_is_the_same_in_a_reply_and_counted() {
    for (limit, details, refused) in [(1000, "via_upstream", 0), (20, "btp_response_override", 1)] {
        let limits = json!({"requestValueBytesPerWorker": limit});
        let mut proxy = Proxy::new(plan(
            &limits,
            &printing("%RESPONSE_CODE% is what came of it"),
        ));
        let fails = |_: &Message| {
            (
                Message::response(500, &[("content-length", "6")], b"broken"),
                "via_upstream",
            )
        };
        let outcome = proxy.exchange(None, &request("/", &[]), fails);
        assert_eq!(outcome.response.body, b"500 is what came of it");
        assert_eq!(outcome.details, details);
        assert_eq!(proxy.counter(NO_ROOM_FOR_BODY), Some(refused));
    }
}
