//! Exchanges and attempts against the ledger, in gate and in reserve mode.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use btp_policy::PluginConfig;

use super::downstream::{Opened, Settled};
use super::*;
use crate::host::VIA_UPSTREAM;
use crate::testing::FakeHost;

const MS: u64 = 1_000_000;
const CONSTRAINT: &str = r#"{"retry":{"numRetries":2},
    "retryConstraint":{"minRetryRate":{"count":2,"interval":"1s"}}}"#;

fn labels() -> Labels {
    Labels {
        namespace: "n".to_owned(),
        policy: "b".to_owned(),
        part: None,
        class: None,
    }
}

struct Desk {
    ledger: Ledger,
    host: FakeHost,
    budget: usize,
    rules: Arc<RetryableOutcomes>,
    reserves: bool,
}

impl Desk {
    fn new() -> Self {
        let text = format!(r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{CONSTRAINT}}}]}}"#);
        let spec = PluginConfig::parse(text.as_bytes())
            .unwrap()
            .policies
            .remove(0)
            .spec;
        let host = FakeHost::default();
        let mut ledger = Ledger::default();
        let retry = spec.retry.unwrap();
        let on = retry.for_all_methods().unwrap();
        let config = BudgetConfig::of(&spec.retry_constraint.unwrap());
        Self {
            budget: ledger.budget(&labels(), config, &host, 0),
            rules: Arc::new(RetryableOutcomes::of(&on, retry.num_retries)),
            ledger,
            host,
            reserves: false,
        }
    }

    /// One whose upstream instance has been outcome.
    fn with_gate() -> Self {
        let mut desk = Self::new();
        let opened = desk.open();
        desk.begin(opened.id);
        desk.end(opened.id);
        assert!(desk.open().limit.is_none(), "the gate is not trusted");
        desk
    }

    fn open(&mut self) -> Opened {
        let opening = BudgetRequest {
            budget: self.budget,
            outcomes: Some(Arc::clone(&self.rules)),
            may_retry: true,
            reserves: self.reserves,
        };
        let now = self.host.now_ns;
        self.ledger.open(opening, 7, &self.host, now).unwrap()
    }

    fn begin(&mut self, id: ExchangeId) -> (u32, AttemptDecision) {
        let now = self.host.now_ns;
        self.ledger.begin_attempt(id, &self.host, now).unwrap()
    }

    /// Whether the router is stopped.
    fn answered(&mut self, id: ExchangeId, number: u32, status: u16) -> bool {
        let outcome = ResponseOutcome {
            status,
            grpc_status: None,
            is_rate_limited: false,
        };
        let now = self.host.now_ns;
        self.ledger
            .on_response(id, number, outcome, &self.host, now)
    }

    fn settle(&mut self, id: ExchangeId) -> Settled {
        let now = self.host.now_ns;
        self.ledger.settle(id, true, &mut self.host, now)
    }

    fn end(&mut self, id: ExchangeId) -> Settled {
        let settled = self.settle(id);
        self.ledger.close(id, &self.host);
        settled
    }

    fn count(&self, name: &str) -> u64 {
        let name = format!("retry_budget_{name}");
        self.host.accounts.get(&labels().dotted(&name))
    }

    fn held(&self) -> u64 {
        self.count("debug_held") + self.count("debug_min_held")
    }

    fn used(&self) -> u64 {
        self.count("retries") + self.count("min_retries")
    }
}

#[test]
fn with_the_gate_a_retry_is_paid_for_when_its_cause_arrives() {
    let mut desk = Desk::with_gate();
    let id = desk.open().id;
    assert_eq!(desk.begin(id), (1, AttemptDecision::Proceed));
    assert_eq!(desk.held(), 0);
    assert!(!desk.answered(id, 1, 503));
    assert_eq!((desk.held(), desk.used()), (1, 0));
    desk.ledger.end_attempt(id, false);
    assert_eq!(desk.begin(id), (2, AttemptDecision::Proceed));
    assert_eq!((desk.held(), desk.used()), (0, 1));
    assert!(!desk.answered(id, 2, 200));
    assert_eq!(desk.end(id), Settled::default());
    assert_eq!((desk.held(), desk.used()), (0, 1));
}

#[test]
fn without_credit_the_router_is_stopped_and_the_client_gets_the_origins_answer() {
    let mut desk = Desk::with_gate();
    for _ in 0..2 {
        let id = desk.open().id;
        desk.begin(id);
        assert!(!desk.answered(id, 1, 503));
    }
    // Both credits are held; this one was let through before.
    desk.host.now_ns = MS;
    let id = desk.open().id;
    desk.begin(id);
    let stopped = desk.answered(id, 1, 503);
    let settled = desk.end(id);
    assert!(settled.refused);
    assert_eq!(stopped, settled.marked);
    assert_eq!(desk.count("refused"), 1);
}

#[test]
fn a_try_that_is_late_takes_no_credit_along() {
    let mut desk = Desk::with_gate();
    let id = desk.open().id;
    desk.begin(id);
    assert!(!desk.answered(id, 1, 200));
    // The client has its response; then another attempt fails.
    desk.settle(id);
    assert!(!desk.answered(id, 1, 503));
    desk.ledger.close(id, &desk.host);
    assert_eq!(desk.held(), 0);
}

#[test]
fn what_no_retry_used_comes_back_whatever_way_it_ends() {
    let mut desk = Desk::with_gate();
    // The response goes out all the same: a circuit breaker, say.
    let id = desk.open().id;
    desk.begin(id);
    desk.answered(id, 1, 503);
    assert_eq!(desk.held(), 1);
    desk.settle(id);
    assert_eq!(desk.held(), 0);
    // The client goes in the back-off.
    let id = desk.open().id;
    desk.begin(id);
    desk.answered(id, 1, 503);
    let now = desk.host.now_ns;
    desk.ledger.settle(id, false, &mut desk.host, now);
    desk.ledger.close(id, &desk.host);
    assert_eq!((desk.held(), desk.used()), (0, 0));
    // What comes late concerns nobody.
    assert!(!desk.answered(id, 1, 503));
    assert_eq!(desk.held(), 0);
}

#[test]
fn a_retry_after_a_reset_is_paid_for_when_it_goes_or_is_refused() {
    let mut desk = Desk::with_gate();
    for verdict in [
        AttemptDecision::Proceed,
        AttemptDecision::Proceed,
        AttemptDecision::Refuse,
    ] {
        let id = desk.open().id;
        desk.begin(id);
        desk.ledger.end_attempt(id, false);
        assert_eq!(desk.begin(id).1, verdict);
    }
    assert_eq!((desk.used(), desk.count("refused")), (2, 1));
}

#[test]
fn a_refused_hedge_waits_for_the_live_try() {
    let mut desk = Desk::with_gate();
    for _ in 0..2 {
        let id = desk.open().id;
        desk.begin(id);
        desk.answered(id, 1, 503);
    }
    let id = desk.open().id;
    desk.begin(id);
    assert_eq!(desk.begin(id), (2, AttemptDecision::Wait));
    assert_eq!(
        desk.ledger.ask_again(id, &desk.host, 0),
        AttemptDecision::Wait
    );
    // The live one fails: its answer is what the client gets.
    assert!(desk.answered(id, 1, 503));
    desk.ledger.end_attempt(id, false);
    assert_eq!(
        desk.ledger.ask_again(id, &desk.host, 0),
        AttemptDecision::Refuse
    );
}

#[test]
fn what_the_origin_has_marked_itself_is_left_alone() {
    let mut desk = Desk::with_gate();
    let id = desk.open().id;
    desk.begin(id);
    let outcome = ResponseOutcome {
        status: 503,
        grpc_status: None,
        is_rate_limited: true,
    };
    assert!(!desk.ledger.on_response(id, 1, outcome, &desk.host, 0));
    assert_eq!(desk.held(), 0);
    assert!(!desk.end(id).marked);
}

#[test]
fn alone_each_request_holds_its_credit_from_the_start() {
    let mut desk = Desk::new();
    VIA_UPSTREAM.clone_into(&mut desk.host.details);
    desk.host.attempts = 2;
    let (first, second, third) = (desk.open(), desk.open(), desk.open());
    assert_eq!(
        (first.limit, second.limit, third.limit),
        (Some(1), Some(1), Some(0))
    );
    assert_eq!(desk.held(), 2);
    // One retry happened, one did not; the third was not allowed any.
    assert!(desk.end(first.id).observer_is_missing);
    desk.host.attempts = 1;
    assert!(!desk.end(second.id).observer_is_missing, "said twice");
    desk.host.response_headers = vec![(":status".to_owned(), b"503".to_vec())];
    assert!(desk.end(third.id).refused);
    assert_eq!((desk.held(), desk.used()), (0, 1));
    assert_eq!(desk.count("requests"), 3);
}

#[test]
fn who_is_told_to_reserve_does_so_beside_the_gate() {
    let mut desk = Desk::with_gate();
    desk.reserves = true;
    VIA_UPSTREAM.clone_into(&mut desk.host.details);
    desk.host.attempts = 2;
    let opened = desk.open();
    assert_eq!((opened.limit, desk.held()), (Some(1), 1));
    assert!(!desk.end(opened.id).observer_is_missing, "nobody missed it");
    assert_eq!((desk.held(), desk.used()), (0, 1));
    // Others still trust it.
    desk.reserves = false;
    assert_eq!(desk.open().limit, None);
}

#[test]
fn who_is_seen_holds_credit_no_longer() {
    let mut desk = Desk::new();
    let (first, second, third) = (desk.open(), desk.open(), desk.open());
    assert_eq!((third.limit, desk.held()), (Some(0), 2));
    desk.begin(first.id);
    desk.begin(second.id);
    assert_eq!(desk.held(), 0);
    assert_eq!(desk.open().limit, None);
    desk.answered(first.id, 1, 503);
    assert_eq!(
        (desk.held(), desk.begin(first.id)),
        (1, (2, AttemptDecision::Proceed))
    );
    assert_eq!(desk.used(), 1);
}

#[test]
fn retries_that_nobody_saw_are_owed() {
    let mut desk = Desk::with_gate();
    let opened = desk.open();
    assert_eq!(opened.limit, None);
    VIA_UPSTREAM.clone_into(&mut desk.host.details);
    desk.host.attempts = 3;
    assert!(desk.end(opened.id).observer_is_missing);
    assert_eq!((desk.held(), desk.used()), (0, 2));
}

#[test]
fn a_hold_expires_into_use() {
    let mut desk = Desk::new();
    let held = desk.open().id;
    assert_eq!(desk.held(), 1);
    desk.host.now_ns = 10_001 * MS;
    for _ in 0..3 {
        let id = desk.open().id;
        desk.end(id);
    }
    assert_eq!((desk.held(), desk.used()), (0, 1));
    // It may still be used, and is not paid for twice.
    desk.begin(held);
    assert_eq!(desk.begin(held).1, AttemptDecision::Proceed);
    assert_eq!(desk.used(), 1);
}

#[test]
fn a_missed_gate_is_trusted_again_after_a_while() {
    let mut desk = Desk::with_gate();
    VIA_UPSTREAM.clone_into(&mut desk.host.details);
    desk.host.attempts = 1;
    let id = desk.open().id;
    assert!(desk.end(id).observer_is_missing);
    for outcome in 0..WANTED_AFTER_A_MISS {
        let opened = desk.open();
        assert!(opened.limit.is_some(), "trusted after {outcome}");
        desk.begin(opened.id);
        desk.end(opened.id);
    }
    assert_eq!(desk.open().limit, None);
}

#[test]
fn names_of_other_workers_and_of_the_past_mean_nothing() {
    let mut desk = Desk::with_gate();
    let id = desk.open().id;
    let mut stranger = id;
    stranger.worker = 8;
    assert_eq!(desk.ledger.begin_attempt(stranger, &desk.host, 0), None);
    desk.end(id);
    assert_eq!(desk.ledger.begin_attempt(id, &desk.host, 0), None);
    assert_eq!(desk.settle(id), Settled::default());
}
