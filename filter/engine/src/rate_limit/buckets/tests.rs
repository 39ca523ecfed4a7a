use super::*;
use proptest::prelude::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;
const NOW: u64 = 1_000 * HOUR;

fn one(cell: &mut Buckets, key: u64, now: u64) -> Decision {
    let bucket = Gcra::new(1, SECOND, 1);
    match take(cell, 4, Key::new(key), bucket, now, (1, 1)) {
        Update::Keep(answer) | Update::Write(answer) => answer,
    }
}

#[test]
fn debtors_stay_and_the_idle_make_room() {
    let mut cell = Buckets::default();
    for key in 10..14 {
        assert!(matches!(one(&mut cell, key, key), Decision::Admitted(_)));
    }
    assert_eq!(cell.buckets.len(), 4);
    assert_eq!(one(&mut cell, 99, 20), Decision::NoRoom);
    for key in 10..14 {
        assert!(matches!(one(&mut cell, key, 20), Decision::Denied(_)));
    }
    // The first is full again, the others are not.
    assert!(matches!(
        one(&mut cell, 99, SECOND + 10),
        Decision::Admitted(_)
    ));
    assert_eq!(
        peek(
            &mut cell,
            Key::new(10),
            Gcra::new(1, SECOND, 1),
            SECOND + 10
        ),
        None
    );
    assert_eq!(one(&mut cell, 98, SECOND + 10), Decision::NoRoom);
    assert_eq!(cell.buckets.len(), 4);
}

#[test]
fn the_overflow_bucket_is_not_evicted() {
    let mut cell = Buckets::default();
    let bucket = Gcra::new(1, SECOND, 1);
    let _ = take(&mut cell, 1, Key::OVERFLOW, bucket, 0, (1, 1));
    assert_eq!(
        take(&mut cell, 1, Key::new(5), bucket, 9 * SECOND, (1, 1)),
        Update::Keep(Decision::NoRoom)
    );
}

#[test]
fn tokens_are_given_back_to_whom_they_belong() {
    let mut cell = Buckets::default();
    let _ = one(&mut cell, 7, 0);
    let bucket = Gcra::new(1, SECOND, 1);
    assert!(!give_back(&mut cell, Key::new(8), bucket, 1));
    assert!(give_back(&mut cell, Key::new(7), bucket, 1));
    assert!(matches!(one(&mut cell, 7, 0), Decision::Admitted(_)));
}

/// The limit that a slot says.
fn limits(cell: &Buckets) -> Vec<(u32, u64)> {
    let rates = cell.buckets.iter().filter_map(|slot| slot.rate);
    rates
        .map(|rate| (rate.tokens.get(), rate.period_ns))
        .collect()
}

fn take_from(cell: &mut Buckets, key: u64, bucket: Gcra, now: u64, tokens: u64) -> bool {
    let taken = take(cell, 4, Key::new(key), bucket, now, (tokens, tokens));
    matches!(taken, Update::Write(Decision::Admitted(_)))
}

/// All that can be taken at this time.
fn rest(cell: &mut Buckets, key: u64, bucket: Gcra, now: u64) -> u64 {
    let mut cell = cell.clone();
    (0..=bucket.burst() + 100)
        .take_while(|_| take_from(&mut cell, key, bucket, now, 1))
        .count() as u64
}

#[test]
fn a_changed_limit_keeps_what_was_used() {
    const DAY: u64 = 24 * HOUR;
    let limit = |requests, unit, burst| Gcra::new(requests, unit, burst);
    for (before, used, after, left) in [
        // Raised, as for a client that has used up its limit.
        (limit(1, DAY, 1), 1, limit(1_000, DAY, 1_000), 999),
        (limit(10, HOUR, 10), 10, limit(20, HOUR, 20), 10),
        // Lowered.
        (limit(1_000, HOUR, 1_000), 10, limit(20, HOUR, 20), 10),
        (limit(1_000, HOUR, 1_000), 500, limit(20, HOUR, 20), 0),
        // The same under another unit.
        (limit(60, HOUR, 60), 45, limit(1, 60 * SECOND, 1), 0),
        (limit(3, SECOND, 3), 2, limit(3, DAY, 3), 1),
        (limit(3, DAY, 3), 2, limit(3, SECOND, 3), 1),
        (limit(u32::MAX, SECOND, 7), 6, limit(1, DAY, 7), 1),
        // Another burst.
        (limit(10, HOUR, 10), 10, limit(10, HOUR, 50), 40),
        (limit(10, HOUR, 50), 20, limit(10, HOUR, 30), 10),
        // With a queue tokens may have been taken ahead, and may be again.
        (
            limit(10, HOUR, 10).ahead(5, DAY),
            15,
            limit(100, HOUR, 100),
            85,
        ),
        (
            limit(10, HOUR, 10),
            10,
            limit(10, HOUR, 10).ahead(5, DAY),
            5,
        ),
        (
            limit(10, HOUR, 10).ahead(5, DAY),
            15,
            limit(10, HOUR, 10),
            0,
        ),
    ] {
        let mut cell = Buckets::default();
        assert!(take_from(&mut cell, 7, before, NOW, used));
        assert_eq!(rest(&mut cell, 7, after, NOW), left, "{before:?} {after:?}");
    }
}

#[test]
fn a_lowered_limit_that_is_used_up_comes_back_at_its_own_rate() {
    let (large, small) = (Gcra::new(1_000, HOUR, 1_000), Gcra::new(20, HOUR, 20));
    let mut cell = Buckets::default();
    assert!(take_from(&mut cell, 7, large, NOW, 500));
    assert!(!take_from(&mut cell, 7, small, NOW, 1));
    assert_eq!(limits(&cell), [(1_000, HOUR), (20, HOUR)]);
    assert_eq!(rest(&mut cell, 7, small, NOW + 3 * 60 * SECOND - 1), 0);
    assert_eq!(rest(&mut cell, 7, small, NOW + 3 * 60 * SECOND), 1);
    assert_eq!(rest(&mut cell, 7, small, NOW + HOUR), 20);
    // The old limit has not forgotten either, and its slot is free once it is full.
    assert_eq!(rest(&mut cell, 7, large, NOW), 500);
    assert!(one(&mut cell, 8, NOW) != Decision::NoRoom);
    assert_eq!(cell.buckets.len(), 3);
    let _ = one(&mut cell, 9, NOW + HOUR);
    assert_eq!(cell.buckets.len(), 3);
}

/// Without a slot for a second limit nothing is cut, so nothing is forgiven: the new
/// limit refuses until the old one has as few tokens missing.
#[test]
fn without_room_for_two_limits_no_debt_is_forgiven() {
    let (large, small) = (Gcra::new(1_000, HOUR, 1_000), Gcra::new(20, HOUR, 20));
    let mut cell = Buckets::default();
    for key in 7..11 {
        assert!(take_from(&mut cell, key, large, NOW, 500));
    }
    assert!(!take_from(&mut cell, 7, small, NOW, 1));
    assert_eq!(rest(&mut cell, 7, large, NOW), 500);
    // 480 come back in 1728 s.
    assert!(!take_from(&mut cell, 7, small, NOW + 1_728 * SECOND, 1));
    assert!(take_from(&mut cell, 7, small, NOW + 1_732 * SECOND, 1));
    assert_eq!(cell.buckets.len(), 4);
}

#[test]
fn a_slot_of_an_earlier_version_gives_way() {
    let slow = Gcra::new(1, HOUR, 1);
    let mut cell = Buckets::default();
    assert!(take_from(&mut cell, 7, slow, NOW, 1));
    cell.buckets[0].rate = None;
    let fast = Gcra::new(2, SECOND, 2);
    assert!(!take_from(&mut cell, 7, fast, NOW, 1));
    assert_eq!((limits(&cell), cell.buckets.len()), (vec![(2, SECOND)], 1));
    assert!(take_from(&mut cell, 7, fast, NOW + SECOND, 2));
}

#[test]
fn tokens_are_given_back_under_every_limit() {
    let (large, small) = (Gcra::new(1_000, HOUR, 1_000), Gcra::new(20, HOUR, 20));
    let mut cell = Buckets::default();
    assert!(take_from(&mut cell, 7, large, NOW, 30));
    assert!(!take_from(&mut cell, 7, small, NOW, 1));
    assert!(give_back(&mut cell, Key::new(7), large, 5));
    assert_eq!(rest(&mut cell, 7, large, NOW), 975);
    assert_eq!(rest(&mut cell, 7, small, NOW), 5);
}

fn limit() -> impl Strategy<Value = Gcra> {
    let unit = prop::sample::select(vec![SECOND, 60 * SECOND, HOUR, 24 * HOUR]);
    (1_u32..400, unit, 1_u32..100)
        .prop_map(|(requests, unit, burst)| Gcra::new(requests, unit, burst))
}

proptest! {
    /// Whatever limit follows whatever other, and however often: what was used stays
    /// used, no more and no less.
    #[test]
    fn any_change_keeps_the_tokens_that_are_used(
        limits in prop::collection::vec(limit(), 2..6), share in 0_u64..=100,
    ) {
        let mut cell = Buckets::default();
        let mut used = limits[0].burst() * share / 100;
        prop_assert!(used == 0 || take_from(&mut cell, 7, limits[0], NOW, used));
        for limit in &limits[1..] {
            let left = limit.burst().saturating_sub(used);
            prop_assert_eq!(rest(&mut cell, 7, *limit, NOW), left);
            used += u64::from(take_from(&mut cell, 7, *limit, NOW, 1));
        }
    }

    /// Two configurations serve at the same time, as while a listener drains: together
    /// they let pass no more than the larger rate and the larger burst.
    #[test]
    fn two_limits_at_a_time_let_pass_no_more_than_the_larger(
        limits in (limit(), limit()), room in 1_usize..3,
        steps in prop::collection::vec((any::<bool>(), 0_u64..20 * SECOND, 1_usize..40), 1..60),
    ) {
        let limits = [limits.0, limits.1];
        let mut cell = Buckets::default();
        let (mut now, mut passed) = (NOW, Vec::new());
        for (which, gap, count) in steps {
            now += gap;
            for _ in 0..count {
                let bucket = limits[usize::from(which)];
                let taken = take(&mut cell, room, Key::new(7), bucket, now, (1, 1));
                if matches!(taken, Update::Write(Decision::Admitted(_))) {
                    passed.push(now);
                }
            }
        }
        let burst = u128::from(limits[0].burst().max(limits[1].burst()));
        let by_rate = |bucket: Gcra, time: u64| {
            let rate = bucket.rate();
            u128::from(time) * u128::from(rate.tokens.get()) / u128::from(rate.period_ns)
        };
        for (i, from) in passed.iter().enumerate() {
            for (j, to) in passed.iter().enumerate().skip(i) {
                let [one, other] = limits.map(|limit| by_rate(limit, to - from));
                let both = burst + one.max(other) + 1;
                prop_assert!((j - i + 1) as u128 <= both, "{} of {both}", j - i + 1);
            }
        }
    }
}
