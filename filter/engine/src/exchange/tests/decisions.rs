//! What the access log is told, event by event. Whole exchanges are in
//! `tests/scenarios/access_log.json`.

use std::sync::Arc;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use btp_policy::PluginConfig;

use super::MS;
use crate::action::{Action, Flow, Reply};
use crate::exchange::{Context, Exchange};
use crate::plan::Plan;
use crate::testing::{FakeHost, feed};
use crate::worker::Worker;

/// One worker, whose exchanges all have filter states of their own.
struct Stage {
    plan: Plan,
    worker: Worker,
    host: FakeHost,
    /// What the events at hand led to.
    out: Vec<Action>,
}

impl Stage {
    fn new(spec: &str) -> Self {
        Self::with("true", spec)
    }

    fn with(access_log: &str, spec: &str) -> Self {
        let text = format!(
            r#"{{"accessLog":{access_log},"allowOnHeadersStopIteration":true,
                "policies":[{{"metadata":{{"name":"p"}},"spec":{spec}}}]}}"#
        );
        let plan = Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap());
        Self {
            worker: Worker::new(&plan),
            host: FakeHost::new(&plan),
            plan,
            out: Vec::new(),
        }
    }

    /// A request arrives, with a body if it has a length.
    fn begin(&mut self, headers: &[(&str, &str)]) -> (Exchange, Flow) {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
        self.host.request_headers = headers.iter().map(pair).collect();
        self.host.logged_decisions.clear();
        let end = self
            .host
            .request_headers
            .iter()
            .all(|(name, _)| name != "content-length");
        let mut exchange = Exchange::default();
        let flow = self.event(|cx| exchange.request_headers(cx, end));
        (exchange, flow)
    }

    fn event(&mut self, event: impl FnOnce(&mut Context<'_, FakeHost>) -> Flow) -> Flow {
        self.out.clear();
        let (worker, host) = (&mut self.worker, &mut self.host);
        let flow = feed(&self.plan, worker, host, &mut self.out, event);
        for action in &self.out {
            if let Action::LogDecisions(text) = action {
                self.host.logged_decisions.clone_from(text);
            }
        }
        flow
    }

    fn log(&self) -> &str {
        std::str::from_utf8(&self.host.logged_decisions).unwrap()
    }
}

const SIZED: &[(&str, &str)] = &[("content-length", "8")];

#[test]
fn bodies_that_are_refused() {
    let mut slow = Stage::new(r#"{"requestBuffer":{"limit":"1Ki","maxDuration":"1s"}}"#);
    let (mut exchange, flow) = slow.begin(SIZED);
    assert_eq!((flow, slow.log()), (Flow::HoldHeaders, ""));
    slow.host.now_ns += 1001 * MS;
    assert_eq!(slow.event(|cx| exchange.timer(cx)), Flow::Stop);
    assert_eq!(slow.log(), "default/p requestBuffer=timeout");

    let mut full = Stage::new(r#"{"requestBuffer":{"limit":"10","maxTotal":"10"}}"#);
    let _held = full.begin(SIZED);
    assert_eq!(full.begin(SIZED).1, Flow::Stop);
    assert_eq!(full.log(), "default/p requestBuffer=full");

    let mut expecting = Stage::new(r#"{"requestBuffer":{"limit":"1Ki"}}"#);
    let (_, flow) = expecting.begin(&[("content-length", "8"), ("expect", "100-continue")]);
    assert_eq!(flow, Flow::Stop);
    assert_eq!(
        expecting.log(),
        "default/p requestBuffer=expectation_failed"
    );
}

#[test]
fn bodies_that_envoy_does_not_take_or_show() {
    let spec = r#"{"requestBuffer":{"limit":"1Ki"}}"#;
    let mut overflowing = Stage::new(spec);
    let (mut exchange, _) = overflowing.begin(SIZED);
    overflowing.host.response_headers = vec![(":status".to_owned(), b"413".to_vec())];
    let _ = overflowing.event(|cx| exchange.response_headers(cx, false));
    assert_eq!(overflowing.log(), "default/p requestBuffer=envoy_overflow");

    let mut unseen = Stage::new(spec);
    let (mut exchange, _) = unseen.begin(SIZED);
    let reply = Arc::new(Reply::text(500, "unseen", "btp_unseen"));
    assert_eq!(unseen.event(|cx| exchange.refuse(cx, &reply)), Flow::Stop);
    assert_eq!(unseen.log(), "default/p requestBuffer=body_unseen");
}

#[test]
fn too_many_in_flight_names_the_class_and_nothing_else() {
    let rule = |shadow: &str| {
        format!(
            r#"{{"rateLimit":{{"local":{{"rules":[{{"name":"r"{shadow},
                "limit":{{"requests":9,"unit":"Hour"}},
                "concurrency":{{"max":1,"classes":[{{"name":"gold"}}]}}}}]}}}}}}"#
        )
    };
    let mut enforced = Stage::new(&rule(""));
    let _first = enforced.begin(&[]);
    assert_eq!(enforced.begin(&[]).1, Flow::Stop);
    assert_eq!(
        enforced.log(),
        "default/p rateLimit/r=concurrency_limited:gold"
    );

    let mut shadow = Stage::new(&rule(r#","shadowMode":true"#));
    let _first = shadow.begin(&[]);
    assert_eq!(shadow.begin(&[]).1, Flow::Continue);
    assert_eq!(
        shadow.log(),
        "default/p rateLimit/r=shadow_concurrency_limited:gold"
    );
}

/// All that one event decides is written at once, and before the reply.
#[test]
fn an_event_writes_once() {
    let rule = |name: &str, more: &str| {
        format!(
            r#"{{"name":"{name}","clientSelectors":[{{"path":{{"value":"/"}}}}],
                "limit":{{"requests":1,"unit":"Second"}}{more}}}"#
        )
    };
    let queue = r#","queue":{"maxDelay":"1s"}"#;
    let rules = [
        rule("a", queue),
        rule("b", queue),
        rule("c", r#","shadowMode":true"#),
    ];
    let spec = format!(
        r#"{{"rateLimit":{{"local":{{"rules":[{}]}}}}}}"#,
        rules.join(",")
    );
    let mut stage = Stage::new(&spec);
    stage.host.now_ns = 1 << 60;
    let request = &[(":path", "/")];
    assert_eq!(stage.begin(request).1, Flow::Continue);
    assert_eq!(stage.log(), "");
    stage.host.now_ns += 999 * MS + 1;
    let (mut exchange, flow) = stage.begin(request);
    assert_eq!(flow, Flow::HoldAll);
    let expected = "default/p rateLimit/a=queued:1ms rateLimit/b=queued:1ms";
    assert_eq!(
        stage.log(),
        format!("{expected} rateLimit/c=shadow_limited")
    );
    let is_log = |action: &&Action| matches!(action, Action::LogDecisions(_));
    assert_eq!(stage.out.iter().filter(is_log).count(), 1);
    stage.host.now_ns += 1001 * MS;
    assert_eq!(stage.event(|cx| exchange.timer(cx)), Flow::Continue);
    assert_eq!(stage.out.iter().filter(is_log).count(), 0);
    for _ in 0..2 {
        let _ = stage.begin(request);
    }
    assert_eq!(stage.begin(request).1, Flow::Stop);
    let kinds = stage
        .out
        .iter()
        .filter(|it| !matches!(it, Action::Count(_)));
    let kinds: Vec<bool> = kinds.map(|it| is_log(&it)).collect();
    assert_eq!(kinds, [true, false], "{:?}", stage.out);
}

/// Another instance of the filter, of this build or the other.
#[test]
fn what_stands_there_is_added_to() {
    let never =
        r#"{"rateLimit":{"local":{"rules":[{"name":"r","limit":{"requests":0,"unit":"Hour"}}]}}}"#;
    for (before, after) in [
        (
            "default/p faultInjection=delayed:1ms",
            "default/p faultInjection=delayed:1ms rateLimit/r=limited",
        ),
        (
            "a/b retry=budget_exhausted",
            "a/b retry=budget_exhausted; default/p rateLimit/r=limited",
        ),
        (
            "default/p rateLimit/r=limited",
            "default/p rateLimit/r=limited",
        ),
    ] {
        let mut stage = Stage::new(never);
        stage.host.logged_decisions = before.as_bytes().to_vec();
        let mut exchange = Exchange::default();
        assert_eq!(
            stage.event(|cx| exchange.request_headers(cx, true)),
            Flow::Stop
        );
        assert_eq!(stage.log(), after);
    }
}

/// Without the access log there is no cost: no question to the host, no action, no memory.
#[test]
fn switched_off_it_costs_nothing() {
    let spec = r#"{"faultInjection":{"delay":{"fixedDelay":"1s"}},
        "rateLimit":{"local":{"rules":[{"name":"r","limit":{"requests":0,"unit":"Hour"}}]}}}"#;
    let mut costs = ["false", "true"].map(|access_log| {
        let mut stage = Stage::with(access_log, spec);
        let (mut exchange, flow) = stage.begin(&[]);
        assert_eq!(flow, Flow::HoldAll);
        stage.host.now_ns += 1001 * MS;
        let mut actions = stage.out.len();
        assert_eq!(stage.event(|cx| exchange.timer(cx)), Flow::Stop);
        actions += stage.out.len();
        (stage.host.lookups.get(), actions, stage.log().to_owned())
    });
    let [off, on] = &mut costs;
    assert_eq!(off.2, "");
    assert_eq!(
        on.2,
        "default/p faultInjection=delayed:1000ms rateLimit/r=limited"
    );
    // For each of the two events: one question, and one action.
    assert_eq!((off.0 + 2, off.1 + 2), (on.0, on.1));
}
