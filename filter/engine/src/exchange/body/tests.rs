//! Bodies event by event, and the account of all of them in any order of
//! events.

use proptest::prelude::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use btp_policy::PluginConfig;

use super::*;
use crate::request_buffer::Total;
use crate::shared::Tables;
use crate::testing::FakeHost;

const SECOND: u64 = 1_000_000_000;

fn plan(spec: &str) -> Plan {
    let text = format!(
        r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{spec}}}],
            "allowOnHeadersStopIteration":true}}"#
    );
    Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap())
}

/// One exchange in a test's hand.
struct Client<'a> {
    plan: &'a Plan,
    worker: Worker,
    host: FakeHost,
    exchange: Exchange,
    out: Vec<Action>,
}

impl<'a> Client<'a> {
    fn new(plan: &'a Plan, headers: &[(&str, &str)]) -> Self {
        let mut host = FakeHost::default();
        host.request_headers = to_headers(headers);
        Self {
            plan,
            worker: plan.worker(),
            host,
            exchange: Exchange::default(),
            out: Vec::new(),
        }
    }

    fn headers(&mut self) -> Flow {
        let (worker, host) = (&mut self.worker, &mut self.host);
        self.exchange
            .request_headers(self.plan, worker, host, false, &mut self.out)
    }

    fn body(&mut self, at_hand: u64, end: bool) -> Flow {
        let (worker, host) = (&mut self.worker, &mut self.host);
        self.exchange
            .request_body(self.plan, worker, host, (at_hand, end), &mut self.out)
    }

    fn answer(&mut self, status: &str) -> Flow {
        self.host.response_headers = to_headers(&[(":status", status)]);
        let (worker, host) = (&mut self.worker, &mut self.host);
        self.exchange
            .response_headers(self.plan, worker, host, false, &mut self.out)
    }

    fn timer(&mut self, now: u64) -> Flow {
        self.host.now_ns = now;
        let (worker, host) = (&mut self.worker, &mut self.host);
        self.exchange.timer(self.plan, worker, host, &mut self.out)
    }

    fn done(&mut self) {
        let (worker, host) = (&mut self.worker, &mut self.host);
        self.exchange.done(self.plan, worker, host, &mut self.out);
    }

    fn reply(&mut self) -> Option<u16> {
        let status = |action: &Action| match action {
            Action::Reply(reply) => Some(reply.status),
            _ => None,
        };
        self.out.drain(..).filter_map(|it| status(&it)).next()
    }

    fn wake_at(&mut self) -> Option<u64> {
        let wake = |action: Action| match action {
            Action::WakeAt(at) => Some(at),
            _ => None,
        };
        self.out.drain(..).filter_map(wake).next_back()
    }
}

fn to_headers(headers: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
    headers.iter().map(own).collect()
}

#[test]
fn a_gathered_body_gets_a_length_if_it_has_none() {
    let plan = plan(r#"{"requestBuffer":{"limit":100}}"#);
    let mut client = Client::new(&plan, &[]);
    assert_eq!(client.headers(), Flow::HoldHeaders);
    assert_eq!(client.body(40, false), Flow::HoldHeaders);
    client.out.clear();
    assert_eq!(client.body(90, true), Flow::Continue);
    assert_eq!(client.out, [Action::SetRequestLength(90)]);

    let mut client = Client::new(&plan, &[("content-length", "90")]);
    assert_eq!(client.headers(), Flow::HoldHeaders);
    client.out.clear();
    assert_eq!(client.body(90, true), Flow::Continue);
    assert!(client.out.is_empty());
}

#[test]
fn a_request_without_a_body_is_not_even_looked_at() {
    let plan = plan(r#"{"requestBuffer":{"limit":100}}"#);
    let mut host = FakeHost::default();
    let mut out = Vec::new();
    let flow =
        Exchange::default().request_headers(&plan, &mut plan.worker(), &mut host, true, &mut out);
    assert_eq!(flow, Flow::Continue);
    assert_eq!((host.lookups, out.capacity()), (0, 0));
}

#[test]
fn a_delay_and_a_body_end_in_any_order() {
    let plan = plan(
        r#"{"requestBuffer":{"limit":100},
            "faultInjection":{"delay":{"fixedDelay":"1s"}}}"#,
    );
    let mut client = Client::new(&plan, &[]);
    assert_eq!(client.headers(), Flow::HoldHeaders);
    assert_eq!(client.body(10, true), Flow::HoldHeaders);
    assert_eq!(client.wake_at(), Some(SECOND));
    assert_eq!(client.timer(SECOND), Flow::Continue);

    let mut client = Client::new(&plan, &[]);
    assert_eq!(client.headers(), Flow::HoldHeaders);
    assert_eq!(client.body(10, false), Flow::HoldHeaders);
    assert_eq!(client.timer(SECOND), Flow::HoldHeaders);
    assert_eq!(client.body(20, true), Flow::Continue);

    // What does not fit is refused in the delay already.
    let mut client = Client::new(&plan, &[]);
    assert_eq!(client.headers(), Flow::HoldHeaders);
    assert_eq!(client.body(101, false), Flow::Stop);
    assert_eq!(client.reply(), Some(413));
}

#[test]
fn chunks_do_not_move_the_timer_and_the_timer_sees_how_far_it_came() {
    let spec = r#"{"requestBuffer":{"limit":1000000,
        "minDataRate":{"bytesPerSecond":100,"gracePeriod":"2s"}}}"#;
    let plan = plan(spec);
    let mut client = Client::new(&plan, &[]);
    assert_eq!(client.headers(), Flow::HoldHeaders);
    assert_eq!(client.wake_at(), Some(2 * SECOND));
    for sum in [100, 200, 300] {
        assert_eq!(client.body(sum, false), Flow::HoldHeaders);
        assert_eq!(client.wake_at(), Some(2 * SECOND));
    }
    assert_eq!(client.timer(2 * SECOND), Flow::HoldHeaders);
    assert_eq!(client.wake_at(), Some(5 * SECOND));
    assert_eq!(client.timer(5 * SECOND), Flow::Stop);
    assert_eq!(client.reply(), Some(408));
    assert_eq!(client.body(400, true), Flow::Stop);
}

#[test]
fn bodies_that_are_never_shown_are_noticed_and_slow_ones_are_not() {
    let plan = plan(r#"{"requestBuffer":{"limit":100}}"#);
    let mut client = Client::new(&plan, &[]);
    assert_eq!(client.headers(), Flow::HoldHeaders);
    assert_eq!(client.wake_at(), Some(30 * SECOND));
    assert_eq!(client.timer(30 * SECOND), Flow::Stop);
    assert!(client.out.iter().any(|it| matches!(it, Action::Log(_))));
    assert_eq!(client.reply(), Some(500));

    let mut client = Client::new(&plan, &[]);
    assert_eq!(client.headers(), Flow::HoldHeaders);
    client.worker.sees_held_bodies = true;
    assert_eq!(client.timer(30 * SECOND), Flow::HoldHeaders);
    client.out.clear();
    assert_eq!(client.body(1, false), Flow::HoldHeaders);
    assert_eq!(client.wake_at(), None);
}

#[test]
fn envoys_own_413_is_an_overflow() {
    let plan = plan(r#"{"requestBuffer":{"limit":100}}"#);
    for (status, complaints) in [("413", 1), ("504", 0)] {
        let mut client = Client::new(&plan, &[]);
        assert_eq!(client.headers(), Flow::HoldHeaders);
        assert_eq!(client.body(10, false), Flow::HoldHeaders);
        client.out.clear();
        client.host.response_headers = to_headers(&[(":status", status)]);
        let (worker, host) = (&mut client.worker, &mut client.host);
        let flow = client
            .exchange
            .response_headers(&plan, worker, host, true, &mut client.out);
        assert_eq!(flow, Flow::Continue);
        let told = client.out.iter().filter(|it| matches!(it, Action::Log(_)));
        assert_eq!(told.count(), complaints);
        assert_eq!(client.body(20, false), Flow::Stop);
    }
}

#[test]
fn a_stream_is_reset_once_the_response_has_begun() {
    let plan = plan(r#"{"requestBuffer":{"limit":100,"mode":"Stream"}}"#);
    let mut client = Client::new(&plan, &[]);
    assert_eq!(client.headers(), Flow::Continue);
    assert_eq!(client.body(60, false), Flow::Continue);
    client.host.response_headers = to_headers(&[(":status", "200")]);
    let (worker, host) = (&mut client.worker, &mut client.host);
    let flow = client
        .exchange
        .response_headers(&plan, worker, host, false, &mut client.out);
    assert_eq!(flow, Flow::Continue);
    client.out.clear();
    assert_eq!(client.body(41, false), Flow::Stop);
    assert!(client.out.contains(&Action::Reset));
    client.done();
}

const SHIELD: &str = r#"{"requestBuffer":{"limit":1000,"maxTotal":1000,
    "minDataRate":{"bytesPerSecond":100,"gracePeriod":"2s"},"maxDuration":"8s"}}"#;

/// A tunnel that the upstream has not accepted is no way around the limit, be
/// its body declared or not.
#[test]
fn a_body_behind_an_upgrade_counts_until_it_is_accepted() {
    const UPGRADE: (&str, &str) = ("upgrade", "websocket");
    const CONNECT: (&str, &str) = (":method", "CONNECT");
    for mode in ["Buffer", "Stream"] {
        let plan = plan(&format!(
            r#"{{"requestBuffer":{{"limit":1000,"mode":"{mode}"}}}}"#
        ));
        for (asked, accepted, refused) in [(UPGRADE, "101", "200"), (CONNECT, "200", "101")] {
            let mut client = Client::new(&plan, &[asked]);
            assert_eq!(client.headers(), Flow::Continue, "nothing is held back");
            assert_eq!(client.body(600, false), Flow::Continue);
            assert_eq!(client.body(401, false), Flow::Stop);
            assert_eq!(client.reply(), Some(413));

            let mut client = Client::new(&plan, &[asked]);
            assert_eq!(client.headers(), Flow::Continue);
            assert_eq!(client.answer(accepted), Flow::Continue);
            assert_eq!(client.body(5_000, false), Flow::Continue);

            let mut client = Client::new(&plan, &[asked]);
            assert_eq!(client.headers(), Flow::Continue);
            assert_eq!(client.answer(refused), Flow::Continue);
            assert_eq!(client.body(1_001, false), Flow::Stop);
            assert!(client.out.contains(&Action::Reset));

            let mut client = Client::new(&plan, &[asked, ("content-length", "1001")]);
            assert_eq!(client.headers(), Flow::Stop);
            assert_eq!(client.reply(), Some(413));
        }
    }
}

/// The clock runs for a body that is declared: the upstream may wait for it.
#[test]
fn a_declared_body_behind_an_upgrade_has_its_time_and_its_room() {
    let plan = plan(SHIELD);
    let declared = [("upgrade", "x"), ("content-length", "1000")];
    let mut client = Client::new(&plan, &declared);
    assert_eq!(client.headers(), Flow::Continue);
    assert_eq!(client.wake_at(), Some(2 * SECOND));
    // All the room is taken.
    let mut other = Client::new(&plan, &declared);
    std::mem::swap(&mut other.host, &mut client.host);
    assert_eq!(other.headers(), Flow::Stop);
    assert_eq!(other.reply(), Some(503));
    std::mem::swap(&mut other.host, &mut client.host);

    assert_eq!(client.body(200, false), Flow::Continue);
    assert_eq!(client.wake_at(), Some(2 * SECOND));
    // It is in time so far; nothing is let go that was not held.
    assert_eq!(client.timer(2 * SECOND), Flow::HoldHeaders);
    assert_eq!(client.wake_at(), Some(4 * SECOND));
    assert_eq!(client.timer(4 * SECOND), Flow::Stop);
    assert_eq!(client.reply(), Some(408));

    // Who has sent all waits for nobody but the upstream.
    let mut client = Client::new(&plan, &declared);
    assert_eq!(client.headers(), Flow::Continue);
    assert_eq!(client.body(1_000, false), Flow::Continue);
    assert_eq!(client.timer(2 * SECOND), Flow::HoldHeaders);
    client.out.clear();
    assert_eq!(client.timer(9 * SECOND), Flow::HoldHeaders);
    assert_eq!(client.reply(), None);

    // Once there is an answer, no time is over any more.
    let mut client = Client::new(&plan, &declared);
    assert_eq!(client.headers(), Flow::Continue);
    client.out.clear();
    assert_eq!(client.answer("200"), Flow::Continue);
    assert_eq!(client.wake_at(), None);

    // Nobody knows when a tunnel's first bytes are due.
    let mut client = Client::new(&plan, &[("upgrade", "websocket")]);
    assert_eq!(client.headers(), Flow::Continue);
    assert_eq!(client.wake_at(), None);
}

/// S6: a content type alone ends neither the pace nor the room.
#[test]
fn what_only_says_grpc_is_gathered_like_the_rest() {
    let plan = plan(SHIELD);
    for (method, protocol, length, held) in [
        ("POST", "HTTP/1.1", None, true),
        ("PUT", "HTTP/2", None, true),
        ("post", "HTTP/2", None, true),
        ("POST", "HTTP/2", Some("500"), true),
        ("POST", "HTTP/2", None, false),
        ("POST", "HTTP/3", None, false),
    ] {
        let mut headers = vec![("content-type", "application/grpc"), (":method", method)];
        headers.extend(length.map(|length| ("content-length", length)));
        let mut client = Client::new(&plan, &headers);
        let attributes = &mut client.host.attributes;
        attributes.insert("Protocol".to_owned(), protocol.as_bytes().to_vec());
        let flow = client.headers();
        assert_eq!(flow == Flow::HoldHeaders, held, "{method} {protocol}");
        if held {
            assert_eq!(client.timer(2 * SECOND), Flow::Stop);
            assert_eq!(client.reply(), Some(408));
        }
    }
}

#[test]
fn calls_are_gathered_where_the_policy_says_so() {
    let plan = plan(
        r#"{"requestBuffer":{"limit":1000,"gatherGrpc":true,
            "minDataRate":{"bytesPerSecond":100,"gracePeriod":"2s"}}}"#,
    );
    let headers = [("content-type", "application/grpc"), (":method", "POST")];
    let mut client = Client::new(&plan, &headers);
    let attributes = &mut client.host.attributes;
    attributes.insert("Protocol".to_owned(), b"HTTP/2".to_vec());
    assert_eq!(client.headers(), Flow::HoldHeaders);
    assert_eq!(client.body(100, false), Flow::HoldHeaders);
    assert_eq!(client.body(200, true), Flow::Continue);
}

/// What may happen to one of several exchanges.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// It begins, with this length declared or none, and perhaps asks to
    /// become a tunnel.
    Begin(Option<u64>, bool),
    /// So many bytes more.
    Piece(u64),
    End,
    Trailers,
    /// Time passes, and whoever is due is woken.
    Time(u64),
    /// The proxy answers by itself.
    Answer(u16),
    Vanish,
    /// The worker dies with all its exchanges.
    Die,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (proptest::option::of(0_u64..1_200_000), any::<bool>())
            .prop_map(|(length, tunnel)| Event::Begin(length, tunnel)),
        6 => (0_u64..300_000).prop_map(Event::Piece),
        2 => Just(Event::End),
        1 => Just(Event::Trailers),
        3 => (0_u64..6 * SECOND).prop_map(Event::Time),
        1 => prop_oneof![Just(413_u16), Just(504), Just(101)].prop_map(Event::Answer),
        2 => Just(Event::Vanish),
        1 => Just(Event::Die),
    ]
}

/// An exchange and what it has got so far.
struct Live {
    exchange: Exchange,
    worker: usize,
    received: u64,
    wake_at: Option<u64>,
    held: bool,
    gone: bool,
    tunnel: bool,
}

/// Some exchanges on two workers of one proxy.
struct World<'a> {
    plan: &'a Plan,
    host: FakeHost,
    workers: [Worker; 2],
    /// When each worker is to be woken.
    beats: [Option<u64>; 2],
    live: Vec<Option<Live>>,
    gauge: i64,
}

const TOTAL: u64 = 2_000_000;

impl World<'_> {
    fn total(&self) -> &Total {
        let policy = self.plan.policy(Some(0)).unwrap();
        policy.buffering.as_ref().unwrap().total.as_ref().unwrap()
    }

    fn table(&self) -> Vec<u64> {
        let mut seen = Vec::new();
        self.host.update_table(self.total().pool.table, |words| {
            seen.clone_from(words);
            false
        });
        seen
    }

    fn held_in_table(&self) -> u64 {
        self.table().chunks(3).map(|slot| slot[2]).sum()
    }

    /// Performs what an event came to.
    fn settle(&mut self, index: usize, worker: usize, flow: Flow, out: Vec<Action>) {
        let mut wake_at = None;
        for action in out {
            match action {
                Action::Adjust(gauge, by) if gauge == self.total().gauge => self.gauge += by,
                Action::WakeAt(at) => wake_at = Some(at),
                Action::WakeWorkerAt(at) => self.beats[worker] = Some(at),
                _ => {}
            }
        }
        if let Some(live) = &mut self.live[index] {
            live.wake_at = wake_at;
            live.held = matches!(flow, Flow::HoldAll | Flow::HoldHeaders)
                || (live.tunnel && flow == Flow::Continue && live.exchange.intake.is_some());
            live.gone |= !live.held;
        }
    }

    fn play(&mut self, index: usize, worker: usize, event: Event) {
        let mut out = Vec::new();
        let plan = self.plan;
        match (event, &mut self.live[index]) {
            (Event::Begin(declared, tunnel), slot @ None) => {
                let length = declared.map(|length| length.to_string());
                let length = length.as_deref().map(|length| ("content-length", length));
                let upgrade = tunnel.then_some(("upgrade", "websocket"));
                let headers: Vec<_> = length.into_iter().chain(upgrade).collect();
                self.host.request_headers = to_headers(&headers);
                let live = slot.insert(Live {
                    exchange: Exchange::default(),
                    worker,
                    received: 0,
                    wake_at: None,
                    held: true,
                    gone: false,
                    tunnel,
                });
                let flow = live.exchange.request_headers(
                    plan,
                    &mut self.workers[worker],
                    &mut self.host,
                    false,
                    &mut out,
                );
                self.settle(index, worker, flow, out);
            }
            (Event::Piece(_) | Event::End | Event::Trailers, Some(live)) if !live.gone => {
                let bytes = if let Event::Piece(bytes) = event {
                    bytes
                } else {
                    0
                };
                live.received += bytes;
                let worker = live.worker;
                let (own, host) = (&mut self.workers[worker], &mut self.host);
                let flow = if let Event::Trailers = event {
                    live.exchange.request_trailers(plan, own, host, &mut out)
                } else {
                    // What is not held is shown once.
                    let at_hand = if live.tunnel { bytes } else { live.received };
                    let event = (at_hand, matches!(event, Event::End));
                    live.exchange.request_body(plan, own, host, event, &mut out)
                };
                self.settle(index, worker, flow, out);
            }
            (Event::Time(nanos), _) => {
                self.host.now_ns += nanos;
                for worker in 0..2 {
                    if self.beats[worker]
                        .take_if(|at| *at <= self.host.now_ns)
                        .is_some()
                    {
                        self.workers[worker].tick(self.plan, &mut self.host, &mut out);
                        let beats = out.drain(..).map(|action| match action {
                            Action::WakeWorkerAt(at) => at,
                            other => panic!("{other:?}"),
                        });
                        self.beats[worker] = beats.max();
                    }
                }
                for index in 0..self.live.len() {
                    let mut out = Vec::new();
                    let due =
                        |live: &&mut Live| live.wake_at.is_some_and(|at| at <= self.host.now_ns);
                    let Some(live) = self.live[index].as_mut().filter(due) else {
                        continue;
                    };
                    let worker = live.worker;
                    let own = &mut self.workers[worker];
                    let flow = live.exchange.timer(plan, own, &mut self.host, &mut out);
                    self.settle(index, worker, flow, out);
                }
            }
            (Event::Answer(status), Some(live)) if !live.gone => {
                self.host.response_headers = to_headers(&[(":status", &status.to_string())]);
                let worker = live.worker;
                let (own, host) = (&mut self.workers[worker], &mut self.host);
                let flow = live
                    .exchange
                    .response_headers(plan, own, host, true, &mut out);
                self.settle(index, worker, flow, out);
            }
            (Event::Vanish, Some(live)) => {
                let worker = live.worker;
                let (own, host) = (&mut self.workers[worker], &mut self.host);
                live.exchange.done(plan, own, host, &mut out);
                self.settle(index, worker, Flow::Stop, out);
                self.live[index] = None;
            }
            (Event::Die, _) => {
                for slot in &mut self.live {
                    slot.take_if(|live| live.worker == worker);
                }
                self.workers[worker] = plan.worker();
                self.beats[worker] = None;
            }
            _ => {}
        }
    }
}

proptest! {
    /// Whatever happens in whatever order: never more is held than there is
    /// room for, the gauge is the table, all that is held is accounted for,
    /// and nothing is left when everybody has gone.
    #[test]
    fn the_account_is_right_in_any_order_of_events(
        events in proptest::collection::vec((0_usize..6, 0_usize..2, event()), 1..80),
        slow in any::<bool>(), delayed in any::<bool>(),
    ) {
        let rate = if slow { r#","minDataRate":{"bytesPerSecond":"100k"}"# } else { "" };
        let delay = if delayed {
            r#","faultInjection":{"delay":{"fixedDelay":"2s","percentage":50}}"#
        } else {
            ""
        };
        let plan = plan(&format!(
            r#"{{"requestBuffer":{{"limit":"1M","maxTotal":{TOTAL}{rate}}}{delay}}}"#
        ));
        let mut world = World {
            plan: &plan,
            host: FakeHost::default(),
            workers: [plan.worker(), plan.worker()],
            beats: [None; 2],
            live: std::iter::repeat_with(|| None).take(6).collect(),
            gauge: 0,
        };
        let mut somebody_died = false;
        for (index, worker, event) in events {
            world.play(index, worker, event);
            somebody_died |= matches!(event, Event::Die);
            let held = world.held_in_table();
            prop_assert!(held <= TOTAL);
            prop_assert_eq!(i128::from(world.gauge), i128::from(held));
            let live = world.live.iter().flatten();
            let intakes = live.filter_map(|live| Some((live, live.exchange.intake.as_ref()?)));
            let mut sum = 0;
            for (live, intake) in intakes {
                sum += intake.held;
                if live.held {
                    prop_assert!(intake.held >= live.received, "unaccounted bytes");
                    let beats = world.beats[live.worker].is_some();
                    prop_assert!(beats || intake.held == 0, "nobody beats");
                }
            }
            prop_assert!(sum == held || (somebody_died && sum < held), "{} of {}", sum, held);
        }
        for index in 0..world.live.len() {
            world.play(index, 0, Event::Vanish);
        }
        prop_assert!(somebody_died || world.table().is_empty());
        // The dead are forgotten when somebody finds no room.
        world.host.now_ns += 15 * SECOND;
        for index in [0, 1] {
            world.play(index, 0, Event::Begin(Some(TOTAL / 2), false));
        }
        world.play(0, 0, Event::Time(3 * SECOND));
        for index in [0, 1] {
            world.play(index, 0, Event::Vanish);
        }
        prop_assert_eq!(world.table(), Vec::<u64>::new());
        prop_assert_eq!(world.gauge, 0);
    }
}
