//! Requests in flight under a simulated scheduler: several workers, any order
//! of beginnings and ends, workers that die.

use btp_policy::PluginConfig;
use proptest::prelude::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::action::{Action, Flow};
use crate::exchange::Exchange;
use crate::host::metrics::Metrics;
use crate::host::shared_state::Claims;
use crate::plan::Plan;
use crate::testing::FakeHost;
use crate::testing::feed;
use crate::worker::Worker;

const SECOND: u64 = 1_000_000_000;

struct Sim {
    plan: Plan,
    workers: Vec<Worker>,
    /// When each worker must be woken.
    host: FakeHost,
    gauge: i64,
}

/// A configuration that another one has replaced.
struct Before {
    plan: Plan,
    workers: Vec<Worker>,
}

/// What a refused request got: status, details and the wait it was told.
type Refused = (u16, &'static str, Option<String>);

impl Sim {
    fn new(workers: usize, rules: &str) -> Self {
        let text = format!(
            r#"{{"limits":{{"distinctKeys":64}},"policies":[{{"metadata":{{"name":"p"}},
                "spec":{{"rateLimit":{{"local":{{"rules":{rules}}}}}}}}}]}}"#
        );
        let plan = Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap());
        let host = FakeHost::new(&plan);
        Self {
            workers: (0..workers).map(|_| Worker::new(&plan)).collect(),
            host,
            plan,
            gauge: 0,
        }
    }

    /// A request arrives.
    fn open(&mut self, worker: usize, headers: &[(&str, &str)]) -> Result<Exchange, Refused> {
        let headers = headers.iter();
        self.host.request_headers = headers
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect();
        let mut exchange = Exchange::default();
        let (own, host, mut out) = (&mut self.workers[worker], &mut self.host, Vec::new());
        let flow = feed(&self.plan, own, host, &mut out, |cx| {
            exchange.request_headers(cx, true)
        });
        let reply = out.iter().find_map(|action| match action {
            Action::Reply(reply) => Some(reply.clone()),
            _ => None,
        });
        self.perform(out);
        let Some(reply) = reply else {
            assert_ne!(flow, Flow::Stop);
            return Ok(exchange);
        };
        // Who is refused ends, too, and must not leave what others took.
        self.close(worker, exchange);
        let mut headers = reply.headers.iter();
        let wait = headers.find(|(name, _)| name == "retry-after");
        Err((
            reply.status,
            reply.details,
            wait.map(|(_, value)| value.clone()),
        ))
    }

    fn close(&mut self, worker: usize, mut exchange: Exchange) {
        let mut out = Vec::new();
        let own = &mut self.workers[worker];
        feed(&self.plan, own, &mut self.host, &mut out, |cx| {
            exchange.done(cx)
        });
        self.perform(out);
    }

    fn perform(&mut self, out: Vec<Action>) {
        for action in out {
            match action {
                Action::Count(counter) => self.host.add(counter, 1),
                Action::Adjust(_, by) => self.gauge += by,
                _ => {}
            }
        }
    }

    fn pass_time(&mut self, nanos: u64) {
        self.host.now_ns += nanos;
        for worker in 0..self.workers.len() {
            let now = self.host.now_ns;
            if self.workers[worker].wakes_at().is_some_and(|at| at <= now) {
                let mut out = Vec::new();
                self.workers[worker].tick(
                    &self.plan,
                    &mut crate::event::Event::new(&mut self.host, &mut out),
                );
                self.perform(out);
            }
        }
    }

    /// Another configuration comes for all workers; gives what was there before, with its
    /// requests in flight.
    fn update(&mut self, rules: &str) -> Before {
        let mut next = Self::new(self.workers.len(), rules);
        std::mem::swap(&mut self.plan, &mut next.plan);
        std::mem::swap(&mut self.workers, &mut next.workers);
        let (plan, mut workers) = (next.plan, next.workers);
        assert_eq!(plan.cells(), self.plan.cells(), "it goes by the same cells");
        for worker in &mut workers {
            let mut out = Vec::new();
            let mut event = crate::event::Event::new(&mut self.host, &mut out);
            worker.retire(&plan, &mut event);
            self.perform(out);
        }
        Before { plan, workers }
    }

    /// A request ends that came before an update.
    fn close_under(&mut self, before: &mut Before, worker: usize, mut exchange: Exchange) {
        let mut out = Vec::new();
        let own = &mut before.workers[worker];
        feed(&before.plan, own, &mut self.host, &mut out, |cx| {
            exchange.done(cx)
        });
        self.perform(out);
    }

    fn die(&mut self, worker: usize) {
        self.workers[worker] = Worker::new(&self.plan);
    }

    fn counter(&self, name: &str) -> u64 {
        let mut names = self.plan.counters().iter();
        let index = names
            .position(|other| other.to_string().ends_with(name))
            .unwrap();
        self.host
            .counter(crate::CounterId(u32::try_from(index).unwrap()))
    }

    fn is_all_free(&self) -> bool {
        let claims = self.host.cells.all::<Claims>();
        self.gauge == 0 && claims.iter().all(|Claims(claims)| claims.is_empty())
    }
}

fn at_most(max: u64) -> String {
    format!(r#"[{{"concurrency":{{"max":{max}}}}}]"#)
}

const CONCURRENCY_LIMITED: Refused = (429, "btp_concurrency", None);

#[test]
fn so_many_are_in_flight_and_no_more_over_all_workers() {
    let mut sim = Sim::new(2, &at_most(3));
    let mut open: Vec<_> = (0..3)
        .map(|worker| (worker % 2, sim.open(worker % 2, &[]).unwrap()))
        .collect();
    assert_eq!(sim.gauge, 3);
    for worker in [0, 1] {
        assert_eq!(sim.open(worker, &[]).unwrap_err(), CONCURRENCY_LIMITED);
    }
    let (worker, ended) = open.remove(0);
    sim.close(worker, ended);
    let again = sim.open(1, &[]).unwrap();
    assert_eq!(sim.open(0, &[]).unwrap_err(), CONCURRENCY_LIMITED);
    sim.close(1, again);
    for (worker, exchange) in open {
        sim.close(worker, exchange);
    }
    assert!(sim.is_all_free());
    assert_eq!(sim.counter("rule-af63bd4c.admitted"), 4);
    assert_eq!(sim.counter("rule-af63bd4c.limited"), 3);
    assert_eq!(sim.counter("rule-af63bd4c.concurrency_limited"), 3);
}

#[test]
fn a_dead_workers_places_are_free_within_15_seconds() {
    let mut sim = Sim::new(2, &at_most(2));
    let (_lost, kept) = (sim.open(0, &[]).unwrap(), sim.open(1, &[]).unwrap());
    sim.die(0);
    for _ in 0..11 {
        sim.pass_time(SECOND);
        assert_eq!(sim.open(1, &[]).unwrap_err(), CONCURRENCY_LIMITED);
    }
    sim.pass_time(4 * SECOND);
    let next = sim.open(1, &[]).unwrap();
    assert_eq!(sim.open(0, &[]).unwrap_err(), CONCURRENCY_LIMITED);
    assert_eq!(sim.gauge, 2);
    sim.close(1, next);
    sim.close(1, kept);
    assert!(sim.is_all_free());
}

#[test]
fn whoever_a_limit_refuses_takes_no_place_and_whoever_finds_none_pays_nothing() {
    let rules = r#"[{"concurrency":{"max":1},"limit":{"requests":2,"unit":"Hour"}}]"#;
    let mut sim = Sim::new(1, rules);
    let first = sim.open(0, &[]).unwrap();
    for _ in 0..5 {
        assert_eq!(sim.open(0, &[]).unwrap_err(), CONCURRENCY_LIMITED);
    }
    sim.close(0, first);
    let second = sim.open(0, &[]).unwrap();
    sim.close(0, second);
    let limited = (429, "btp_rate_limited", Some("1800".to_owned()));
    assert_eq!(sim.open(0, &[]).unwrap_err(), limited);
    assert!(sim.is_all_free());
}

#[test]
fn a_rule_that_finds_no_place_takes_none_from_another() {
    let rules = r#"[
        {"name":"gold","clientSelectors":[{"headers":[{"name":"x-tier","value":"gold"}]}],
         "concurrency":{"max":2}},
        {"name":"all","clientSelectors":[{"path":{"value":"/"}}],"concurrency":{"max":1},
         "reject":{"statusCode":503}}]"#;
    let mut sim = Sim::new(1, rules);
    let path = (":path", "/");
    let first = sim.open(0, &[path]).unwrap();
    for _ in 0..3 {
        let refused = sim.open(0, &[path, ("x-tier", "gold")]).unwrap_err();
        assert_eq!(refused, (503, "btp_concurrency", None));
    }
    sim.close(0, first);
    assert!(sim.open(0, &[path, ("x-tier", "gold")]).is_ok());
}

#[test]
fn a_rule_in_shadow_counts_places_and_refuses_nobody() {
    let rules = r#"[{"shadowMode":true,"concurrency":{"max":1},
                     "limit":{"requests":3,"unit":"Hour"}}]"#;
    let mut sim = Sim::new(1, rules);
    let (first, second) = (sim.open(0, &[]).unwrap(), sim.open(0, &[]).unwrap());
    assert_eq!(sim.counter("rule-af63bd4c.shadow_limited"), 1);
    sim.close(0, first);
    sim.close(0, second);
    // Who found no place has not paid: two tokens are left.
    for shadow_limited in [1, 1, 2, 3] {
        let exchange = sim.open(0, &[]).unwrap();
        sim.close(0, exchange);
        assert_eq!(sim.counter("rule-af63bd4c.shadow_limited"), shadow_limited);
    }
    assert_eq!(sim.counter("rule-af63bd4c.concurrency_limited"), 1);
    assert!(sim.is_all_free());
}

#[test]
fn each_client_has_places_of_its_own_until_the_table_is_full() {
    let rules = r#"[{"name":"each","clientSelectors":[{"headers":[{"name":"x-user","type":"Distinct"}]}],
                     "concurrency":{"max":2}}]"#;
    let mut sim = Sim::new(2, rules);
    let user = |number: usize| format!("user-{number}");
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push((0, sim.open(0, &[("x-user", "ada")]).unwrap()));
    }
    let third = sim.open(1, &[("x-user", "ada")]);
    assert_eq!(third.unwrap_err(), CONCURRENCY_LIMITED);
    assert_eq!(sim.counter("each.overflows"), 0);
    // distinctKeys: 64 is two tables of 64 slots, of which Ada has one. The
    // others share 16 × 2 places.
    for number in 0..1_000 {
        let worker = number % 2;
        match sim.open(worker, &[("x-user", &user(number))]) {
            Ok(exchange) => open.push((worker, exchange)),
            Err(refused) => assert_eq!(refused, CONCURRENCY_LIMITED),
        }
    }
    assert_eq!(open.len(), 2 + 127 + 32);
    assert!(sim.counter("each.overflows") > 0);
    for (worker, exchange) in open {
        sim.close(worker, exchange);
    }
    assert!(sim.is_all_free());
}

#[test]
fn a_large_bound_costs_little_where_many_are_in_flight() {
    let mut sim = Sim::new(1, &at_most(6_400));
    let mut open: Vec<_> = (0..1_000).map(|_| sim.open(0, &[]).unwrap()).collect();
    let before = sim.counter("debug_store_operations");
    assert!(before <= 10, "{before}");
    for _ in 0..10_000 {
        let oldest = open.remove(0);
        sim.close(0, oldest);
        open.push(sim.open(0, &[]).unwrap());
    }
    let operations = sim.counter("debug_store_operations") - before;
    assert!(operations <= 10, "{operations}");
}

/// One after the other, none of them at the same time as another.
#[test]
fn a_large_bound_costs_little_where_few_are_in_flight_and_an_idle_worker_keeps_nothing() {
    let mut sim = Sim::new(1, &at_most(6_400));
    for _ in 0..1_000 {
        let exchange = sim.open(0, &[]).unwrap();
        sim.close(0, exchange);
    }
    assert_eq!(sim.counter("debug_store_operations"), 2);
    assert!(!sim.is_all_free());
    sim.pass_time(4 * SECOND);
    assert!(sim.is_all_free());
    assert_eq!(sim.workers[0].wakes_at(), None);
}

/// Two classes with a header each, the first with so much reserved, and all others.
fn classes(max: u64, reserved: [&str; 2]) -> String {
    let of = |name: &str, reserved: &str| {
        format!(
            r#"{{"name":"{name}","reserved":"{reserved}",
                "clientSelectors":[{{"headers":[{{"name":"x-tier","value":"{name}"}}]}}]}}"#
        )
    };
    let list = [of("paying", reserved[0]), of("partner", reserved[1])].join(",");
    format!(r#"{{"max":{max},"classes":[{list},{{"name":"batch"}}]}}"#)
}

fn with_classes(max: u64, reserved: [&str; 2]) -> String {
    format!(r#"[{{"concurrency":{}}}]"#, classes(max, reserved))
}

const PAYING: &[(&str, &str)] = &[("x-tier", "paying")];
const PARTNER: &[(&str, &str)] = &[("x-tier", "partner")];

/// Also where workers would take permits ahead without classes.
#[test]
fn after_a_burst_of_a_lower_class_a_higher_one_gets_all_that_it_reserves() {
    for (max, workers) in [(10, 1), (10, 3), (1_000, 1), (1_000, 3)] {
        let mut sim = Sim::new(workers, &with_classes(max, ["30%", "20%"]));
        let mut open = Vec::new();
        for (headers, share) in [(&[][..], 50), (PAYING, 30), (PARTNER, 20)] {
            let (mut passed, mut refused) = (0, 0);
            while refused < workers {
                let worker = (passed as usize + refused) % workers;
                match sim.open(worker, headers) {
                    Ok(exchange) => {
                        open.push((worker, exchange));
                        passed += 1;
                    }
                    Err(why) => {
                        assert_eq!(why, CONCURRENCY_LIMITED);
                        refused += 1;
                    }
                }
            }
            assert_eq!(passed, max * share / 100, "{headers:?} of {max}");
        }
        assert_eq!(sim.gauge as u64, max);
        let workers = workers as u64;
        for (name, count) in [("batch", 1), ("paying", 1), ("partner", 1)] {
            let name = format!("rule-af63bd4c.class_limited.{name}");
            assert_eq!(sim.counter(&name), count * workers, "{name}");
        }
        assert_eq!(
            sim.counter("rule-af63bd4c.concurrency_limited"),
            3 * workers
        );
        assert_eq!(sim.counter("rule-af63bd4c.limited"), 3 * workers);
        for (worker, exchange) in open {
            sim.close(worker, exchange);
        }
        assert!(sim.is_all_free());
    }
}

#[test]
fn each_client_has_classes_of_its_own_and_so_have_those_without_a_place() {
    let rules = format!(
        r#"[{{"clientSelectors":[{{"headers":[{{"name":"x-user","type":"Distinct"}}]}}],
             "concurrency":{}}}]"#,
        classes(2, ["50%", "0%"])
    );
    let mut sim = Sim::new(2, &rules);
    let mut open = Vec::new();
    for user in ["ada", "bob"] {
        let batch = [("x-user", user)];
        let paying = [("x-user", user), ("x-tier", "paying")];
        open.push((0, sim.open(0, &batch).unwrap()));
        assert_eq!(sim.open(1, &batch).unwrap_err(), CONCURRENCY_LIMITED);
        open.push((1, sim.open(1, &paying).unwrap()));
        assert_eq!(sim.open(0, &paying).unwrap_err(), CONCURRENCY_LIMITED);
    }
    // The table gets full, and the others share 16 times the places: of 32 are 16
    // reserved.
    let others = open.len();
    let mut by_class = [0, 0];
    for number in 0..1_000 {
        let user = format!("user-{number}");
        match sim.open(number % 2, &[("x-user", &user)]) {
            Ok(exchange) => open.push((number % 2, exchange)),
            Err(refused) => assert_eq!(refused, CONCURRENCY_LIMITED),
        }
        by_class[0] = open.len() - others;
    }
    for number in 1_000..2_000 {
        let user = format!("user-{number}");
        let headers = [("x-user", user.as_str()), ("x-tier", "paying")];
        match sim.open(number % 2, &headers) {
            Ok(exchange) => open.push((number % 2, exchange)),
            Err(refused) => assert_eq!(refused, CONCURRENCY_LIMITED),
        }
        by_class[1] = open.len() - others - by_class[0];
    }
    assert_eq!(by_class, [124 + 16, 16]);
    for (worker, exchange) in open {
        sim.close(worker, exchange);
    }
    assert!(sim.is_all_free());
}

#[test]
fn a_dead_workers_places_go_back_to_their_class() {
    let mut sim = Sim::new(2, &with_classes(4, ["50%", "0%"]));
    let lost = [sim.open(0, PAYING).unwrap(), sim.open(0, PAYING).unwrap()];
    let kept = [sim.open(1, &[]).unwrap(), sim.open(1, &[]).unwrap()];
    sim.die(0);
    drop(lost);
    assert_eq!(sim.open(1, PAYING).unwrap_err(), CONCURRENCY_LIMITED);
    for _ in 0..15 {
        sim.pass_time(SECOND);
    }
    // Whoever asks finds the dead, and gets nothing of what is reserved.
    assert_eq!(sim.open(1, &[]).unwrap_err(), CONCURRENCY_LIMITED);
    assert_eq!(sim.gauge, 2);
    let again = [sim.open(0, PAYING).unwrap(), sim.open(1, PAYING).unwrap()];
    for (worker, exchange) in [0, 1].into_iter().zip(again) {
        sim.close(worker, exchange);
    }
    kept.into_iter().for_each(|it| sim.close(1, it));
    assert!(sim.is_all_free());
}

/// Requests that are in flight count on under whatever classes an update brings, and give
/// back what they have taken.
#[test]
fn an_update_of_the_classes_forgets_nobody() {
    let mut sim = Sim::new(2, &at_most(4));
    let mut old = vec![sim.open(0, &[]).unwrap(), sim.open(1, &[]).unwrap()];
    // Classes come: what is in flight belongs to none.
    let mut before = sim.update(&with_classes(4, ["50%", "0%"]));
    assert_eq!(sim.open(0, &[]).unwrap_err(), CONCURRENCY_LIMITED);
    let mut first = vec![sim.open(0, PAYING).unwrap(), sim.open(1, PAYING).unwrap()];
    assert_eq!(sim.open(0, PAYING).unwrap_err(), CONCURRENCY_LIMITED);
    // The reserves change: they count for the class at their place, and in all.
    let mut between = sim.update(&with_classes(4, ["0%", "50%"]));
    assert_eq!(sim.open(1, PARTNER).unwrap_err(), CONCURRENCY_LIMITED);
    sim.close_under(&mut before, 0, old.remove(0));
    assert_eq!(sim.open(1, PAYING).unwrap_err(), CONCURRENCY_LIMITED);
    let partner = sim.open(1, PARTNER).unwrap();
    // They go again.
    let mut after = sim.update(&at_most(4));
    assert_eq!(sim.open(0, &[]).unwrap_err(), CONCURRENCY_LIMITED);
    sim.close_under(&mut between, 0, first.remove(0));
    let last = sim.open(0, &[]).unwrap();
    assert_eq!(sim.open(1, &[]).unwrap_err(), CONCURRENCY_LIMITED);
    sim.close(0, last);
    sim.close_under(&mut after, 1, partner);
    sim.close_under(&mut between, 1, first.remove(0));
    sim.close_under(&mut before, 1, old.remove(0));
    assert!(sim.is_all_free());
}

#[test]
fn a_rule_in_shadow_counts_for_its_classes_and_refuses_nobody() {
    let rules = with_classes(2, ["50%", "0%"]).replacen('{', r#"{"shadowMode":true,"#, 1);
    let mut sim = Sim::new(1, &rules);
    let open: Vec<Exchange> = (0..3).map(|_| sim.open(0, &[]).unwrap()).collect();
    let paying = sim.open(0, PAYING).unwrap();
    assert_eq!(sim.gauge, 2);
    assert_eq!(sim.counter("rule-af63bd4c.class_limited.batch"), 2);
    assert_eq!(sim.counter("rule-af63bd4c.class_limited.paying"), 0);
    assert_eq!(sim.counter("rule-af63bd4c.shadow_limited"), 2);
    for exchange in open.into_iter().chain([paying]) {
        sim.close(0, exchange);
    }
    assert!(sim.is_all_free());
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Open(usize),
    Close(usize),
    Time(u64),
    Die(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0_usize..3).prop_map(Event::Open),
        6 => (0_usize..1_000).prop_map(Event::Close),
        2 => (0_u64..6 * SECOND).prop_map(Event::Time),
        1 => (0_usize..3).prop_map(Event::Die),
    ]
}

proptest! {
    /// Whatever happens in whatever order: never more are in flight than may
    /// be, nobody is refused while there is room (but for what workers hold
    /// ahead, or the dead still hold), and nothing is left when all have gone.
    #[test]
    fn the_bound_is_kept_in_any_order_of_events(
        max in prop_oneof![1_usize..6, 120_usize..400],
        events in proptest::collection::vec(event(), 1..600),
    ) {
        let workers = 3;
        let mut sim = Sim::new(workers, &at_most(max as u64));
        let mut open: Vec<(usize, Exchange)> = Vec::new();
        // What the dead held: how much, and when they died.
        let mut graves: Vec<(usize, u64)> = Vec::new();
        let lease = (max / 64).max(1);
        for event in events {
            match event {
                Event::Open(worker) => match sim.open(worker, &[]) {
                    Ok(exchange) => open.push((worker, exchange)),
                    Err(refused) => {
                        prop_assert_eq!(refused, CONCURRENCY_LIMITED);
                        let now = sim.host.now_ns;
                        let fresh = graves.iter().filter(|(_, died)| now < died + 14 * SECOND);
                        let dead: usize = fresh.map(|(held, _)| held + lease).sum();
                        let ahead = (workers - 1) * lease;
                        prop_assert!(open.len() + dead + ahead >= max);
                    }
                },
                Event::Close(index) => {
                    if !open.is_empty() {
                        let (worker, exchange) = open.remove(index % open.len());
                        sim.close(worker, exchange);
                    }
                }
                Event::Time(nanos) => sim.pass_time(nanos),
                Event::Die(worker) => {
                    let before = open.len();
                    open.retain(|(own, _)| *own != worker);
                    graves.push((before - open.len(), sim.host.now_ns));
                    sim.die(worker);
                }
            }
            prop_assert!(open.len() <= max, "{} of {max}", open.len());
            prop_assert!(sim.gauge >= open.len() as i64 && sim.gauge <= max as i64);
        }
        for (worker, exchange) in open {
            sim.close(worker, exchange);
        }
        sim.pass_time(4 * SECOND);
        prop_assert!(!graves.is_empty() || sim.is_all_free());
    }
}
