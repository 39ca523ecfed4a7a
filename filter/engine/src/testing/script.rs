//! Bytes as a script: any event of any exchange, in any order, against all
//! capabilities at once; and what must hold whatever the script says.
//!
//! A script plays several workers with exchanges that interleave and vanish,
//! machines that die, configurations that change while exchanges run, tries
//! at the upstream position beside the exchange they belong to, a clock that
//! jumps, and a store in which others get in between. After each event the
//! action must fit the moment and the accounts must agree; after the last all
//! accounts are zero.

mod admissions;
mod balance;
mod configs;
mod cursor;
mod facts;
mod shared;
mod stage;
mod view;
mod visit;

use btp_policy::hash::SplitMix64;

use configs::DOWNSTREAM;
use cursor::Cursor;
use stage::Stage;
use visit::Event;

/// What a script came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Played {
    /// Events that reached the engine.
    pub events: u64,
}

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
/// The most exchanges of one script.
const MOST_VISITS: usize = 400;
/// So many values of a `Distinct` header fill the table of both
/// configurations.
const CROWD: usize = 150;
/// The longest that it takes until what the dead held is free, as steps of the
/// clock.
const SILENCE: [u64; 7] = [4 * SECOND; 7];

/// Plays a script.
///
/// # Panics
/// If anything does not hold that must.
pub fn play(script: &[u8]) -> Played {
    let mut cursor = Cursor::new(script);
    let workers = 1 + cursor.below(3);
    let config = cursor.below(DOWNSTREAM);
    let random = u64::from_le_bytes([0; 8].map(|_: u8| cursor.byte()));
    let mut stage = Stage::new(workers, config, random);
    let start = stage.shared.now_ns.get();
    while !cursor.is_at_end() {
        step(&mut stage, &mut cursor);
        stage.check_balance();
    }
    end(&mut stage);
    stage.admissions.check(stage.shared.now_ns.get() - start);
    come_again(&mut stage);
    Played {
        events: stage.events,
    }
}

/// One thing that happens.
fn step(stage: &mut Stage, cursor: &mut Cursor<'_>) {
    let worker = |stage: &Stage, cursor: &mut Cursor<'_>| cursor.below(stage.machines.len());
    let visit = |stage: &Stage, cursor: &mut Cursor<'_>| {
        // The latest ones are still alive.
        let back = cursor.below(8) + 1;
        stage.visits.len().saturating_sub(back)
    };
    match cursor.below(24) {
        0..=4 if stage.visits.len() < MOST_VISITS => {
            let worker = worker(stage, cursor);
            let number = stage.begin(worker, false, facts::of_request(cursor));
            if !cursor.once_in(16) {
                let end = cursor.once_in(2);
                stage.feed(number, Event::RequestHeaders { end });
            }
        }
        5 | 6 => {
            let number = visit(stage, cursor);
            let received = cursor.pick(&[0, 1, 100, 400, 600, 1000, 1001, u64::MAX], 0);
            let end = cursor.once_in(2);
            stage.feed(number, Event::RequestBody { received, end });
        }
        7 => {
            let number = visit(stage, cursor);
            stage.feed(number, Event::RequestTrailers);
        }
        8..=10 => {
            let number = visit(stage, cursor);
            if let Some(Some(visit)) = stage.visits.get_mut(number) {
                facts::respond(&mut visit.facts, cursor);
            }
            let end = cursor.once_in(2);
            stage.feed(number, Event::ResponseHeaders { end });
        }
        11 => {
            let number = visit(stage, cursor);
            stage.feed(number, Event::ResponseBody);
        }
        12 => {
            let number = visit(stage, cursor);
            stage.feed(number, Event::ResponseTrailers);
        }
        13 => {
            let number = visit(stage, cursor);
            stage.feed(number, Event::Timer);
        }
        14 | 15 => {
            let number = visit(stage, cursor);
            if cursor.once_in(3) {
                stage.late = LATE.to_vec();
                stage.late.rotate_left(cursor.below(LATE.len()));
            }
            stage.feed(number, Event::Done);
        }
        16 => {
            let times = [
                0,
                MS,
                5 * MS,
                20 * MS,
                100 * MS,
                SECOND,
                4 * SECOND,
                13 * SECOND,
            ];
            stage.advance(cursor.pick(&times, MS));
        }
        17 => advance_to_next(stage),
        18 => try_upstream(stage, cursor),
        19 => match cursor.below(8) {
            0 => {
                let worker = worker(stage, cursor);
                stage.kill(worker, cursor.below(DOWNSTREAM));
            }
            1 => crowd(stage, cursor),
            2 => stage.advance(cursor.pick(&[3600 * SECOND, 366 * 86_400 * SECOND], SECOND)),
            3 => stage.shared.wall_ms.set(cursor.pick(&[0, 1, u64::MAX], 1)),
            4 | 5 => {
                let worker = worker(stage, cursor);
                stage.tick_all(worker);
            }
            _ => stage.shared.cells.race(cursor.byte().into()),
        },
        20 => {
            let config = cursor.below(DOWNSTREAM + 1);
            for worker in 0..stage.machines.len() {
                if !cursor.once_in(3) {
                    stage.update(worker, config);
                }
            }
        }
        21 => {
            let contended = usize::from(cursor.byte()).min(MOST_CONTENDED);
            stage.shared.cells.contend(contended);
        }
        22 => redirect(stage, cursor),
        _ => {
            // Out of order: headers again.
            let number = visit(stage, cursor);
            let end = cursor.once_in(2);
            stage.feed(number, Event::RequestHeaders { end });
        }
    }
}

/// What may come after an end, from any of these on.
const LATE: [Event; 8] = [
    Event::Timer,
    Event::Done,
    Event::RequestHeaders { end: false },
    Event::RequestBody {
        received: 500,
        end: true,
    },
    Event::RequestTrailers,
    Event::ResponseHeaders { end: false },
    Event::ResponseBody,
    Event::ResponseTrailers,
];

/// Giving back is tried more often than this.
const MOST_CONTENDED: usize = 8;

fn advance_to_next(stage: &mut Stage) {
    if let Some(at) = stage.earliest() {
        let now = stage.shared.now_ns.get();
        stage.advance(at.saturating_sub(now));
    }
}

/// The router tries a request that it has: the upstream instance sees it,
/// under the name of its exchange.
fn try_upstream(stage: &mut Stage, cursor: &mut Cursor<'_>) {
    let number = stage.visits.len().saturating_sub(cursor.below(8) + 1);
    if stage.visits.len() >= MOST_VISITS {
        return;
    }
    let Some(Some(visit)) = stage.visits.get_mut(number) else {
        return;
    };
    visit.facts.attempts = visit.facts.attempts.saturating_add(1);
    let mut facts = visit.facts.clone();
    facts.forwarded = false;
    if cursor.once_in(16) {
        facts.name = Some(cursor.bytes().to_vec());
    }
    let worker = if cursor.once_in(16) { 0 } else { visit.worker };
    let upstream = stage.begin(worker, true, facts);
    let end = cursor.once_in(2);
    stage.feed(upstream, Event::RequestHeaders { end });
}

/// Envoy follows a redirect by itself: an exchange ends, and another one begins for the same
/// request on the same worker.
fn redirect(stage: &mut Stage, cursor: &mut Cursor<'_>) {
    let number = stage.visits.len().saturating_sub(cursor.below(8) + 1);
    let Some(Some(visit)) = stage.visits.get(number) else {
        return;
    };
    if stage.visits.len() >= MOST_VISITS {
        return;
    }
    let (worker, started_ns) = (visit.worker, visit.facts.started_ns);
    let mut facts = facts::of_request(cursor);
    facts.started_ns = started_ns;
    if cursor.once_in(2) {
        facts.request.clone_from(&visit.facts.request);
        facts.route.clone_from(&visit.facts.route);
    }
    stage.feed(number, Event::Done);
    let next = stage.begin(
        worker,
        false,
        view::Facts {
            started_ns,
            ..facts
        },
    );
    let end = cursor.once_in(2);
    stage.feed(next, Event::RequestHeaders { end });
}

/// Many clients, each with a value of its own.
fn crowd(stage: &mut Stage, cursor: &mut Cursor<'_>) {
    let worker = cursor.below(stage.machines.len());
    let stays = cursor.once_in(2);
    for client in 0..CROWD {
        let number = stage.begin(worker, false, facts::of_crowd(client));
        stage.feed(number, Event::RequestHeaders { end: true });
        if !stays {
            stage.feed(number, Event::Done);
        }
    }
}

/// Everybody goes, and what workers keep for a while they give back.
fn end(stage: &mut Stage) {
    stage.shared.cells.contend(0);
    for number in 0..stage.visits.len() {
        stage.feed(number, Event::Done);
    }
    // What the dead held under configurations that are gone is looked after as
    // soon as somebody counts it again.
    stage.update(0, 0);
    SILENCE.into_iter().for_each(|pause| stage.advance(pause));
    stage.check_end();
}

/// After a quiet time as many are served as ever: nothing is lost.
fn come_again(stage: &mut Stage) {
    stage.advance(3600 * SECOND);
    let crowded = stage.counted("concurrency_limited");
    let overflow = stage.counted("fault_overflow");
    for guest in 0..configs::MOST_FEW {
        let number = stage.begin(0, false, facts::of_guest(guest < configs::RESERVED_FEW));
        stage.feed(number, Event::RequestHeaders { end: true });
    }
    assert_eq!(stage.counted("concurrency_limited"), crowded, "{stage:?}");
    assert_eq!(stage.counted("fault_overflow"), overflow, "{stage:?}");
    end(stage);
}

/// A script of random bytes, the same for the same seed.
#[must_use]
pub fn random_script(seed: u64) -> Vec<u8> {
    const LONGEST: u64 = 256;
    let mut random = SplitMix64::new(seed);
    let words = 4 + random.draw() % (LONGEST / 8);
    (0..words)
        .flat_map(|_| random.draw().to_le_bytes())
        .collect()
}
