//! Events in an order that HTTP does not make: what random scripts have found
//! (`crate::testing::play`), one by one.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::testing::feed;
use crate::worker::Worker;

/// An exchange in a test's hand.
struct Hand {
    plan: Plan,
    worker: Worker,
    host: FakeHost,
    exchange: Exchange,
    out: Vec<Action>,
}

impl Hand {
    fn new(spec: &str) -> Self {
        let plan = plan(spec);
        Self {
            worker: Worker::new(&plan),
            host: FakeHost::new(&plan),
            plan,
            exchange: Exchange::default(),
            out: Vec::new(),
        }
    }

    fn request(&mut self, end: bool) -> Flow {
        let (plan, worker, host) = (&self.plan, &mut self.worker, &mut self.host);
        feed(plan, worker, host, &mut self.out, |cx| {
            self.exchange.request_headers(cx, end)
        })
    }

    fn body(&mut self, size: u64) -> Flow {
        let (plan, worker, host) = (&self.plan, &mut self.worker, &mut self.host);
        feed(plan, worker, host, &mut self.out, |cx| {
            self.exchange.request_body(cx, size, false)
        })
    }

    fn response(&mut self, headers: &[(&str, &str)]) -> Flow {
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        self.host.response_headers = headers.collect();
        let (plan, worker, host) = (&self.plan, &mut self.worker, &mut self.host);
        feed(plan, worker, host, &mut self.out, |cx| {
            self.exchange.response_headers(cx, false)
        })
    }

    fn done(&mut self) {
        let (plan, worker, host) = (&self.plan, &mut self.worker, &mut self.host);
        feed(plan, worker, host, &mut self.out, |cx| {
            self.exchange.done(cx)
        });
    }

    fn timer(&mut self) -> Flow {
        let (plan, worker, host) = (&self.plan, &mut self.worker, &mut self.host);
        feed(plan, worker, host, &mut self.out, |cx| {
            self.exchange.timer(cx)
        })
    }

    /// By how much the gauges have moved in all.
    fn gauged(&self) -> i64 {
        let moves = self.out.iter().filter_map(|action| match action {
            Action::Adjust(_, by) => Some(*by),
            _ => None,
        });
        moves.sum()
    }
}

const DELAY: &str = r#"{"faultInjection":{"delay":{"fixedDelay":"100ms"},"maxActive":5},
        "rateLimit":{"local":{"rules":[{"concurrency":{"max":2}}]}}}"#;

#[test]
fn request_headers_that_come_twice_take_one_place() {
    let mut hand = Hand::new(DELAY);
    assert_eq!(hand.request(true), Flow::HoldAll);
    assert_eq!(hand.request(true), Flow::HoldAll);
    assert_eq!(hand.gauged(), 1);
    hand.done();
    assert_eq!(hand.gauged(), 0);
}

#[test]
fn a_timer_after_the_end_takes_no_place() {
    let mut hand = Hand::new(DELAY);
    let _ = hand.request(true);
    hand.done();
    hand.host.now_ns = 200 * MS;
    let _ = hand.timer();
    let _ = hand.request(true);
    hand.done();
    assert_eq!(hand.gauged(), 0);
}

#[test]
fn a_body_that_comes_during_a_delay_does_not_end_it() {
    let mut hand = Hand::new(DELAY);
    let _ = hand.request(false);
    hand.out.clear();
    assert_eq!(hand.body(10), Flow::HoldAll);
    assert_eq!(hand.out, []);
    assert_eq!(hand.exchange.wakes_at(), Some(100 * MS));
}

#[test]
fn what_was_answered_instead_is_not_broken_off_as_well() {
    const SPEC: &str = r#"{"requestBuffer":{"limit":10,"mode":"Stream"},"responseOverride":[
        {"match":{"statusCodes":[{"value":500}]},"response":{"body":{"inline":"sorry"}}}]}"#;
    let mut hand = Hand::new(SPEC);
    hand.host.request_headers = vec![("content-type".to_owned(), b"text/plain".to_vec())];
    let _ = hand.request(false);
    // Of unknown length: replaced by a reply.
    assert_eq!(hand.response(&[(":status", "500")]), Flow::Stop);
    hand.out.clear();
    assert_eq!(hand.body(100), Flow::Stop);
    assert_eq!(hand.out, []);
}

#[test]
fn a_second_response_changes_nothing() {
    let mut hand = Hand::new(ERROR_PAGE);
    let _ = hand.request(true);
    assert_eq!(hand.response(&[(":status", "200")]), Flow::Continue);
    hand.out.clear();
    assert_eq!(hand.response(&[(":status", "500")]), Flow::Continue);
    assert_eq!(hand.out, []);
}

#[test]
fn what_comes_before_the_headers_passes_and_nothing_is_looked_at_any_more() {
    let mut hand = Hand::new(DELAY);
    assert_eq!(hand.body(10), Flow::Continue);
    assert!(hand.exchange.is_over(&hand.plan));
    assert_eq!(hand.request(true), Flow::Continue);
    assert_eq!(hand.out, []);
}
