use super::*;
use crate::host::shared_state::{Cells, Registration, Registry, RegistryId, Update};
use crate::shared::liveness::EXPIRY_NS;
use crate::testing::FakeHost;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const QUOTA: Quota = Quota {
    id: QuotaId::Own(0),
    max: 2,
    slots: 8,
    owner: None,
    share: None,
};

fn claims() -> ClaimTracker {
    ClaimTracker::new(QuotaGauges::default())
}

/// Takes one; says whether there was one, and when the next heartbeat is due.
fn take(claims: &mut ClaimTracker, host: &mut FakeHost) -> (bool, Option<u64>) {
    let change = claims.take(QUOTA, 0, (1, 1), &mut Event::new(host, &mut Vec::new()));
    let is_granted = change.outcome == ClaimOutcome::Granted;
    (is_granted, claims.next_heartbeat())
}

fn tick(claims: &mut ClaimTracker, host: &mut FakeHost) -> bool {
    claims.tick(&mut Event::new(host, &mut Vec::new()));
    claims.next_heartbeat().is_some()
}

#[test]
fn who_holds_something_beats_and_who_does_not_stops() {
    let (mut claims, mut host) = (claims(), FakeHost::default());
    assert_eq!(take(&mut claims, &mut host), (true, Some(HEARTBEAT_NS)));
    host.now_ns = 5;
    assert_eq!(take(&mut claims, &mut host), (true, Some(HEARTBEAT_NS)));
    assert!(tick(&mut claims, &mut host));
    assert_eq!(claims.give_back(QUOTA, 0, 2, &mut host), -2);
    assert!(!tick(&mut claims, &mut host));
    host.now_ns = 9;
    assert_eq!(take(&mut claims, &mut host), (true, Some(9 + HEARTBEAT_NS)));
}

#[test]
fn what_a_dead_worker_held_is_free_within_15_seconds() {
    const { assert!(EXPIRY_NS + SEARCH_NS < 15_000_000_000) };
    let (mut dies, mut lives, mut host) = (claims(), claims(), FakeHost::default());
    assert!(take(&mut dies, &mut host).0 && take(&mut lives, &mut host).0);
    host.now_ns = EXPIRY_NS - 1;
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
    let (mut one, mut other, mut host) = (claims(), claims(), FakeHost::default());
    assert!(take(&mut one, &mut host).0 && take(&mut one, &mut host).0);
    for beat in 1..10 {
        host.now_ns = beat * HEARTBEAT_NS;
        assert!(tick(&mut one, &mut host));
        assert!(!take(&mut other, &mut host).0);
    }
}

#[test]
fn who_was_taken_for_dead_and_lives_takes_nothing_from_the_others() {
    let (mut late, mut other, mut host) = (claims(), claims(), FakeHost::default());
    assert!(take(&mut late, &mut host).0);
    host.now_ns = EXPIRY_NS;
    assert!(take(&mut other, &mut host).0 && take(&mut other, &mut host).0);
    assert!(tick(&mut late, &mut host));
    assert_eq!(late.give_back(QUOTA, 0, 1, &mut host), 0);
    assert!(!take(&mut late, &mut host).0);
}

/// Nobody who cannot be known to live may hold anything.
#[test]
fn who_finds_no_place_in_the_registry_gets_nothing() {
    let (mut claims, mut host) = (claims(), FakeHost::default());
    let others = (0..1024).map(|worker| Registration {
        worker,
        heartbeat_ns: 0,
    });
    let full = host.update(RegistryId, |Registry(workers)| {
        workers.extend(others.clone());
        Update::Write(())
    });
    assert_eq!(full, Ok(()));
    assert_eq!(take(&mut claims, &mut host), (false, None));
}

/// A quota that is always over-requested is searched once a second; the dead workers of
/// others are found all the same.
#[test]
fn a_quota_that_is_always_full_does_not_hide_the_dead_of_others() {
    const CROWDED: Quota = Quota {
        id: QuotaId::Own(2),
        ..QUOTA
    };
    let (mut dies, mut lives, mut host) = (claims(), claims(), FakeHost::default());
    let mut out = Vec::new();
    let crowded = lives.take(CROWDED, 0, (2, 2), &mut Event::new(&mut host, &mut out));
    assert_eq!(crowded.outcome, ClaimOutcome::Granted);
    assert!(take(&mut dies, &mut host).0 && take(&mut dies, &mut host).0);
    host.now_ns = EXPIRY_NS;
    assert!(tick(&mut lives, &mut host));
    let crowded = lives.take(CROWDED, 0, (1, 1), &mut Event::new(&mut host, &mut out));
    assert_eq!(crowded.outcome, ClaimOutcome::Full);
    assert!(take(&mut lives, &mut host).0);
}
