#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use proptest::prelude::*;

use super::*;
use crate::host::shared_state::{Claims, QuotaId};
use crate::shared::quota::{Claim, ClaimOutcome, Quota, drop_claims};
use crate::testing::FakeHost;

const KEY: u64 = 0x0123_4567_89ab_cdef;

fn quota(max: u64, class: Class, reserves: Reserves) -> Quota {
    Quota {
        id: QuotaId::Own(0),
        max,
        slots: 4,
        owner: None,
        share: Some(ClassShare { class, reserves }),
    }
}

fn claim(worker: u64) -> Claim {
    Claim { key: KEY, worker }
}

#[test]
fn classes_differ_in_four_bits_and_what_has_no_class_keeps_its_key() {
    assert_eq!(Class::NONE.of_key(KEY), KEY);
    for place in 0..MOST_CLASSES {
        let class = Class::at(place);
        assert_eq!(class.place(), Some(place));
        let own = class.of_key(KEY);
        assert_eq!(own >> BITS, KEY >> BITS);
        assert_eq!(Class::in_claim(own, KEY), Some(class));
    }
    assert_eq!(Class::in_claim(KEY ^ 0x10, KEY), None);
    assert_eq!(Class::in_claim(!KEY, KEY), None);
    for place in [15, 255, usize::MAX] {
        assert_eq!(Class::at(place), Class::NONE);
    }
}

#[test]
fn what_another_reserves_is_not_to_be_had() {
    let host = FakeHost::default();
    let reserves = Reserves::new([3, 2]);
    let of = |class| quota(10, class, reserves);
    let (first, second) = (of(Class::at(0)), of(Class::at(1)));
    let none = of(Class::NONE);
    // 5 of 10 are nobody's, whoever comes first.
    assert_eq!(none.take(&host, claim(1), (1, 100)).taken, 5);
    assert_eq!(
        none.take(&host, claim(2), (1, 1)).outcome,
        ClaimOutcome::Full
    );
    assert_eq!(second.take(&host, claim(2), (1, 100)).taken, 2);
    assert_eq!(
        second.take(&host, claim(1), (1, 1)).outcome,
        ClaimOutcome::Full
    );
    assert_eq!(first.take(&host, claim(1), (1, 100)).taken, 3);
    // What is given back is the class's own again.
    assert_eq!(second.give_back(&host, claim(2), 1), -1);
    assert_eq!(
        first.take(&host, claim(1), (1, 1)).outcome,
        ClaimOutcome::Full
    );
    assert_eq!(none.give_back(&host, claim(1), 1), -1);
    assert_eq!(first.take(&host, claim(2), (1, 1)).taken, 1);
    // Beyond its reserve it holds what was nobody's, and one that it gives back is
    // nobody's again.
    assert_eq!(first.give_back(&host, claim(2), 1), -1);
    assert_eq!(none.take(&host, claim(2), (1, 1)).taken, 1);
}

/// Reserves that an update brings, or a smaller bound, are kept as far as there is room.
#[test]
fn an_update_forgets_nobody_and_the_bound_is_kept() {
    let host = FakeHost::default();
    // Under the plan before there were no classes, or more of them.
    let none = quota(10, Class::NONE, Reserves::default());
    assert_eq!(none.take(&host, claim(1), (8, 8)).taken, 8);
    let gone = quota(10, Class::at(5), Reserves::default());
    assert_eq!(gone.take(&host, claim(1), (1, 1)).taken, 1);
    let reserves = Reserves::new([4]);
    let first = quota(10, Class::at(0), reserves);
    assert_eq!(first.take(&host, claim(2), (1, 100)).taken, 1);
    for class in [Class::NONE, Class::at(0)] {
        let full = quota(10, class, reserves).take(&host, claim(2), (1, 1));
        assert_eq!(full.outcome, ClaimOutcome::Full);
    }
    // With half the bound nobody gets anything until there is room.
    let smaller = quota(5, Class::at(0), Reserves::new([2]));
    assert_eq!(none.give_back(&host, claim(1), 5), -5);
    assert_eq!(
        smaller.take(&host, claim(2), (1, 1)).outcome,
        ClaimOutcome::Full
    );
    assert_eq!(none.give_back(&host, claim(1), 3), -3);
    assert_eq!(gone.give_back(&host, claim(1), 1), -1);
    assert_eq!(smaller.take(&host, claim(2), (1, 100)).taken, 4);
    // A plan without classes counts them all.
    let none = quota(5, Class::NONE, Reserves::default());
    assert_eq!(
        none.take(&host, claim(1), (1, 1)).outcome,
        ClaimOutcome::Full
    );
}

/// A worker's classes have one slot together: none of them finds its key full elsewhere.
#[test]
fn classes_of_a_worker_share_a_slot() {
    let host = FakeHost::default();
    let of = |class| quota(9, class, Reserves::default());
    for worker in 1..=4 {
        assert_eq!(of(Class::NONE).take(&host, claim(worker), (1, 1)).taken, 1);
    }
    let fifth = of(Class::NONE).take(&host, claim(5), (1, 1));
    assert_eq!(fifth.outcome, ClaimOutcome::NoRoom);
    assert_eq!(of(Class::at(0)).take(&host, claim(4), (1, 9)).taken, 5);
    let of_other_key = Claim {
        key: !KEY,
        worker: 4,
    };
    let other = of(Class::at(0)).take(&host, of_other_key, (1, 1));
    assert_eq!(other.outcome, ClaimOutcome::NoRoom);
    let lost = drop_claims(QuotaId::Own(0), &[4], &host, |_| true);
    assert_eq!(lost.iter().map(|it| it.amount).collect::<Vec<_>>(), [1, 5]);
}

/// However many of another class come at the same moment.
#[cfg(not(target_arch = "wasm32"))]
#[test]
fn threads_find_what_their_class_reserves() {
    use crate::testing::ThreadedHost;
    use std::sync::atomic::{AtomicU64, Ordering};

    const MAX: u64 = 10;
    let host = ThreadedHost::new(0);
    let (held, largest) = (AtomicU64::new(0), AtomicU64::new(0));
    let reserves = Reserves::new([4]);
    std::thread::scope(|scope| {
        for worker in 0..6 {
            let (host, held, largest) = (&host, &held, &largest);
            scope.spawn(move || {
                // Two threads use up the reserve between them, the others what they get.
                let is_first = worker < 2;
                let class = if is_first { Class::at(0) } else { Class::NONE };
                let quota = Quota {
                    slots: 8,
                    ..quota(MAX, class, reserves)
                };
                let amount = if is_first { 2 } else { 3 };
                for _ in 0..2_000 {
                    let taken = quota.take(host, claim(worker), (amount, amount));
                    assert!(!is_first || taken.outcome != ClaimOutcome::Full);
                    if taken.outcome != ClaimOutcome::Granted {
                        continue;
                    }
                    let now = held.fetch_add(amount, Ordering::SeqCst) + amount;
                    largest.fetch_max(now, Ordering::SeqCst);
                    std::thread::yield_now();
                    held.fetch_sub(amount, Ordering::SeqCst);
                    quota.give_back(host, claim(worker), amount);
                }
            });
        }
    });
    let largest = largest.into_inner();
    assert!((1..=MAX).contains(&largest), "{largest} at once");
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A worker takes one in a class; 8 is none.
    Take(u64, usize),
    /// One of those that are held goes back.
    Give(usize),
    /// All of a worker are dropped.
    Die(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1_u64..5, 0..=MOST_CLASSES).prop_map(|(worker, class)| Step::Take(worker, class)),
        5 => any::<usize>().prop_map(Step::Give),
        1 => (1_u64..5).prop_map(Step::Die),
    ]
}

/// Reserves that fit into the bound, and the bound.
fn bound() -> impl Strategy<Value = (u64, Vec<u64>)> {
    let reserves = proptest::collection::vec(0_u64..6, 0..=MOST_CLASSES);
    (reserves, 0_u64..12).prop_map(|(reserves, more)| {
        let sum: u64 = reserves.iter().sum();
        ((sum + more).max(1), reserves)
    })
}

proptest! {
    /// For any requests of several workers in any order: never more than the bound is held,
    /// a class with a free reserve is admitted, no class gets another's reserve, and
    /// unreserved room is never refused.
    #[test]
    fn a_class_has_its_reserve_and_what_nobody_reserves(
        (max, reserved) in bound(),
        steps in proptest::collection::vec(step(), 1..300),
    ) {
        let host = FakeHost::default();
        let reserves = Reserves::new(reserved.iter().copied());
        let class = |place| if place < reserved.len() { Class::at(place) } else { Class::NONE };
        let mut held: Vec<(u64, usize)> = Vec::new();
        for step in steps {
            match step {
                Step::Take(worker, place) => {
                    let place = place.min(reserved.len());
                    let used = |place| held.iter().filter(|(_, it)| *it == place).count() as u64;
                    let kept = |place: usize| reserved[place].saturating_sub(used(place));
                    let others: u64 =
                        (0..reserved.len()).filter(|it| *it != place).map(kept).sum();
                    let is_below = place < reserved.len() && kept(place) > 0;
                    let is_free = held.len() as u64 + others < max;
                    // What is reserved is there.
                    prop_assert!(!is_below || is_free);
                    let quota = Quota { slots: 1_000, ..quota(max, class(place), reserves) };
                    let taken = quota.take(&host, claim(worker), (1, 1)).taken;
                    prop_assert_eq!(taken == 1, is_free);
                    held.extend((taken == 1).then_some((worker, place)));
                }
                Step::Give(index) if !held.is_empty() => {
                    let (worker, place) = held.remove(index % held.len());
                    let quota = quota(max, class(place), reserves);
                    prop_assert_eq!(quota.give_back(&host, claim(worker), 1), -1);
                }
                Step::Give(_) => {}
                Step::Die(worker) => {
                    let lost = drop_claims(QuotaId::Own(0), &[worker], &host, |_| true);
                    let lost: u64 = lost.iter().map(|it| it.amount).sum();
                    let before = held.len();
                    held.retain(|(own, _)| *own != worker);
                    prop_assert_eq!(lost, (before - held.len()) as u64);
                }
            }
            prop_assert!(held.len() as u64 <= max);
        }
        for (worker, place) in held {
            quota(max, class(place), reserves).give_back(&host, claim(worker), 1);
        }
        let cells = host.cells.all::<Claims>();
        prop_assert!(cells.iter().all(|Claims(claims)| claims.is_empty()));
    }
}
