//! The limits under a simulated scheduler: several workers, any order of
//! requests, one shared store, one clock.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use btp_policy::PluginConfig;
use proptest::prelude::*;

use crate::action::{Action, Flow, HeaderEdit, Reply};
use crate::exchange::Exchange;
use crate::host::metrics::Metrics;
use crate::plan::Plan;
use crate::testing::FakeHost;
use crate::testing::feed;
use crate::worker::Worker;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const HOUR: u64 = 3_600 * SECOND;

/// Workers of one proxy.
struct Sim {
    plan: Plan,
    workers: Vec<Worker>,
    host: FakeHost,
}

/// What came of a request.
#[derive(Debug)]
struct Came {
    reply: Option<std::sync::Arc<Reply>>,
    actions: Vec<Action>,
    wakes_at: Option<u64>,
    response: Vec<(String, String)>,
}

impl Came {
    fn passed(&self) -> bool {
        self.reply.is_none()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let headers = match &self.reply {
            Some(reply) => &reply.headers,
            None => &self.response,
        };
        let found = headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }
}

fn plan(local: &str) -> Plan {
    plan_with(local, "")
}

fn plan_with(local: &str, more: &str) -> Plan {
    let text = format!(
        r#"{{"policies":[{{"metadata":{{"name":"p"}},
            "spec":{{"rateLimit":{{"local":{local}}}}}}}]{more}}}"#
    );
    Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap())
}

impl Sim {
    fn new(workers: usize, plan: Plan) -> Self {
        let mut host = FakeHost::new(&plan);
        host.now_ns = 1_000 * HOUR;
        Self {
            workers: (0..workers).map(|_| Worker::new(&plan)).collect(),
            host,
            plan,
        }
    }

    /// A new configuration: new workers' states, the same proxy.
    fn reload(&mut self, plan: Plan) {
        self.workers = self.workers.iter().map(|_| Worker::new(&plan)).collect();
        self.host.cell_names = plan.cells().clone();
        self.plan = plan;
    }

    fn request(&mut self, worker: usize, headers: &[(&str, &str)]) -> Came {
        let headers = headers.iter();
        self.host.request_headers = headers
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect();
        let mut exchange = Exchange::default();
        let mut actions = Vec::new();
        let worker = &mut self.workers[worker];
        let flow = feed(&self.plan, worker, &mut self.host, &mut actions, |cx| {
            exchange.request_headers(cx, true)
        });
        let mut came = Came {
            reply: None,
            actions: Vec::new(),
            wakes_at: exchange.wakes_at(),
            response: Vec::new(),
        };
        for action in actions {
            match action {
                Action::Count(counter) => self.host.add(counter, 1),
                Action::Record(..) => {}
                Action::Reply(reply) => came.reply = Some(reply),
                other => came.actions.push(other),
            }
        }
        assert_eq!(came.reply.is_some(), flow == Flow::Stop);
        if flow == Flow::Continue {
            let mut actions = Vec::new();
            let _ = feed(&self.plan, worker, &mut self.host, &mut actions, |cx| {
                exchange.response_headers(cx, true)
            });
            for action in actions {
                match action {
                    Action::EditResponseHeader(HeaderEdit::Add(name, value)) => {
                        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                        came.response.push((text(&name), text(&value)));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        came
    }

    fn passes(&mut self, worker: usize) -> bool {
        self.request(worker, &[]).passed()
    }

    fn passes_with(&mut self, name: &str, value: &str) -> bool {
        self.request(0, &[(name, value)]).passed()
    }

    fn counter(&self, name: &str) -> u64 {
        let names = self.plan.counters().iter();
        let name = format!("btp.default.p.rate_limit.{name}");
        let index = names
            .into_iter()
            .position(|other| other.to_string() == name)
            .unwrap();
        self.host
            .counter(crate::CounterId(u32::try_from(index).unwrap()))
    }
}

fn one_rule(requests: u64, unit: &str) -> String {
    format!(r#"{{"rules":[{{"limit":{{"requests":{requests},"unit":"{unit}"}}}}]}}"#)
}

#[test]
fn a_small_limit_is_exact_to_the_request_over_all_workers() {
    for skewed in [false, true] {
        let mut sim = Sim::new(2, plan(&one_rule(50, "Hour")));
        let passed = (0..500).filter(|i| sim.passes(if skewed { 0 } else { i % 2 }));
        assert_eq!(passed.count(), 50);
        // One more comes back after 72 s, for whichever worker asks first.
        sim.host.now_ns += 72 * SECOND - 1;
        assert!(!sim.passes(0) && !sim.passes(1));
        sim.host.now_ns += 1;
        assert!(sim.passes(1));
        assert!(!sim.passes(0) && !sim.passes(1));
    }
}

/// Offered `load` times a limit of 2000/s with a burst of 200 for 3 s, how
/// many pass from the second second on, as a share of what should.
fn steady(load: f64, workers: usize, skewed: bool) -> f64 {
    let local = r#"{"rules":[{"limit":{"requests":2000,"unit":"Second","burst":200}}]}"#;
    let mut sim = Sim::new(workers, plan(local));
    let offered = 2_000.0 * load;
    let gap = (1e9 / offered) as u64;
    let start = sim.host.now_ns;
    let mut passed = 0_u32;
    let mut turn = 0_usize;
    while sim.host.now_ns < start + 3 * SECOND {
        turn += 1;
        // The order in which workers come varies.
        let worker = if skewed {
            0
        } else {
            (turn + turn / 7) % workers
        };
        if sim.passes(worker) && sim.host.now_ns >= start + SECOND {
            passed += 1;
        }
        sim.host.now_ns += gap;
    }
    f64::from(passed) / 2.0 / offered.min(2_000.0)
}

#[test]
fn the_steady_rate_is_the_limit_within_one_percent() {
    for workers in [1, 2, 4] {
        for skewed in [false, true] {
            for load in [0.5, 1.0, 2.0, 10.0] {
                let share = steady(load, workers, skewed);
                assert!(
                    (share - 1.0).abs() <= 0.01,
                    "{load}x on {workers} workers, skewed: {skewed}: {share}"
                );
            }
        }
    }
}

#[test]
fn a_large_limit_seldom_asks_the_store() {
    for workers in [1, 2, 4] {
        let mut sim = Sim::new(workers, plan(&one_rule(20_000, "Second")));
        // Twice the limit; what has been saved up is gone first.
        let (mut turn, mut before) = (0, 0);
        for seconds in [3, 1] {
            before = sim.host.cells.updates();
            for _ in 0..40_000 * seconds {
                turn += 1;
                sim.passes(turn % workers);
                sim.host.now_ns += SECOND / 40_000;
            }
        }
        let operations = (sim.host.cells.updates() - before) as f64 / 40_000.0;
        assert!(operations <= 0.1, "{operations} on {workers} workers");
    }
}

proptest! {
    /// In any interval x: burst + rate * x + workers * (lease - 1).
    #[test]
    fn no_interval_admits_more_than_promised(
        requests in prop::sample::select(vec![1_u64, 3, 50, 700, 5_000, 100_000]),
        burst in prop::option::of(1_u64..20_000),
        workers in 1_usize..5,
        steps in prop::collection::vec((0_usize..4, 0_u64..3 * MS, 1_usize..40), 1..120),
        updates in prop::collection::vec(any::<bool>(), 120),
    ) {
        let more = burst.map_or_else(String::new, |burst| format!(r#","burst":{burst}"#));
        let local = format!(r#"{{"rules":[{{"limit":{{"requests":{requests},"unit":"Second"{more}}}}}]}}"#);
        let mut sim = Sim::new(workers, plan(&local));
        let lease = sim.plan.limits()[0].lease();
        let spare = burst.unwrap_or(requests) + workers as u64 * (lease - 1);
        let mut admitted = Vec::new();
        for ((worker, gap, count), update) in steps.into_iter().zip(updates) {
            sim.host.now_ns += gap;
            for _ in 0..count {
                if sim.passes(worker % workers) {
                    admitted.push(sim.host.now_ns);
                }
            }
            // A worker's state may be lost at any time.
            if update && gap % 5 == 0 {
                sim.workers[worker % workers] = Worker::new(&sim.plan);
            }
        }
        for (i, from) in admitted.iter().enumerate() {
            for (j, to) in admitted.iter().enumerate().skip(i) {
                let by_rate = (to - from) * requests / SECOND + 1;
                let passed = j - i + 1;
                prop_assert!(passed as u64 <= spare + by_rate);
            }
        }
    }
}

const TWO_RULES: &str = r#"{"rules":[
    {"name":"wide","clientSelectors":[{"headers":[{"name":"a","value":"1"}]}],"limit":{"requests":10,"unit":"Hour"}},
    {"name":"narrow","clientSelectors":[{"headers":[{"name":"b","value":"1"}]}],"limit":{"requests":3,"unit":"Hour"}}]}"#;

#[test]
fn a_request_that_one_rule_refuses_takes_nothing_from_another() {
    let reversed = {
        let mut rules: Vec<&str> = TWO_RULES.split('\n').skip(1).collect();
        rules.reverse();
        format!(
            "{{\"rules\":[{},{}]}}",
            rules[0].trim_end_matches("]}"),
            rules[1].trim_end_matches(',')
        )
    };
    for local in [TWO_RULES, &reversed] {
        let mut sim = Sim::new(2, plan(local));
        let both = [("a", "1"), ("b", "1")];
        let passed = (0..100).filter(|i| sim.request(i % 2, &both).passed());
        assert_eq!(passed.count(), 3);
        // Ten were there, three are gone, whoever asks.
        let passed = (0..100).filter(|i| sim.request(i % 2, &both[..1]).passed());
        assert_eq!(passed.count(), 7);
        assert_eq!(sim.counter("narrow.limited"), 97);
        assert_eq!(sim.counter("wide.admitted"), 10);
    }
}

#[test]
fn the_longest_wait_is_told_and_rounded_up() {
    let mut sim = Sim::new(1, plan(TWO_RULES));
    for _ in 0..3 {
        assert!(sim.passes_with("b", "1"));
    }
    for _ in 0..10 {
        assert!(sim.passes_with("a", "1"));
    }
    let refused = sim.request(0, &[("a", "1"), ("b", "1")]);
    assert_eq!(refused.header("retry-after"), Some("1200"));
    assert_eq!(refused.header("x-ratelimit-limit"), Some("3"));
    sim.host.now_ns += SECOND / 2;
    let refused = sim.request(0, &[("a", "1")]);
    assert_eq!(refused.header("retry-after"), Some("360"));
    assert_eq!(refused.header("x-ratelimit-reset"), Some("360"));
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
}

#[test]
fn a_shadow_rule_counts_and_hides_nothing() {
    let local = r#"{"rules":[
        {"name":"shadow","shadowMode":true,"clientSelectors":[{"methods":[{"value":"GET"}]}],"limit":{"requests":2,"unit":"Year"}},
        {"name":"real","clientSelectors":[{"path":{"value":"/"}}],"limit":{"requests":5,"unit":"Second"}}]}"#;
    let mut sim = Sim::new(1, plan(local));
    let get = [(":method", "GET"), (":path", "/x")];
    let passed = (0..9).filter(|_| sim.request(0, &get).passed()).count();
    assert_eq!(passed, 5);
    assert_eq!(sim.counter("shadow.admitted"), 2);
    assert_eq!(sim.counter("shadow.shadow_limited"), 3);
    assert_eq!(sim.counter("real.limited"), 4);
    sim.host.now_ns += SECOND;
    let told = sim.request(0, &get);
    assert_eq!(told.header("x-ratelimit-limit"), Some("5"));
}

#[test]
fn the_default_rule_counts_what_no_other_does() {
    let local = r#"{"rules":[
        {"limit":{"requests":1,"unit":"Hour"}},
        {"clientSelectors":[{"headers":[{"name":"a","value":"1"}]}],"limit":{"requests":2,"unit":"Hour"}}]}"#;
    let mut sim = Sim::new(1, plan(local));
    let special = (0..5).filter(|_| sim.passes_with("a", "1")).count();
    let others = (0..5).filter(|_| sim.passes_with("a", "2")).count();
    assert_eq!((special, others), (2, 1));
}

#[test]
fn the_first_match_alone_counts_if_so_wished() {
    let local = r#"{"mode":"FirstMatch","rules":[
        {"limit":{"requests":1,"unit":"Hour"}},
        {"clientSelectors":[{"headers":[{"name":"a","value":"1"}]}],"limit":{"requests":4,"unit":"Hour"}},
        {"clientSelectors":[{"headers":[{"name":"a","type":"Distinct"}]}],"limit":{"requests":2,"unit":"Hour"}}]}"#;
    let mut sim = Sim::new(1, plan(local));
    for (value, passed) in [("1", 4), ("2", 2), ("3", 2)] {
        let count = (0..9).filter(|_| sim.passes_with("a", value)).count();
        assert_eq!(count, passed, "{value}");
    }
    assert_eq!((0..9).filter(|_| sim.passes(0)).count(), 1);
}

#[test]
fn the_exempt_are_not_counted_and_told_nothing() {
    let local = r#"{"exempt":[{"sourceCIDR":{"value":"10.0.0.0/8"}},{"path":{"type":"Exact","value":"/health"}}],
        "rules":[{"limit":{"requests":0,"unit":"Second"}}]}"#;
    let mut sim = Sim::new(1, plan(local));
    sim.host.source = Some("192.0.2.1".parse().unwrap());
    let health = sim.request(0, &[(":path", "/health?x")]);
    assert!(health.passed() && health.response.is_empty());
    let other = sim.request(0, &[(":path", "/")]);
    assert!(!other.passed());
    sim.host.source = Some("10.1.1.1".parse().unwrap());
    assert!(sim.request(0, &[(":path", "/")]).passed());
}

#[test]
fn nothing_passes_a_limit_of_zero_and_nobody_is_told_to_come_back() {
    let mut sim = Sim::new(1, plan(&one_rule(0, "Second")));
    let refused = sim.request(0, &[]);
    let reply = refused.reply.as_ref().unwrap();
    assert_eq!((reply.status, reply.grpc_status), (429, None));
    assert_eq!(reply.body, "local_rate_limited");
    assert_eq!(
        reply.headers,
        [("content-type".to_owned(), "text/plain".to_owned())]
    );
    assert_eq!(sim.host.cells.updates(), 1, "only the seed is read");
}

#[test]
fn a_request_may_cost_several_tokens_or_none() {
    let local = r#"{"rules":[
        {"name":"dear","clientSelectors":[{"headers":[{"name":"a","value":"1"}]}],"limit":{"requests":10,"unit":"Hour"},
         "cost":{"request":{"from":"Number","number":3}}},
        {"name":"free","clientSelectors":[{"headers":[{"name":"a","value":"2"}]}],"limit":{"requests":1,"unit":"Hour"},
         "cost":{"request":{"from":"Number","number":0}}},
        {"limit":{"requests":1,"unit":"Hour"}}]}"#;
    let mut sim = Sim::new(2, plan(local));
    let dear = [("a", "1")];
    assert_eq!(
        (0..9)
            .filter(|i| sim.request(i % 2, &dear).passed())
            .count(),
        3
    );
    let refused = sim.request(0, &dear);
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("1"));
    assert_eq!(refused.header("retry-after"), Some("720"));
    assert_eq!((0..9).filter(|_| sim.passes_with("a", "2")).count(), 9);
}

#[test]
fn buckets_are_per_route_unless_shared() {
    for (shared, passed) in [(false, 4), (true, 2)] {
        let local = format!(
            r#"{{"rules":[{{"shared":{shared},"limit":{{"requests":2,"unit":"Hour"}}}}]}}"#
        );
        let mut sim = Sim::new(1, plan(&local));
        let mut count = 0;
        for route in ["a", "b"] {
            sim.host.route = Some(route.into());
            count += (0..5).filter(|_| sim.passes(0)).count();
        }
        assert_eq!(count, passed, "shared: {shared}");
    }
}

#[test]
fn routes_beyond_the_bound_share_one_bucket_which_is_counted() {
    let mut sim = Sim::new(1, plan(&one_rule(1, "Hour")));
    let mut passed = 0;
    let mut warnings = 0;
    for route in 0..300 {
        sim.host.route = Some(format!("route-{route}").into());
        for _ in 0..2 {
            let came = sim.request(0, &[]);
            passed += usize::from(came.passed());
            warnings += came.actions.len();
        }
    }
    assert_eq!(passed, 256 + 1);
    assert!(sim.counter("rule-af63bd4c.overflows") > 0);
    assert_eq!(warnings, 1);
}

#[test]
fn a_changed_limit_keeps_what_was_used() {
    let rule = |requests: u64, unit: &str, name: &str| {
        let other = r#"{"clientSelectors":[{"path":{"value":"/new"}}],"limit":{"requests":1,"unit":"Day"}}"#;
        format!(
            r#"{{"rules":[{other},{{{name}"clientSelectors":[{{"headers":[{{"name":"a","value":"1"}}]}}],
                "limit":{{"requests":{requests},"unit":"{unit}"}}}}]}}"#
        )
    };
    let a = [("a", "1")];
    let passed = |sim: &mut Sim| (0..40).filter(|i| sim.request(i % 2, &a).passed()).count();
    let mut sim = Sim::new(2, plan(&rule(10, "Day", "")));
    assert_eq!(passed(&mut sim), 10);
    // The same limit: nothing is refilled by an update.
    sim.reload(plan(&rule(10, "Day", "")));
    assert_eq!(passed(&mut sim), 0);
    // Raised: what is more is there at once.
    sim.reload(plan(&rule(1_000, "Day", "")));
    let first = sim.request(1, &a);
    assert_eq!(first.header("x-ratelimit-remaining"), Some("989"));
    // Lowered, with another unit: 11 of 15 are used.
    sim.reload(plan(&rule(15, "Hour", "")));
    assert_eq!(passed(&mut sim), 4);
    // Lowered below what was used: it comes back at the new rate.
    sim.reload(plan(&rule(5, "Second", "")));
    let refused = sim.request(1, &a);
    assert_eq!(refused.header("retry-after"), Some("1"));
    sim.host.now_ns += SECOND;
    assert_eq!(passed(&mut sim), 5);
    // Another identity: another bucket.
    sim.reload(plan(&rule(5, "Hour", r#""name":"n","#)));
    assert!(sim.request(0, &a).passed());
}

/// Requests wait for tokens that they have taken ahead: those are used.
#[test]
fn a_raised_limit_with_a_queue_keeps_what_was_used() {
    let rule = |requests: u64, unit: &str| {
        format!(
            r#"{{"rules":[{{"limit":{{"requests":{requests},"unit":"{unit}"}},
                "queue":{{"maxDelay":"1h","maxQueued":5}}}}]}}"#
        )
    };
    let mut sim = Sim::new(2, plan(&rule(10, "Hour")));
    let came: Vec<Came> = (0..16).map(|i| sim.request(i % 2, &[])).collect();
    assert_eq!(came.iter().filter(|it| it.wakes_at.is_some()).count(), 5);
    assert!(!came[15].passed());
    sim.reload(plan(&rule(100, "Hour")));
    let next = sim.request(0, &[]);
    assert!(next.passed() && next.wakes_at.is_none());
    assert_eq!(next.header("x-ratelimit-remaining"), Some("84"));
}

#[test]
fn a_store_that_keeps_failing_refuses_and_is_counted() {
    let mut sim = Sim::new(1, plan(&one_rule(10, "Hour")));
    assert!(sim.passes(0));
    sim.host.cells.contend(3);
    assert!((0..3).all(|_| !sim.passes(0)));
    assert_eq!(sim.counter("rule-af63bd4c.store_contended"), 3);
    assert_eq!((0..20).filter(|_| sim.passes(0)).count(), 9);
}

/// Without the key of all hashes requests do not get a bucket each.
#[test]
fn a_seed_out_of_reach_lets_nobody_pass_twice() {
    let mut sim = Sim::new(1, plan(&one_rule(1, "Hour")));
    let mut passes = || {
        sim.host.cells.contend(1);
        sim.passes(0)
    };
    assert_eq!((0..5).filter(|_| passes()).count(), 1);
}

#[test]
fn what_refused_clients_get_can_be_chosen() {
    let local = r#"{"reject":{"statusCode":503,"contentType":"application/json","body":"{}",
            "headers":[{"name":"X-Why","value":"busy"}],"grpcStatus":8},"retryAfter":false,
        "rules":[
        {"clientSelectors":[{"headers":[{"name":"a","value":"1"}]}],"limit":{"requests":0,"unit":"Hour"},"reject":{"body":"own"}},
        {"limit":{"requests":1,"unit":"Hour"},"xRateLimitHeaders":"Off"}]}"#;
    let mut sim = Sim::new(1, plan(local));
    assert!(sim.request(0, &[]).response.is_empty());
    let reply = sim.request(0, &[]).reply.unwrap();
    assert_eq!((reply.status, reply.grpc_status), (503, Some(8)));
    let headers = [("content-type", "application/json"), ("x-why", "busy")];
    assert_eq!(
        reply.headers,
        headers.map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
    let own = sim.request(0, &[("a", "1")]).reply.unwrap();
    assert_eq!((own.status, own.body.as_str()), (429, "own"));
}

#[test]
fn a_request_that_no_rule_counts_is_asked_nothing_more() {
    let local = r#"{"rules":[{"shared":true,"clientSelectors":[{"headers":[{"name":"a","value":"1"}]}],
        "limit":{"requests":1,"unit":"Hour"}}]}"#;
    let mut sim = Sim::new(1, plan(local));
    sim.passes(0);
    let (lookups, operations) = (sim.host.lookups.get(), sim.host.cells.updates());
    let came = sim.request(0, &[]);
    assert!(came.passed() && came.response.is_empty() && came.actions.is_empty());
    assert_eq!(sim.host.lookups.get(), lookups + 1, "all headers, once");
    assert_eq!(sim.host.cells.updates(), operations);
}

#[test]
fn a_queue_lets_requests_wait_for_their_tokens() {
    let local = |more: &str| {
        format!(
            r#"{{"rules":[{{"limit":{{"requests":10,"unit":"Second","burst":2}},
                "queue":{{"maxDelay":"450ms"{more}}}}}]}}"#
        )
    };
    for (more, waits) in [
        ("", vec![100, 200, 300, 400]),
        (r#","maxQueued":2"#, vec![100, 200]),
    ] {
        let mut sim = Sim::new(2, plan(&local(more)));
        let start = sim.host.now_ns;
        let came: Vec<Came> = (0..9).map(|i| sim.request(i % 2, &[])).collect();
        let held: Vec<u64> = came
            .iter()
            .filter_map(|came| Some((came.wakes_at? - start) / MS))
            .collect();
        assert_eq!(held, waits);
        let passed = came.iter().filter(|came| came.passed()).count();
        assert_eq!(passed, 2 + waits.len());
        assert_eq!(sim.counter("rule-af63bd4c.queued"), waits.len() as u64);
        assert_eq!(came[8].header("retry-after"), Some("1"));
        // A tenth of a second later there is room for one more to wait.
        sim.host.now_ns += 100 * MS;
        let next = sim.request(0, &[]);
        let until = start + (waits.last().unwrap() + 100) * MS;
        assert_eq!((next.wakes_at, next.actions), (Some(until), Vec::new()));
        assert!(!sim.passes(1));
    }
}

#[test]
fn who_waits_goes_on_when_the_time_has_come_and_takes_no_more() {
    let local = r#"{"rules":[{"limit":{"requests":10,"unit":"Second","burst":1},
        "queue":{"maxDelay":"1s"}}]}"#;
    let mut sim = Sim::new(1, plan(local));
    assert!(sim.passes(0));
    let mut exchange = Exchange::default();
    let mut out = Vec::new();
    let (plan, worker) = (&sim.plan, &mut sim.workers[0]);
    let flow = feed(plan, worker, &mut sim.host, &mut out, |cx| {
        exchange.request_headers(cx, true)
    });
    assert_eq!(flow, Flow::HoldAll);
    sim.host.now_ns += 99 * MS;
    assert_eq!(
        feed(plan, worker, &mut sim.host, &mut out, |cx| exchange
            .timer(cx)),
        Flow::HoldAll
    );
    sim.host.now_ns += MS;
    out.clear();
    assert_eq!(
        feed(plan, worker, &mut sim.host, &mut out, |cx| exchange
            .timer(cx)),
        Flow::Continue
    );
    assert_eq!(out, []);
    let flow = feed(plan, &mut sim.workers[0], &mut sim.host, &mut out, |cx| {
        exchange.response_headers(cx, true)
    });
    assert_eq!(flow, Flow::Continue);
    let told = |name: &'static str, value: &str| {
        let (name, value) = (name.into(), value.to_owned().into());
        Action::EditResponseHeader(HeaderEdit::Add(name, value))
    };
    assert!(out.contains(&told("x-ratelimit-remaining", "0")), "{out:?}");
}

mod distinct;
mod headers;
mod missing_key;
mod networks;
mod overflow;
