//! The shared state under real threads: first by itself, then with the rate
//! limits on it.

use std::sync::Barrier;

use btp_policy::PluginConfig;
use proptest::prelude::*;

use super::*;
use crate::action::{Action, Flow};
use crate::event::Event;
use crate::exchange::Exchange;
use crate::host::shared_state::{Claims, HeldClaim, QuotaId, SeedId};
use crate::plan::Plan;
use crate::testing::cells::TRIES;
use crate::testing::feed;
use crate::worker::Worker;

const THREADS: u64 = 8;
const ROUNDS: u64 = 20_000;
const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;

/// A proxy, and its workers when they do not run.
struct Proxy<const LEASES: bool = true> {
    plan: Plan,
    host: ThreadedHost,
    workers: Vec<Worker>,
}

/// Requests that each worker sends before the clock moves on.
const PER_ROUND: usize = 4;

impl<const LEASES: bool> Proxy<LEASES> {
    fn new(local: &str, workers: usize) -> Self {
        let text = format!(
            r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{{"rateLimit":{{"local":{local}}}}}}}]}}"#
        );
        let plan = Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap());
        let host = ThreadedHost::of(&plan);
        host.now_ns.store(1_000 * HOUR, Ordering::SeqCst);
        Self {
            workers: (0..workers).map(|_| Worker::new(&plan)).collect(),
            plan,
            host,
        }
    }

    /// Each worker in a thread of its own sends its requests in rounds, all
    /// at the same time; `headers` are those of a worker's nth. After each
    /// round the clock moves on. Gives the times at which requests passed.
    fn run(
        &mut self,
        rounds: usize,
        pace: u64,
        headers: impl Fn(usize, usize) -> Vec<(&'static str, String)> + Sync,
    ) -> Vec<u64> {
        let (plan, host, headers) = (&self.plan, &self.host, &headers);
        let together = &Barrier::new(self.workers.len());
        let work = |thread: usize, worker: &mut Worker| {
            let mut view = host.worker::<LEASES>(thread as u64);
            let mut passed = Vec::new();
            for round in 0..rounds {
                together.wait();
                let now = view.now_ns();
                for turn in round * PER_ROUND..(round + 1) * PER_ROUND {
                    if request(plan, worker, &mut view, &headers(thread, turn)) {
                        passed.push(now);
                    }
                }
                if together.wait().is_leader() {
                    host.now_ns.fetch_add(pace, Ordering::SeqCst);
                }
            }
            passed
        };
        let work = &work;
        std::thread::scope(|scope| {
            let workers = self.workers.iter_mut().enumerate();
            let threads: Vec<_> = workers
                .map(|(thread, worker)| scope.spawn(move || work(thread, worker)))
                .collect();
            let passed = threads.into_iter().flat_map(|it| it.join().unwrap());
            passed.collect()
        })
    }

    fn counter(&self, name: &str) -> u64 {
        let name = format!("btp.default.p.rate_limit.{name}");
        let mut counters = self.plan.counters().iter();
        let index = counters.position(|it| it.to_string() == name).unwrap();
        self.host.counter(CounterId(u32::try_from(index).unwrap()))
    }

    /// How many more pass: first on what the workers have fetched ahead, then
    /// on what is left for a new one.
    fn drain(&mut self, headers: &[(&'static str, String)]) -> usize {
        let mut fresh = Worker::new(&self.plan);
        let (plan, host) = (&self.plan, &self.host);
        let workers = self.workers.iter_mut().chain([&mut fresh]);
        let mut more = 0;
        for worker in workers {
            let mut view = host.worker::<LEASES>(99);
            while request(plan, worker, &mut view, headers) {
                more += 1;
            }
        }
        more
    }
}

/// Whether it passes.
fn request<const LEASES: bool>(
    plan: &Plan,
    worker: &mut Worker,
    view: &mut WorkerHost<'_, LEASES>,
    headers: &[(&'static str, String)],
) -> bool {
    let headers = headers.iter();
    view.exchange.request_headers = headers
        .map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes()))
        .collect();
    let mut out = Vec::new();
    let mut exchange = Exchange::default();
    let flow = feed(plan, worker, view, &mut out, |cx| {
        exchange.request_headers(cx, true)
    });
    for action in out {
        if let Action::Count(counter) = action {
            view.add(counter, 1);
        }
    }
    flow == Flow::Continue
}

fn none(_: usize, _: usize) -> Vec<(&'static str, String)> {
    Vec::new()
}

#[test]
fn no_increment_is_lost() {
    let host = ThreadedHost::new(1);
    let count = |seed: &mut Option<[u64; 2]>| {
        let [before, _] = seed.unwrap_or_default();
        *seed = Some([before + 1, 0]);
        Update::Write(before + 1)
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    while host.update(SeedId, count).is_err() {}
                    host.add(CounterId(0), 1);
                }
            });
        }
    });
    assert_eq!(host.update(SeedId, count), Ok(THREADS * ROUNDS + 1));
    assert_eq!(host.counter(CounterId(0)), THREADS * ROUNDS);
}

/// The race that the limits are about: who has been overtaken writes nothing.
#[test]
fn who_was_overtaken_tries_again_and_gives_up_in_the_end() {
    const ID: QuotaId = QuotaId::Own(0);
    let host = ThreadedHost::new(0);
    let by = |worker: u64| HeldClaim {
        key: 0,
        worker,
        owner: None,
        amount: 1,
    };
    let mut tries = 0;
    let mut overtake = |times: usize| {
        tries = 0;
        host.update(ID, |Claims(claims)| {
            tries += 1;
            claims.push(by(1));
            if tries <= times {
                let other = |Claims(claims): &mut Claims| {
                    claims.push(by(2));
                    Update::Write(())
                };
                host.update(ID, other).unwrap();
            }
            Update::Write(tries)
        })
    };
    assert_eq!(overtake(2), Ok(3));
    assert_eq!(overtake(TRIES), Err(Contended));
    let written = host.update(ID, |claims| Update::Keep(claims.clone()));
    let Claims(written) = written.unwrap();
    let ones = written.iter().filter(|held| held.worker == 1);
    assert_eq!((ones.count(), written.len()), (1, 3 + TRIES));
}

#[test]
fn fifty_an_hour_are_fifty_on_four_and_eight_threads() {
    let local = r#"{"rules":[{"limit":{"requests":50,"unit":"Hour"}}]}"#;
    for threads in [4, 8] {
        for _ in 0..20 {
            let mut proxy = Proxy::<true>::new(local, threads);
            let passed = proxy.run(25, 1_000, none);
            assert_eq!(passed.len(), 50, "{threads} threads");
            assert_eq!(proxy.counter("rule-af63bd4c.admitted"), 50);
            let limited = threads as u64 * 100 - 50;
            assert_eq!(proxy.counter("rule-af63bd4c.limited"), limited);
        }
    }
}

#[test]
fn three_per_client_are_three_on_eight_threads() {
    let local = r#"{"rules":[{"name":"each","clientSelectors":[{"headers":[{"name":"id","type":"Distinct"}]}],
        "limit":{"requests":3,"unit":"Hour"}}]}"#;
    let mut proxy = Proxy::<true>::new(local, 8);
    // Every client comes to every thread once.
    let passed = proxy.run(100, 1_000, |thread, turn| {
        vec![("id", ((turn + thread * 50) % 400).to_string())]
    });
    assert_eq!(passed.len(), 3 * 400);
    assert_eq!(proxy.counter("each.overflows"), 0);
}

/// What one rule has paid when another refuses comes back, whole, whatever
/// gets in between; also what has been fetched ahead.
#[test]
fn what_is_given_back_is_not_lost() {
    for (requests, unit) in [(1_000, "Hour"), (20_000, "Second")] {
        let local = format!(
            r#"{{"rules":[
            {{"name":"wide","clientSelectors":[{{"headers":[{{"name":"a","value":"1"}}]}}],"limit":{{"requests":{requests},"unit":"{unit}"}}}},
            {{"name":"narrow","clientSelectors":[{{"headers":[{{"name":"b","value":"1"}}]}}],"limit":{{"requests":3,"unit":"Hour"}}}}]}}"#
        );
        let wide = vec![("a", "1".to_owned())];
        let both = vec![("a", "1".to_owned()), ("b", "1".to_owned())];
        let mut proxy = Proxy::<true>::new(&local, 8);
        // Without a moving clock nothing comes back by itself.
        let passed = proxy.run(125, 0, |thread, turn| {
            if (thread + turn).is_multiple_of(8) {
                wide.clone()
            } else {
                both.clone()
            }
        });
        let more = proxy.drain(&wide);
        assert_eq!(proxy.counter("narrow.admitted"), 3);
        assert_eq!(passed.len() + more, requests, "per {unit}");
        assert_eq!(proxy.counter("wide.store_contended"), 0);
    }
}

/// A worker reads the clock, is overtaken by one that empties the bucket, and
/// is refused then: that is no lowered limit, and the debt stays.
#[test]
fn an_old_reading_of_the_clock_cuts_no_debt() {
    const LATE_MS: u64 = 50;
    let local = r#"{"rules":[{"limit":{"requests":1000,"unit":"Second","burst":100}}]}"#;
    let mut proxy = Proxy::<true>::new(local, 1);
    let now = proxy.host.now_ns.load(Ordering::SeqCst);
    assert_eq!(proxy.drain(&[]), 100);
    let read = now - LATE_MS * 1_000_000;
    proxy.host.now_ns.store(read, Ordering::SeqCst);
    assert_eq!(proxy.drain(&[]), 0);
    proxy.host.now_ns.store(now, Ordering::SeqCst);
    assert_eq!(proxy.drain(&[]), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// In any interval x: burst + rate * x + workers * (lease - 1). Where workers
    /// take each token from the cell there are no leases: burst + rate * x.
    #[test]
    fn threads_pass_no_more_than_promised(
        leases in any::<bool>(),
        requests in prop::sample::select(vec![1_u64, 50, 700, 20_000, 400_000]),
        burst in prop::option::of(1_u64..3_000),
        threads in 2_usize..9,
        load in prop::sample::select(vec![0.5, 1.0, 2.0, 10.0]),
    ) {
        let more = burst.map_or_else(String::new, |burst| format!(r#","burst":{burst}"#));
        let local = format!(r#"{{"rules":[{{"limit":{{"requests":{requests},"unit":"Second"{more}}}}}]}}"#);
        let offered = threads * PER_ROUND;
        let pace = (SECOND as f64 / requests as f64 / load * offered as f64) as u64;
        let (mut passed, lease) = if leases {
            let mut proxy = Proxy::<true>::new(&local, threads);
            (proxy.run(60, pace, none), proxy.plan.limits()[0].lease())
        } else {
            (Proxy::<false>::new(&local, threads).run(60, pace, none), 1)
        };
        let spare = burst.unwrap_or(requests) + threads as u64 * (lease - 1);
        passed.sort_unstable();
        for (i, from) in passed.iter().enumerate() {
            for (j, to) in passed.iter().enumerate().skip(i) {
                let by_rate = u128::from(to - from) * u128::from(requests) / u128::from(SECOND);
                let most = u128::from(spare) + by_rate + 1;
                let within = (j - i + 1) as u128;
                prop_assert!(within <= most, "{within} > {most} in {} ns", to - from);
            }
        }
    }
}

/// Threads that come and go as fast as they can: never more in flight than may
/// be, and none when all have gone. Most goes wrong when workers begin, so they
/// begin often.
#[test]
fn threads_never_have_more_in_flight_than_may_be() {
    use std::sync::atomic::AtomicI64;

    for max in [3, 200].into_iter().cycle().take(200) {
        let proxy = Proxy::<true>::new(
            &format!(r#"{{"rules":[{{"concurrency":{{"max":{max}}}}}]}}"#),
            8,
        );
        let Proxy {
            plan,
            host,
            workers,
        } = proxy;
        let (in_flight, largest, gauge) = (AtomicI64::new(0), AtomicI64::new(0), AtomicI64::new(0));
        let counted = |out: Vec<Action>| {
            for action in out {
                if let Action::Adjust(_, by) = action {
                    gauge.fetch_add(by, Ordering::SeqCst);
                }
            }
        };
        std::thread::scope(|scope| {
            for (thread, mut worker) in workers.into_iter().enumerate() {
                let (plan, host, counted) = (&plan, &host, &counted);
                let (in_flight, largest) = (&in_flight, &largest);
                scope.spawn(move || {
                    let mut view = host.worker::<true>(thread as u64);
                    let mut open = Vec::new();
                    for turn in 0..80 {
                        let mut out = Vec::new();
                        if turn % 40 < 30 {
                            let mut exchange = Exchange::default();
                            let flow = feed(plan, &mut worker, &mut view, &mut out, |cx| {
                                exchange.request_headers(cx, true)
                            });
                            if flow == Flow::Continue {
                                let now = in_flight.fetch_add(1, Ordering::SeqCst) + 1;
                                largest.fetch_max(now, Ordering::SeqCst);
                                open.push(exchange);
                            }
                        }
                        if turn % 40 >= 20
                            && let Some(mut exchange) = open.pop()
                        {
                            in_flight.fetch_sub(1, Ordering::SeqCst);
                            feed(plan, &mut worker, &mut view, &mut out, |cx| {
                                exchange.done(cx)
                            });
                        }
                        counted(out);
                    }
                    for mut exchange in open {
                        let mut out = Vec::new();
                        in_flight.fetch_sub(1, Ordering::SeqCst);
                        feed(plan, &mut worker, &mut view, &mut out, |cx| {
                            exchange.done(cx)
                        });
                        counted(out);
                    }
                    let mut out = Vec::new();
                    worker.tick(plan, &mut Event::new(&mut view, &mut out));
                    counted(out);
                });
            }
        });
        let largest = largest.into_inner();
        assert!((1..=max).contains(&largest), "{largest} of {max}");
        assert_eq!(gauge.into_inner(), 0);
    }
}

/// Where workers do not die, nobody looks after anybody, and what is in flight is
/// exact: what one worker releases, another gets.
#[test]
fn workers_that_cannot_die_hold_one_claim_and_send_no_heartbeats() {
    let local = r#"{"rules":[{"concurrency":{"max":3}}]}"#;
    let mut proxy = Proxy::<false>::new(local, 2);
    let (plan, host) = (&proxy.plan, &proxy.host);
    let mut out = Vec::new();
    let mut exchanges = Vec::new();
    for worker in &mut proxy.workers {
        let mut view = host.worker::<false>(1);
        worker.start(plan, &mut Event::new(&mut view, &mut out));
    }
    let mut begin = |turn: usize, proxy: &mut [Worker]| {
        let worker = proxy.get_mut(turn % 2).unwrap();
        let (mut view, mut exchange) = (host.worker::<false>(1), Exchange::default());
        let flow = feed(plan, worker, &mut view, &mut out, |cx| {
            exchange.request_headers(cx, true)
        });
        assert_eq!(worker.wakes_at(), None);
        exchanges.push((turn % 2, exchange));
        flow == Flow::Continue
    };
    let workers = &mut proxy.workers;
    let passed: Vec<bool> = (0..4).map(|turn| begin(turn, workers)).collect();
    assert_eq!(passed, [true, true, true, false]);
    let held = host.update(QuotaId::Own(0), |claims| Update::Keep(claims.clone()));
    let Claims(held) = held.unwrap();
    let held: Vec<(u64, u64)> = held.iter().map(|it| (it.worker, it.amount)).collect();
    assert_eq!(held, [(1, 3)]);
    for (at, mut exchange) in exchanges {
        let worker = workers.get_mut(at).unwrap();
        let mut view = host.worker::<false>(1);
        feed(plan, worker, &mut view, &mut out, |cx| exchange.done(cx));
    }
    let left = host.update(QuotaId::Own(0), |claims| Update::Keep(claims.clone()));
    assert_eq!(left, Ok(Claims::default()));
}
