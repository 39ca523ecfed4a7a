//! Which requests faults apply to, which faults are drawn, and the results, in a proxy in
//! memory.

use proptest::prelude::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use btp_policy::PluginConfig;

use crate::action::{Action, Flow};
use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::testing::feed;
use crate::testing::{FakeHost, Message, Outcome, Proxy, demo_upstream};
use crate::worker::Worker;

const MS: u64 = 1_000_000;

fn plan(fault: &str) -> Plan {
    let text = format!(
        r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{{"faultInjection":{fault}}}}}]}}"#
    );
    Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap())
}

fn proxy(fault: &str) -> Proxy {
    Proxy::new(plan(fault))
}

/// A GET with these headers, and what came of it.
fn get(proxy: &mut Proxy, headers: &[(&str, &str)]) -> Outcome {
    let mut request = Message::request("GET", "/");
    for (name, value) in headers {
        request.set(name, value);
    }
    proxy.exchange(None, &request, demo_upstream)
}

fn status(outcome: &Outcome) -> &str {
    outcome.response.get(":status").unwrap_or("reset")
}

#[test]
fn an_abort_says_what_the_policy_says() {
    let mut proxy = proxy(
        r#"{"abort":{"httpStatus":429,"body":"{\"wait\": \"100%\"}","contentType":"application/json",
            "headers":[{"name":"Retry-After","value":"7"},{"name":"x-fault","value":"yes"}]}}"#,
    );
    let response = get(&mut proxy, &[]).response;
    assert_eq!(response.get(":status"), Some("429"));
    assert_eq!(response.body, br#"{"wait": "100%"}"#);
    assert_eq!(response.get("content-type"), Some("application/json"));
    assert_eq!(response.get("retry-after"), Some("7"));
    assert_eq!(response.get("x-fault"), Some("yes"));
}

#[test]
fn a_status_that_has_no_body_gets_none() {
    let mut proxy = proxy(r#"{"abort":{"httpStatus":204}}"#);
    let response = get(&mut proxy, &[]).response;
    assert_eq!(
        (response.body.len(), response.get("content-type")),
        (0, None)
    );
}

#[test]
fn a_reset_breaks_the_exchange_off_after_the_delay() {
    let mut proxy = proxy(r#"{"delay":{"fixedDelay":"5ms"},"abort":{"reset":true}}"#);
    let outcome = get(&mut proxy, &[]);
    assert!(outcome.is_reset);
    assert_eq!((outcome.held_ns, outcome.upstream_requests), (5 * MS, 0));
    assert_eq!(
        proxy.counter("btp.default.p.fault_aborts_injected"),
        Some(1)
    );
}

#[test]
fn envoys_own_health_checks_are_spared() {
    let check = [("user-agent", "Envoy/HC")];
    for matching in ["", r#""match":[{"path":{"value":"/"}}],"#] {
        let mut spared = proxy(&format!(r#"{{{matching}"abort":{{"httpStatus":503}}}}"#));
        assert_eq!(status(&get(&mut spared, &check)), "200", "{matching}");
        let other = get(&mut spared, &[("user-agent", "Envoy/HC2")]);
        assert_eq!(status(&other), "503", "{matching}");
    }
    let mut all = proxy(r#"{"abort":{"httpStatus":503},"exemptHealthChecks":false}"#);
    assert_eq!(status(&get(&mut all, &check)), "503");
}

#[test]
fn a_request_that_is_not_drawn_is_not_looked_at() {
    let plan = plan(r#"{"abort":{"httpStatus":503,"percentage":50}}"#);
    let mut host = FakeHost::default();
    host.random = [u64::MAX, 0].into();
    let mut out = Vec::new();
    // Whether it is a health check, and what its client understands.
    for lookups in [0, 2] {
        let mut exchange = Exchange::default();
        let _ = feed(&plan, &mut Worker::new(&plan), &mut host, &mut out, |cx| {
            exchange.request_headers(cx, true)
        });
        assert_eq!(host.lookups.get(), lookups);
    }
}

#[test]
fn a_schedule_begins_and_ends() {
    let mut proxy = proxy(
        r#"{"abort":{"httpStatus":503},
            "schedule":{"start":"1970-01-01T00:00:01Z","end":"1970-01-01T00:00:02Z"}}"#,
    );
    for (wall_ms, expected) in [(999, "200"), (1000, "503"), (1999, "503"), (2000, "200")] {
        proxy.host.wall_ms = wall_ms;
        assert_eq!(status(&get(&mut proxy, &[])), expected, "{wall_ms}");
    }
}

#[test]
fn the_same_key_always_fares_the_same() {
    let text = r#"{"abort":{"httpStatus":503,"percentage":30},
                   "delay":{"fixedDelay":"1ms","percentage":50},
                   "sampling":{"key":"Header","name":"x-user","seed":42}}"#;
    let (mut one, mut other) = (proxy(text), proxy(text));
    other.host.random = [u64::MAX; 4].into();
    let (mut aborted, mut delayed, mut both) = (0, 0, 0);
    for user in 0..2_000 {
        let user = format!("user-{user}");
        let first = get(&mut one, &[("x-user", &user)]);
        let again = get(&mut other, &[("x-user", &user)]);
        assert_eq!(status(&first), status(&again), "{user}");
        assert_eq!(first.held_ns, again.held_ns, "{user}");
        let (is_aborted, is_delayed) = (status(&first) == "503", first.held_ns > 0);
        aborted += u32::from(is_aborted);
        delayed += u32::from(is_delayed);
        both += u32::from(is_aborted && is_delayed);
    }
    // Four standard deviations each.
    assert!((518..=682).contains(&aborted), "{aborted}");
    assert!((910..=1090).contains(&delayed), "{delayed}");
    assert!((236..=364).contains(&both), "{both}");
}

/// What the documentation promises to stay: the verdicts of these users.
#[test]
fn a_verdict_can_be_worked_out_from_the_documentation() {
    let mut proxy = proxy(
        r#"{"abort":{"httpStatus":503,"percentage":50},
            "sampling":{"key":"Header","name":"x-user","seed":1}}"#,
    );
    let verdicts: String = (0..16)
        .map(|user| {
            let outcome = get(&mut proxy, &[("x-user", &format!("u{user}"))]);
            if status(&outcome) == "503" { 'x' } else { '.' }
        })
        .collect();
    assert_eq!(verdicts, ".x.x..xx..xx....");
}

#[test]
fn another_seed_or_policy_picks_others() {
    let picked = |seed: u32, name: &str| -> Vec<bool> {
        let text = format!(
            r#"{{"policies":[{{"metadata":{{"name":"{name}"}},"spec":{{"faultInjection":
                {{"abort":{{"httpStatus":503,"percentage":50}},
                  "sampling":{{"key":"RequestID","seed":{seed}}}}}}}}}]}}"#
        );
        let config = PluginConfig::parse(text.as_bytes()).unwrap();
        let mut proxy = Proxy::new(Plan::compile(config));
        let pick = |id| status(&get(&mut proxy, &[("x-request-id", &format!("{id}"))])) == "503";
        (0..64).map(pick).collect()
    };
    assert_eq!(picked(1, "p"), picked(1, "p"));
    assert_ne!(picked(1, "p"), picked(2, "p"));
    assert_ne!(picked(1, "p"), picked(1, "q"));
}

#[test]
fn a_client_keeps_its_verdict_by_its_address() {
    let mut proxy =
        proxy(r#"{"abort":{"httpStatus":503,"percentage":50},"sampling":{"key":"SourceIP"}}"#);
    let mut seen = std::collections::BTreeSet::new();
    for last in 0..32_u8 {
        proxy.host.source = Some([10, 0, 0, last].into());
        let first = status(&get(&mut proxy, &[])).to_owned();
        assert_eq!(status(&get(&mut proxy, &[])), first);
        seen.insert(first);
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn without_its_key_a_request_is_drawn_at_random_and_counted() {
    let mut proxy = proxy(
        r#"{"abort":{"httpStatus":503,"percentage":50},
            "sampling":{"key":"Header","name":"x-user"}}"#,
    );
    proxy.host.random = [0, u64::MAX, 0].into();
    assert_eq!(status(&get(&mut proxy, &[])), "503");
    assert_eq!(status(&get(&mut proxy, &[])), "200");
    assert_eq!(status(&get(&mut proxy, &[("x-user", "")])), "503");
    assert_eq!(
        proxy.counter("btp.default.p.fault_sampling_key_missing"),
        Some(3)
    );
}

#[test]
fn a_request_asks_for_its_faults_and_the_upstream_never_learns() {
    let mut proxy = proxy(
        r#"{"delay":{"fixedDelay":"7ms"},
            "headerControl":{"delay":{"max":"1s"},"abort":{}}}"#,
    );
    let asked = [
        ("x-envoy-fault-delay-request", "5000"),
        ("x-envoy-fault-abort-request", "418"),
        ("x-kept", "1"),
    ];
    let outcome = get(&mut proxy, &asked);
    assert_eq!((outcome.held_ns, status(&outcome)), (1000 * MS, "418"));
    // A delay of zero is none; what is no number leaves the policy's own.
    for (value, held) in [("0", 0), ("x", 7 * MS)] {
        let mut request = Message::request("GET", "/");
        request.set("x-envoy-fault-delay-request", value);
        request.set("x-envoy-fault-delay-request-percentage", "100");
        request.set("x-kept", "1");
        let outcome = proxy.exchange(None, &request, |request| {
            assert_eq!(request.headers.len(), 3, "{:?}", request.headers);
            demo_upstream(request)
        });
        assert_eq!(outcome.held_ns, held, "{value}");
    }
}

#[test]
fn headers_ask_for_nothing_unless_the_policy_lets_them() {
    let mut proxy = proxy(r#"{"abort":{"httpStatus":503,"percentage":0}}"#);
    let outcome = get(&mut proxy, &[("x-envoy-fault-abort-request", "418")]);
    assert_eq!(status(&outcome), "200");
}

#[test]
fn too_many_who_wait_leave_others_untouched() {
    let plan = plan(r#"{"delay":{"fixedDelay":"100ms"},"abort":{"httpStatus":503},"maxActive":2}"#);
    let mut worker = Worker::new(&plan);
    let mut host = FakeHost::default();
    let mut out = Vec::new();
    let arrive = |worker: &mut Worker, host: &mut FakeHost, out: &mut Vec<Action>| {
        let mut exchange = Exchange::default();
        let flow = feed(&plan, worker, host, out, |cx| {
            exchange.request_headers(cx, true)
        });
        (exchange, flow)
    };
    let (mut first, flow) = arrive(&mut worker, &mut host, &mut out);
    assert_eq!(flow, Flow::HoldAll);
    let (mut second, flow) = arrive(&mut worker, &mut host, &mut out);
    assert_eq!(flow, Flow::HoldAll);
    let (_, flow) = arrive(&mut worker, &mut host, &mut out);
    assert_eq!(flow, Flow::Continue);
    // One goes on in time, the other one's client goes: both leave room.
    host.now_ns = 100 * MS;
    let flow = feed(&plan, &mut worker, &mut host, &mut out, |cx| {
        first.timer(cx)
    });
    assert_eq!(flow, Flow::Stop);
    feed(&plan, &mut worker, &mut host, &mut out, |cx| {
        second.done(cx)
    });
    feed(&plan, &mut worker, &mut host, &mut out, |cx| first.done(cx));
    assert_eq!(arrive(&mut worker, &mut host, &mut out).1, Flow::HoldAll);
    let gauge: i64 = out
        .iter()
        .map(|action| match action {
            Action::Adjust(_, by) => *by,
            _ => 0,
        })
        .sum();
    assert_eq!(gauge, 1);
}

#[test]
fn a_body_that_is_refused_while_its_request_waits_leaves_room() {
    let text = r#"{"allowOnHeadersStopIteration":true,"policies":[{"metadata":{"name":"p"},"spec":{
        "requestBuffer":{"limit":"10"},
        "faultInjection":{"delay":{"fixedDelay":"1s"},"maxActive":1}}}]}"#;
    let mut proxy = Proxy::new(Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap()));
    let mut request = Message::request("POST", "/");
    request.body = vec![b'x'; 11];
    for _ in 0..2 {
        let outcome = proxy.exchange(None, &request, demo_upstream);
        assert_eq!(status(&outcome), "413");
        assert_eq!(proxy.gauge("btp.default.p.fault_active"), Some(0));
    }
    assert_eq!(proxy.counter("btp.default.p.fault_overflow"), Some(0));
}

#[test]
fn each_instance_injects_its_own_faults_only() {
    let at = |position: &str, fault: &str| {
        let text = format!(
            r#"{{"position":"{position}","policies":[{{"metadata":{{"name":"p"}},"spec":{{
                "faultInjection":{{"abort":{{"httpStatus":503}}{fault}}}}}}}]}}"#
        );
        let config = PluginConfig::parse(text.as_bytes()).unwrap();
        let warned = config.warnings.len();
        let mut proxy = Proxy::new(Plan::compile(config));
        proxy.host.attempts = 1;
        let outcome = get(&mut proxy, &[]);
        (
            status(&outcome).to_owned(),
            outcome.upstream_requests,
            warned,
        )
    };
    let upstream = r#","position":"Upstream""#;
    assert_eq!(at("Downstream", ""), ("503".into(), 0, 0));
    assert_eq!(at("Upstream", ""), ("200".into(), 1, 0));
    assert_eq!(at("Downstream", upstream), ("200".into(), 1, 1));
    assert_eq!(at("Upstream", upstream), ("503".into(), 1, 0));
}

#[test]
fn behind_the_router_the_response_of_the_named_attempts_is_rewritten() {
    let text = r#"{"position":"Upstream","policies":[{"metadata":{"name":"p"},"spec":{
        "faultInjection":{"position":"Upstream","attempts":[1,3],
                          "delay":{"fixedDelay":"5ms"},"abort":{"httpStatus":503}}}}]}"#;
    let mut proxy = Proxy::new(Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap()));
    for (attempt, expected, held) in [
        (1, "503", 5 * MS),
        (2, "200", 0),
        (3, "503", 5 * MS),
        (0, "200", 0),
    ] {
        proxy.host.attempts = attempt;
        let outcome = get(&mut proxy, &[]);
        assert_eq!((status(&outcome), outcome.held_ns), (expected, held));
        assert_eq!(outcome.response.body, b"upstream says 200\n");
    }
    assert_eq!(
        proxy.counter("btp.default.p.fault_aborts_injected"),
        Some(2)
    );
}

proptest! {
    /// Requests never get more than the policy allows, whatever their headers request.
    #[test]
    fn no_header_goes_beyond_the_bounds(
        delay in "[0-9]{0,21}|[ -~]{0,8}",
        percentage in "[0-9]{0,5}",
        code in "[0-9]{0,5}|[ -~]{0,8}",
        random in any::<u64>(),
    ) {
        let mut proxy = proxy(
            r#"{"headerControl":{"delay":{"max":"2s","percentage":10},
                                 "abort":{"percentage":10}}}"#,
        );
        proxy.host.random = [random, random].into();
        let outcome = get(&mut proxy, &[
            ("x-envoy-fault-delay-request", &delay),
            ("x-envoy-fault-delay-request-percentage", &percentage),
            ("x-envoy-fault-abort-request", &code),
        ]);
        prop_assert!(outcome.held_ns <= 2_000 * MS);
        let status: u16 = status(&outcome).parse().unwrap();
        prop_assert!((200..=599).contains(&status));
        if (u128::from(random) * 10) >> 64 >= 1 {
            prop_assert_eq!((outcome.held_ns, status), (0, 200));
        }
    }
}
