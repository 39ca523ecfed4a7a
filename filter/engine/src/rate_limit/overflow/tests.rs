use super::*;
use proptest::prelude::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;
const NOW: u64 = 1_000 * HOUR;

fn take_one(cells: &mut OverflowCells, key: u64, bucket: Gcra, now_ns: u64) -> bool {
    let mut written = cells.clone();
    match take(&mut written, Key::new(key), bucket, now_ns, (1, 1)) {
        Update::Write(Decision::Admitted(_)) => {
            *cells = written;
            true
        }
        Update::Keep(Decision::Denied(_)) => false,
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
            let truth = &mut alone[client as usize];
            let passed = take_one(&mut cells, key, limit, late);
            match limit.take(*truth, late, 1, 1) {
                Ok(admitted) if passed => *truth = admitted.full_at,
                Err(_) => {
                    prop_assert!(!passed);
                }
                Ok(_) => {}
            }
            let known = debt(&cells, Key::new(key), limit, late);
            let most = limit.take(Fixed::default(), late, 1, limit.burst());
            let most = most.map_or(Fixed::default(), |it| it.full_at);
            prop_assert!(known >= (*truth).min(most) || *truth <= Fixed::from_ns(late));
        }
    }
}
