//! A bucket for each client, in a table of fixed size.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::host::shared_state::{Buckets, CellKind, OverflowCells, SeedId};

const PER_CLIENT: &str = r#"{"rules":[{"name":"each","shared":true,
    "clientSelectors":[{"headers":[{"name":"id","type":"Distinct"}]}],
    "limit":{"requests":3,"unit":"Hour"}}]}"#;

/// Buckets that are kept, and bytes of counters.
fn kept(sim: &Sim) -> (usize, usize) {
    let buckets = sim.host.cells.all::<Buckets>();
    let counters = sim.host.cells.all::<OverflowCells>();
    let buckets = buckets.iter().map(|cell| cell.buckets.len()).sum();
    (
        buckets,
        counters.iter().map(|cells| cells.counters.len()).sum(),
    )
}

#[test]
fn three_per_client_are_three_on_any_number_of_workers() {
    let mut sim = Sim::new(2, plan(PER_CLIENT));
    for id in ["a", "b", ""] {
        let passed = (0..12).filter(|i| sim.request(i % 2, &[("id", id)]).passed());
        assert_eq!(passed.count(), 3, "{id:?}");
    }
    assert!((0..12).all(|_| sim.passes(0)), "without a value: no rule");
}

#[test]
fn addresses_are_told_apart_and_not_by_their_notation() {
    let local = r#"{"rules":[{"clientSelectors":[{"sourceCIDR":{"type":"Distinct","value":"0.0.0.0/0"}},
        {"queryParams":[{"name":"q","type":"Distinct"}]}],"limit":{"requests":1,"unit":"Hour"}}]}"#;
    let mut sim = Sim::new(1, plan(local));
    let mut passes = |address: &str, path: &str| {
        sim.host.source = Some(address.parse().unwrap());
        sim.request(0, &[(":path", path)]).passed()
    };
    assert!(passes("192.0.2.1", "/?q=1") && !passes("192.0.2.1", "/?q=1"));
    assert!(!passes("::ffff:192.0.2.1", "/?q=%31"));
    assert!(passes("192.0.2.1", "/?q=2") && passes("192.0.2.2", "/?q=1"));
}

/// A client in debt, then a million others: the client stays in debt, the
/// table stays as large as it is, and who is new is not starved.
#[test]
fn a_million_rotating_keys_change_nothing() {
    let mut sim = Sim::new(
        2,
        plan_with(PER_CLIENT, r#","limits":{"distinctKeys":1024}"#),
    );
    let victim = [("id", "victim")];
    assert_eq!(
        (0..9)
            .filter(|i| sim.request(i % 2, &victim).passed())
            .count(),
        3
    );
    let mut passed = 0;
    let mut warnings = 0;
    for key in 0..1_000_000_u32 {
        let key = key.to_string();
        let came = sim.request(0, &[("id", &key)]);
        passed += usize::from(came.passed());
        warnings += came.actions.len();
    }
    // Everyone who found a slot, and those for whom there were tokens in one of
    // 11 blocks of 8192 cells, of which each uses two at least once.
    assert!(passed <= 2048 + 3 * 11 * 8192, "{passed}");
    assert!(passed >= 2048 + 11 * 8192, "{passed}");
    let (buckets, counters) = kept(&sim);
    assert!(
        buckets <= 2048 && counters <= 11 * 2 * 8192,
        "{buckets} {counters}"
    );
    assert_eq!(warnings, 1);
    assert!(sim.counter("each.overflows") > 900_000);
    assert!(!sim.request(0, &victim).passed() && !sim.request(1, &victim).passed());

    // Nearly all cells are used up; in the time in which a token comes back to
    // each, they have one for who is new.
    let fresh = |sim: &mut Sim, round: u32| {
        let keys = (0..100).map(|key| format!("fresh-{round}-{key}"));
        keys.filter(|key| sim.request(1, &[("id", key)]).passed())
            .count()
    };
    assert!(fresh(&mut sim, 0) < 10);
    sim.host.now_ns += HOUR / 3 + HOUR / 8192;
    assert!(fresh(&mut sim, 1) > 90);

    // Clients without debt make room: a fresh key has a bucket of its own.
    sim.host.now_ns += HOUR;
    let passed = (0..9).filter(|_| sim.request(0, &[("id", "later")]).passed());
    assert_eq!(passed.count(), 3);
    let passed = (0..9).filter(|_| sim.request(1, &victim).passed());
    assert_eq!(passed.count(), 3);
}

#[test]
fn the_default_table_has_room_for_all_its_keys_at_once() {
    let mut sim = Sim::new(1, plan(PER_CLIENT));
    for key in 0..65_536_u32 {
        assert!(sim.passes_with("id", &key.to_string()));
    }
    assert_eq!(sim.counter("each.overflows"), 0);
    assert_eq!(kept(&sim), (65_536, 0));
    let cells = |kind| sim.plan.cells().of(kind).len();
    assert_eq!(cells(CellKind::SharedBuckets), 2048);
    assert_eq!(cells(CellKind::Overflow), 683);
}

#[test]
fn the_seed_is_drawn_once_for_all_workers() {
    let mut sim = Sim::new(2, plan(PER_CLIENT));
    sim.request(0, &[("id", "a")]);
    let seed = sim.host.cell(SeedId);
    assert!(seed.is_some());
    sim.request(1, &[("id", "a")]);
    assert_eq!(sim.host.cell(SeedId), seed);
}

/// Faults are drawn by a generator whose numbers can be seen; the seed is not.
#[test]
fn the_seed_is_a_secret_and_no_draw() {
    let mut sim = Sim::new(1, plan(PER_CLIENT));
    sim.host.random.extend([3, 4]);
    sim.host.secrets.extend([1, 2]);
    sim.request(0, &[("id", "a")]);
    assert_eq!(sim.host.cell(SeedId), Some([1, 2]));
    assert_eq!(sim.host.random.len(), 2);
}
