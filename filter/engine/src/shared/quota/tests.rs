use super::*;
use crate::testing::FakeHost;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const QUOTA: Quota = Quota {
    id: QuotaId::Own(0),
    max: 100,
    slots: 4,
    owner: None,
    share: None,
};

fn claim(key: u64, worker: u64) -> Claim {
    Claim { key, worker }
}

/// Worker 1 or 2 claims so much of key 7.
fn take(host: &FakeHost, worker: u64, amount: u64) -> Change {
    QUOTA.take(host, claim(7, worker), (amount, amount))
}

#[test]
fn there_is_room_for_so_much_and_no_more() {
    let host = FakeHost::default();
    assert_eq!(take(&host, 1, 60).by, 60);
    assert_eq!(take(&host, 2, 40).by, 40);
    let full = take(&host, 1, 1);
    assert_eq!(
        (full.outcome, full.taken, full.by),
        (ClaimOutcome::Full, 0, 0)
    );
    assert_eq!(QUOTA.give_back(&host, claim(7, 1), 10), -10);
    assert_eq!(take(&host, 2, 11).outcome, ClaimOutcome::Full);
    let rest = QUOTA.take(&host, claim(7, 2), (1, 50));
    assert_eq!((rest.taken, rest.by), (10, 10));
}

#[test]
fn each_key_has_a_bound_of_its_own() {
    let host = FakeHost::default();
    assert_eq!(take(&host, 1, 100).outcome, ClaimOutcome::Granted);
    let other = QUOTA.take(&host, claim(8, 1), (100, 100));
    assert_eq!(other.outcome, ClaimOutcome::Granted);
    assert_eq!(QUOTA.give_back(&host, claim(8, 1), 100), -100);
    assert_eq!(take(&host, 2, 1).outcome, ClaimOutcome::Full);
}

#[test]
fn who_holds_nothing_gives_nothing_back() {
    let host = FakeHost::default();
    assert_eq!(take(&host, 1, 100).outcome, ClaimOutcome::Granted);
    assert_eq!(QUOTA.give_back(&host, claim(7, 2), 100), 0);
    assert_eq!(QUOTA.give_back(&host, claim(7, 1), 1_000), -100);
}

#[test]
fn a_table_has_so_many_slots() {
    let host = FakeHost::default();
    for key in 0..4 {
        let first = QUOTA.take(&host, claim(key, 1), (1, 1));
        assert_eq!(first.outcome, ClaimOutcome::Granted);
    }
    let fifth = QUOTA.take(&host, claim(4, 1), (1, 1));
    assert_eq!((fifth.outcome, fifth.by), (ClaimOutcome::NoRoom, 0));
    assert_eq!(QUOTA.give_back(&host, claim(2, 1), 1), -1);
    let fifth = QUOTA.take(&host, claim(4, 1), (1, 1));
    assert_eq!(fifth.outcome, ClaimOutcome::Granted);
}

#[test]
fn what_the_dead_held_is_dropped_and_told() {
    let host = FakeHost::default();
    assert_eq!(take(&host, 1, 60).by, 60);
    assert_eq!(take(&host, 2, 30).by, 30);
    // Worker 1 is dead: there is room, but not for so much.
    let lost = drop_claims(QUOTA.id, &[1], &host, |_| true);
    let sixty = DroppedClaim {
        owner: None,
        amount: 60,
    };
    assert_eq!(lost, [sixty]);
    assert_eq!(drop_claims(QUOTA.id, &[1], &host, |_| true), []);
    let full = QUOTA.take(&host, claim(7, 3), (80, 80));
    assert_eq!((full.outcome, full.by), (ClaimOutcome::Full, 0));
    let taken = QUOTA.take(&host, claim(7, 3), (70, 70));
    assert_eq!((taken.outcome, taken.by), (ClaimOutcome::Granted, 70));
    // Should worker 1 live after all, it takes nothing from the others.
    assert_eq!(QUOTA.give_back(&host, claim(7, 1), 60), 0);
}

/// Quotas that share a table each lose their own claims, and leave what is nobody's
/// they know.
#[test]
fn a_shared_table_says_whose_things_the_dead_held() {
    let host = FakeHost::default();
    let owned = |hash: u64| Quota {
        owner: Some(Owner::new(hash << 32)),
        ..QUOTA
    };
    let (one, other) = (owned(1), owned(2));
    assert_eq!(one.take(&host, claim(7, 1), (3, 3)).taken, 3);
    assert_eq!(other.take(&host, claim(8, 1), (5, 5)).taken, 5);
    assert_eq!(one.take(&host, claim(7, 2), (97, 97)).taken, 97);
    assert_eq!(
        one.take(&host, claim(7, 2), (1, 1)).outcome,
        ClaimOutcome::Full
    );
    assert_eq!(one.give_back(&host, claim(7, 2), 90), -90);
    let lost = drop_claims(QUOTA.id, &[1], &host, |it| it == one.owner);
    let three = DroppedClaim {
        owner: one.owner,
        amount: 3,
    };
    assert_eq!(lost, [three]);
    assert_eq!(claimants(QUOTA.id, &host), [1, 2]);
    let lost = drop_claims(QUOTA.id, &[1, 2], &host, |_| true);
    assert_eq!(lost.iter().map(|it| it.amount).collect::<Vec<_>>(), [5, 7]);
    assert!(claimants(QUOTA.id, &host).is_empty());
}

#[cfg(not(target_arch = "wasm32"))]
#[test]
fn threads_never_hold_more_than_the_bound() {
    use crate::testing::ThreadedHost;
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    const SHARED: Quota = Quota { slots: 8, ..QUOTA };
    let host = ThreadedHost::new(0);
    let (held, largest, sum) = (AtomicU64::new(0), AtomicU64::new(0), AtomicI64::new(0));
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (host, held, largest, sum) = (&host, &held, &largest, &sum);
            scope.spawn(move || {
                for round in 0..2_000 {
                    let amount = (worker * 7 + round) % 40 + 1;
                    let taken = SHARED.take(host, claim(7, worker), (amount, amount));
                    sum.fetch_add(taken.by, Ordering::SeqCst);
                    if taken.outcome == ClaimOutcome::Granted {
                        let now = held.fetch_add(amount, Ordering::SeqCst) + amount;
                        largest.fetch_max(now, Ordering::SeqCst);
                        std::thread::yield_now();
                        held.fetch_sub(amount, Ordering::SeqCst);
                        let by = SHARED.give_back(host, claim(7, worker), amount);
                        sum.fetch_add(by, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let largest = largest.into_inner();
    assert!((1..=100).contains(&largest), "{largest} at once");
    assert_eq!(sum.into_inner(), 0, "something leaked");
}

#[test]
fn clearing_up_after_the_dead_is_tried_again_while_others_get_in_between() {
    let host = FakeHost::default();
    let _ = take(&host, 1, 60);
    host.cells.contend(8);
    assert_eq!(drop_claims(QUOTA.id, &[1], &host, |_| true).len(), 1);
    assert_eq!(take(&host, 2, 100).outcome, ClaimOutcome::Granted);
}
