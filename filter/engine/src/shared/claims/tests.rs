use super::*;
use crate::host::values::TableId;
use crate::shared::liveness::SILENCE_NS;
use crate::testing::FakeHost;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const POOL: Pool = Pool {
    table: TableId(0),
    most: 2,
    slots: 8,
    owner: None,
};

fn holder() -> Holder {
    Holder::new(Roll(TableId(1)), Gauges::default())
}

/// Takes one; says whether there was one, and whether the worker is to be
/// woken for it.
fn take(holder: &mut Holder, host: &mut FakeHost) -> (bool, Option<u64>) {
    let mut out = Vec::new();
    let change = holder.take(POOL, 0, (1, 1), &mut Event::new(host, &mut out));
    let wake = out.into_iter().map(|action| match action {
        Action::WakeWorkerAt(at) => at,
        other => panic!("{other:?}"),
    });
    (change.answer == Answer::Granted, wake.max())
}

fn tick(holder: &mut Holder, host: &mut FakeHost) -> bool {
    let mut out = Vec::new();
    holder.tick(&mut Event::new(host, &mut out));
    !out.is_empty()
}

#[test]
fn who_holds_something_beats_and_who_does_not_stops() {
    let (mut holder, mut host) = (holder(), FakeHost::default());
    assert_eq!(take(&mut holder, &mut host), (true, Some(BEAT_NS)));
    assert_eq!(take(&mut holder, &mut host), (true, None));
    assert!(tick(&mut holder, &mut host));
    assert_eq!(holder.give_back(POOL, 0, 2, &mut host), -2);
    assert!(!tick(&mut holder, &mut host));
    host.now_ns = 9;
    assert_eq!(take(&mut holder, &mut host), (true, Some(9 + BEAT_NS)));
}

#[test]
fn what_a_dead_worker_held_is_free_within_15_seconds() {
    const { assert!(SILENCE_NS + SEARCH_NS < 15_000_000_000) };
    let (mut dies, mut lives, mut host) = (holder(), holder(), FakeHost::default());
    assert!(take(&mut dies, &mut host).0 && take(&mut lives, &mut host).0);
    host.now_ns = SILENCE_NS - 1;
    assert!(tick(&mut lives, &mut host));
    assert!(!take(&mut lives, &mut host).0);
    // The dead are looked for once a second.
    host.now_ns += SEARCH_NS - 1;
    assert!(!take(&mut lives, &mut host).0);
    host.now_ns += 1;
    assert!(take(&mut lives, &mut host).0);
    assert!(!take(&mut lives, &mut host).0);
}

#[test]
fn who_beats_is_not_taken_for_dead() {
    let (mut one, mut other, mut host) = (holder(), holder(), FakeHost::default());
    assert!(take(&mut one, &mut host).0 && take(&mut one, &mut host).0);
    for beat in 1..10 {
        host.now_ns = beat * BEAT_NS;
        assert!(tick(&mut one, &mut host));
        assert!(!take(&mut other, &mut host).0);
    }
}

#[test]
fn who_was_taken_for_dead_and_lives_takes_nothing_from_the_others() {
    let (mut late, mut other, mut host) = (holder(), holder(), FakeHost::default());
    assert!(take(&mut late, &mut host).0);
    host.now_ns = SILENCE_NS;
    assert!(take(&mut other, &mut host).0 && take(&mut other, &mut host).0);
    assert!(tick(&mut late, &mut host));
    assert_eq!(late.give_back(POOL, 0, 1, &mut host), 0);
    assert!(!take(&mut late, &mut host).0);
}

/// Nobody who cannot be known to live may hold anything.
#[test]
fn who_finds_no_place_on_the_roll_gets_nothing() {
    use crate::host::values::Tables;
    let (mut holder, mut host) = (holder(), FakeHost::default());
    host.update_table(TableId(1), |words| {
        *words = (0..1024).flat_map(|worker| [worker, 0]).collect();
        true
    });
    assert_eq!(take(&mut holder, &mut host), (false, None));
}

/// A pool that is asked for too much, without end, is looked through once a
/// second; the dead of others are found all the same.
#[test]
fn a_pool_that_is_always_full_does_not_hide_the_dead_of_others() {
    const CROWDED: Pool = Pool {
        table: TableId(2),
        ..POOL
    };
    let (mut dies, mut lives, mut host) = (holder(), holder(), FakeHost::default());
    let mut out = Vec::new();
    let crowded = lives.take(CROWDED, 0, (2, 2), &mut Event::new(&mut host, &mut out));
    assert_eq!(crowded.answer, Answer::Granted);
    assert!(take(&mut dies, &mut host).0 && take(&mut dies, &mut host).0);
    host.now_ns = SILENCE_NS;
    assert!(tick(&mut lives, &mut host));
    let crowded = lives.take(CROWDED, 0, (1, 1), &mut Event::new(&mut host, &mut out));
    assert_eq!(crowded.answer, Answer::Full);
    assert!(take(&mut lives, &mut host).0);
}
