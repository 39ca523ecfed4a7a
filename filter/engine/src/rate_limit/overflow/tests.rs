use super::*;
use proptest::prelude::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;
const NOW: u64 = 1_000 * HOUR;

fn take_one(cells: &mut OverflowCells, key: u64, bucket: Gcra, now_ns: u64) -> bool {
    let mut written = cells.clone();
    let decision = match take(&mut written, Key::new(key), bucket, now_ns, (1, 1)) {
        Update::Write(decision) => {
            *cells = written;
            decision
        }
        Update::Keep(decision) => {
            assert!(written == *cells);
            decision
        }
    };
    match decision {
        Decision::Admitted(_) => true,
        Decision::Denied(_) => false,
        other => panic!("{other:?}"),
    }
}

fn tokens_of(cells: &mut OverflowCells, key: u64, bucket: Gcra, now_ns: u64) -> usize {
    (0..)
        .take_while(|_| take_one(cells, key, bucket, now_ns))
        .count()
}

#[test]
fn a_client_alone_has_its_whole_limit_and_it_comes_back() {
    for (requests, unit) in [
        (1, HOUR),
        (2, SECOND),
        (10, HOUR),
        (513, HOUR),
        (100_000, HOUR),
    ] {
        let burst = requests.min(1_000);
        let bucket = Gcra::new(requests, unit, burst);
        let mut cells = OverflowCells::default();
        // All but what rounding takes: the last one, or a 32nd of the time in
        // which it becomes full.
        let whole = bucket.longest_debt_ns();
        for now in [NOW, NOW + whole + whole / 32 + 1_000] {
            let tokens = tokens_of(&mut cells, 77, bucket, now);
            let (most, least) = (burst as usize, (burst as usize - 1).max(1));
            assert!((least..=most).contains(&tokens), "{tokens} of {burst}");
            let unit = Shape::of(bucket).unit;
            let late = tokens_of(&mut cells, 77, bucket, now + 2 * unit + SECOND / 50);
            assert!(tokens + late >= most, "{tokens} and {late} of {burst}");
        }
    }
}

/// Only who shares both cells with others has less.
#[test]
fn who_shares_one_cell_is_not_refused() {
    let bucket = Gcra::new(1, HOUR, 1);
    let mut cells = OverflowCells::default();
    let key = |first: u64, second: u64| first | second << SECOND_PLACE;
    assert!(take_one(&mut cells, key(1, 2), bucket, NOW));
    assert!(take_one(&mut cells, key(1, 3), bucket, NOW));
    assert!(!take_one(&mut cells, key(3, 2), bucket, NOW));
    assert!(take_one(&mut cells, key(4, 5), bucket, NOW));
}

#[test]
fn damaged_cells_are_read_as_empty_ones() {
    let bucket = Gcra::new(1, HOUR, 1);
    let damaged = |unit_ns, width, counters| OverflowCells {
        base_ns: 7,
        unit_ns,
        width,
        counters: vec![0xff; counters],
        ..OverflowCells::default()
    };
    for mut cells in [
        damaged(1, 0, 0),
        damaged(0, 1, 512),
        damaged(1, 3, 512),
        damaged(1, 1, 513),
        damaged(1, 1, 1 << 20),
    ] {
        assert!(take_one(&mut cells, 7, bucket, NOW));
        assert!(!take_one(&mut cells, 7, bucket, NOW));
    }
}

#[test]
fn a_changed_limit_keeps_what_was_used_without_a_slot() {
    const DAY: u64 = 24 * HOUR;
    for ((requests, unit), used, (after, after_unit), left) in [
        ((1, DAY), 1, (1_000, DAY), 999_usize),
        ((10, HOUR), 9, (20, HOUR), 11),
        ((1_000, HOUR), 10, (20, HOUR), 10),
        ((1_000, HOUR), 500, (20, HOUR), 0),
        ((3, SECOND), 2, (3, DAY), 1),
        ((3, DAY), 2, (3, SECOND), 1),
    ] {
        let before = Gcra::new(requests, unit, requests);
        let bucket = Gcra::new(after, after_unit, after);
        let mut cells = OverflowCells::default();
        for _ in 0..used {
            assert!(take_one(&mut cells, 77, before, NOW));
        }
        // Rounding delays the last one.
        let tokens = tokens_of(&mut cells, 77, bucket, NOW);
        assert!(
            (left.saturating_sub(1)..=left).contains(&tokens) || left == 0,
            "{tokens} of {left}"
        );
        let wait = 3 * Shape::of(bucket).unit;
        let late = tokens_of(&mut cells, 77, bucket, NOW + wait);
        assert_eq!(tokens + late, left, "{requests} to {after}");
        // Somebody else has all of it.
        let tokens = tokens_of(&mut cells, 1 << 20 | 5, bucket, NOW + wait);
        assert!(tokens + 1 >= after as usize, "{tokens} of {after}");
    }
}

/// While two configurations serve, counters do not go back and forth between them.
#[test]
fn counters_are_rewritten_once_a_minute_at_most() {
    let (large, small) = (Gcra::new(1_000, HOUR, 1_000), Gcra::new(20, HOUR, 20));
    let mut cells = OverflowCells::default();
    for _ in 0..500 {
        assert!(take_one(&mut cells, 77, large, NOW));
    }
    // This cuts the debt.
    assert!(!take_one(&mut cells, 77, small, NOW));
    assert_eq!(cells.rate, Some(small.rate()));
    // In the room of the small limit not all that the large one allows can be said.
    let passed = tokens_of(&mut cells, 77, large, NOW + SECOND);
    assert!((100..980).contains(&passed), "{passed}");
    for second in 0..60 {
        let now = NOW + second * SECOND;
        assert!(!take_one(&mut cells, 77, small, now));
        assert!(tokens_of(&mut cells, 77, large, now) <= 1);
    }
    assert_eq!(cells.rate, Some(small.rate()));
    assert!(take_one(&mut cells, 78, large, NOW + 60 * SECOND));
    assert_eq!(cells.rate, Some(large.rate()));
}

proptest! {
    /// Whatever others do, however the limit changes, whatever worker reads
    /// the clock a little late: the cells never say less than the debt of a
    /// client alone would be.
    #[test]
    fn the_cells_never_say_less_than_the_truth(
        steps in prop::collection::vec((0_u64..6, 0_u64..HOUR, 0_usize..5), 1..300),
        spread in prop::sample::select(vec![1_u64, 1 << 40]),
    ) {
        let limits = [1, 2, 10, 700].map(|requests| Gcra::new(requests, HOUR, requests));
        let (mut now, mut limit, mut cells) = (NOW, limits[2], OverflowCells::default());
        let mut alone: Vec<Fixed> = vec![Fixed::default(); 6];
        for (client, gap, change) in steps {
            now += if gap % 3 == 0 { gap } else { gap / 600 };
            if let (Some(other), 0) = (limits.get(change), gap % 10) {
                limit = *other;
            }
            let late = now - gap % 900;
            let key = (client + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) / spread;
            let before = limit_of(&cells, limit);
            let passed = take_one(&mut cells, key, limit, late);
            let written = limit_of(&cells, limit);
            if before.rate() != written.rate() {
                for truth in &mut alone {
                    *truth = written.as_full_as(before, *truth, late).min(written.empty(late));
                }
            }
            let same = |truth| limit.as_full_as(written, truth, late).min(limit.empty(late));
            let truth = &mut alone[client as usize];
            match limit.take(same(*truth), late, 1, 1) {
                Ok(_) if passed => *truth = written.spend((*truth).max(Fixed::from_ns(late)), 1),
                Err(_) => {
                    prop_assert!(!passed);
                }
                Ok(_) => {}
            }
            let known = debt(&cells, Key::new(key), limit, late);
            prop_assert!(known >= same(*truth) || *truth <= Fixed::from_ns(late));
        }
    }
}
