//! The account of all bodies, in any order of events.

use proptest::prelude::*;

use super::*;
use crate::exchange::Exchange;
use crate::host::shared_state::HeldClaim;
use crate::plan::Plan;
use crate::request_buffer::Total;
use crate::testing::feed;
use crate::worker::Worker;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

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
    held: bool,
    gone: bool,
    tunnel: bool,
}

/// Some exchanges on two workers of one proxy.
struct World<'a> {
    plan: &'a Plan,
    host: FakeHost,
    workers: [Worker; 2],
    live: Vec<Option<Live>>,
    gauge: i64,
}

const TOTAL: u64 = 2_000_000;

impl World<'_> {
    fn total(&self) -> &Total {
        let policy = self.plan.policy(Some(0)).unwrap();
        policy.buffering.as_ref().unwrap().total.as_ref().unwrap()
    }

    fn claims(&self) -> Vec<HeldClaim> {
        self.host.cell(self.total().quota.id).0
    }

    fn held(&self) -> u64 {
        self.claims().iter().map(|held| held.amount).sum()
    }

    /// Performs what an event came to.
    fn settle(&mut self, index: usize, flow: Flow, out: Vec<Action>) {
        for action in out {
            match action {
                Action::Adjust(gauge, by) if gauge == self.total().gauge => self.gauge += by,
                _ => {}
            }
        }
        if let Some(live) = &mut self.live[index] {
            live.held = matches!(flow, Flow::HoldAll | Flow::HoldHeaders)
                || (live.tunnel && flow == Flow::Continue && live.exchange.body.is_some());
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
                    held: true,
                    gone: false,
                    tunnel,
                });
                let flow = feed(
                    plan,
                    &mut self.workers[worker],
                    &mut self.host,
                    &mut out,
                    |cx| live.exchange.request_headers(cx, false),
                );
                self.settle(index, flow, out);
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
                    feed(plan, own, host, &mut out, |cx| {
                        live.exchange.request_trailers(cx)
                    })
                } else {
                    let end = matches!(event, Event::End);
                    feed(plan, own, host, &mut out, |cx| {
                        live.exchange.request_body(cx, bytes, end)
                    })
                };
                self.settle(index, flow, out);
            }
            (Event::Time(nanos), _) => {
                self.host.now_ns += nanos;
                for worker in 0..2 {
                    let wakes_at = self.workers[worker].wakes_at();
                    if wakes_at.is_some_and(|at| at <= self.host.now_ns) {
                        let event = &mut crate::event::Event::new(&mut self.host, &mut out);
                        self.workers[worker].tick(self.plan, event);
                        assert_eq!(out, []);
                    }
                }
                for index in 0..self.live.len() {
                    let mut out = Vec::new();
                    let now = self.host.now_ns;
                    let due =
                        |live: &&mut Live| live.exchange.wakes_at().is_some_and(|at| at <= now);
                    let Some(live) = self.live[index].as_mut().filter(due) else {
                        continue;
                    };
                    let worker = live.worker;
                    let own = &mut self.workers[worker];
                    let flow = feed(plan, own, &mut self.host, &mut out, |cx| {
                        live.exchange.timer(cx)
                    });
                    self.settle(index, flow, out);
                }
            }
            (Event::Answer(status), Some(live)) if !live.gone => {
                self.host.response_headers = to_headers(&[(":status", &status.to_string())]);
                let worker = live.worker;
                let (own, host) = (&mut self.workers[worker], &mut self.host);
                let flow = feed(plan, own, host, &mut out, |cx| {
                    live.exchange.response_headers(cx, true)
                });
                self.settle(index, flow, out);
            }
            (Event::Vanish, Some(live)) => {
                let worker = live.worker;
                let (own, host) = (&mut self.workers[worker], &mut self.host);
                feed(plan, own, host, &mut out, |cx| live.exchange.done(cx));
                self.settle(index, Flow::Stop, out);
                self.live[index] = None;
            }
            (Event::Die, _) => {
                for slot in &mut self.live {
                    slot.take_if(|live| live.worker == worker);
                }
                self.workers[worker] = Worker::new(plan);
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
            workers: [Worker::new(&plan), Worker::new(&plan)],
            live: std::iter::repeat_with(|| None).take(6).collect(),
            gauge: 0,
        };
        let mut somebody_died = false;
        for (index, worker, event) in events {
            world.play(index, worker, event);
            somebody_died |= matches!(event, Event::Die);
            let held = world.held();
            prop_assert!(held <= TOTAL);
            prop_assert_eq!(i128::from(world.gauge), i128::from(held));
            let live = world.live.iter().flatten();
            let intakes = live.filter_map(|live| Some((live, live.exchange.body.as_ref()?)));
            let mut sum = 0;
            for (live, progress) in intakes {
                sum += progress.reserved;
                if live.held {
                    prop_assert!(progress.reserved >= live.received, "unaccounted bytes");
                    let beats = world.workers[live.worker].wakes_at().is_some();
                    prop_assert!(beats || progress.reserved == 0, "nobody beats");
                }
            }
            prop_assert!(sum == held || (somebody_died && sum < held), "{} of {}", sum, held);
        }
        for index in 0..world.live.len() {
            world.play(index, 0, Event::Vanish);
        }
        prop_assert!(somebody_died || world.claims().is_empty());
        // The dead are forgotten when somebody finds no room.
        world.host.now_ns += 15 * SECOND;
        for index in [0, 1] {
            world.play(index, 0, Event::Begin(Some(TOTAL / 2), false));
        }
        world.play(0, 0, Event::Time(3 * SECOND));
        for index in [0, 1] {
            world.play(index, 0, Event::Vanish);
        }
        prop_assert_eq!(world.claims(), []);
        prop_assert_eq!(world.gauge, 0);
    }
}
