//! A change to a format without a new version breaks one of these tests.

mod in_use;

use std::num::NonZeroU32;

use btp_engine::update::{Acceptance, Acceptances, Behind, Lag, LaggingPlugin};
use btp_engine::{
    Bucket, Buckets, BucketsId, Claims, HeldClaim, HeldCredit, Label, Labels, OverflowCells,
    OverflowId, Owner, Page, PageId, QuotaId, Rate, Registration, Registry, RegistryId, SetMark,
    VmEntry, VmTable,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const PAGE: PageId = PageId { worker: 3, page: 9 };

fn rate() -> impl Strategy<Value = Rate> {
    (
        1..4_u32,
        any::<u32>(),
        prop_oneof![Just(1_000_000_000), any::<u64>()],
    )
        .prop_map(|(tokens, burst, period_ns)| Rate {
            tokens: NonZeroU32::new(tokens).unwrap(),
            burst,
            period_ns,
        })
}

fn buckets() -> impl Strategy<Value = Buckets> {
    let rates = vec(rate(), 1..5);
    let bucket = (any::<u64>(), any::<u64>(), any::<u32>(), 0_usize..6);
    let mark = proptest::option::of((any::<u64>(), 1_u32..));
    (rates, vec(bucket, 0..80), mark).prop_map(|(rates, buckets, mark)| Buckets {
        buckets: buckets
            .into_iter()
            .map(|(key, full_at_ns, full_at_fraction, rate)| Bucket {
                key,
                full_at_ns,
                full_at_fraction,
                rate: rates.get(rate).copied(),
            })
            .collect(),
        mark: mark.map(|(until_ns, number)| SetMark { until_ns, number }),
    })
}

/// Owners only where there are several quotas.
fn claims(is_shared: bool) -> impl Strategy<Value = Claims> {
    let most = if is_shared { u32::MAX.into() } else { u64::MAX };
    let owner = proptest::option::of(1_u32..);
    vec((any::<u64>(), any::<u64>(), owner, 0..=most), 0..40).prop_map(move |claims| {
        let claims = claims.into_iter();
        let claims = claims.map(|(key, worker, owner, amount)| HeldClaim {
            key,
            worker,
            owner: owner
                .filter(|_| is_shared)
                .and_then(NonZeroU32::new)
                .map(Owner),
            amount,
        });
        Claims(claims.collect())
    })
}

fn budget() -> impl Strategy<Value = Labels> {
    let part = (any::<bool>(), "[-_a-zA-Z0-9]{0,20}");
    let part = proptest::option::of(part.prop_map(|(is_route, part)| {
        let label = if is_route {
            Label::Route
        } else {
            Label::Cluster
        };
        (label, part)
    }));
    let names = ("[-a-z0-9]{1,9}", "[-.a-z0-9]{1,20}", part);
    names.prop_map(|(namespace, policy, part)| Labels {
        namespace,
        policy,
        part,
        class: None,
    })
}

fn page() -> impl Strategy<Value = Page> {
    let held = (budget(), any::<u32>(), any::<u32>());
    (1_u64.., vec(held, 0..9)).prop_map(|(owner, held)| {
        let held: Vec<HeldCredit> = held
            .into_iter()
            .map(|(budget, share, floor)| HeldCredit {
                budget,
                share,
                floor,
            })
            .collect();
        Page {
            owner: if held.is_empty() { 0 } else { owner },
            held,
        }
    })
}

/// What is written is read again, and what is cut off or made up does no harm.
fn round_trip<I: Stored>(id: I, cell: &I::Cell, cut: usize) -> Result<(), TestCaseError> {
    let value = id.encode(cell);
    prop_assert_eq!(&id.decode(value.clone()), cell);
    let (kept, _) = value.split_at(cut.min(value.len()));
    let _ = id.decode(kept.to_vec());
    Ok(())
}

proptest! {
    #[test]
    fn a_cell_is_read_as_it_was_written(
        buckets in buckets(),
        (own, shared) in (claims(false), claims(true)),
        page in page(),
        seed in any::<Option<[u64; 2]>>(),
        (base_ns, unit_ns, width) in (any::<u64>(), any::<u64>(), any::<u16>()),
        (rate, converted_ns) in (proptest::option::of(rate()), any::<u64>()),
        counters in vec(any::<u8>(), 0..900),
        workers in vec(any::<(u64, u64)>(), 0..40),
        cut in 0_usize..1_000,
    ) {
        round_trip(BucketsId::Own(0), &buckets, cut)?;
        round_trip(BucketsId::Shared(0), &buckets, cut)?;
        round_trip(QuotaId::Own(0), &own, cut)?;
        round_trip(QuotaId::Shared(0), &shared, cut)?;
        round_trip(PAGE, &page, cut)?;
        round_trip(SeedId, &seed, cut)?;
        let cells = OverflowCells {
            base_ns, unit_ns, width: width.into(), rate, converted_ns, counters,
        };
        round_trip(OverflowId(0), &cells, cut)?;
        let workers = workers.into_iter();
        let workers = workers.map(|(worker, heartbeat_ns)| Registration { worker, heartbeat_ns });
        round_trip(RegistryId, &Registry(workers.collect()), cut)?;
    }

    #[test]
    fn what_vms_say_is_read_as_it_was_written(entries in vec(any::<(u64, u64, u64, bool, bool)>(), 0..40)) {
        let vms = entries.iter().map(|&(id, heartbeat_ns, bytes, ..)| VmEntry { id, heartbeat_ns, bytes });
        let vms = VmTable(vms.collect());
        prop_assert_eq!(VmTable::decode(&vms.encode()), vms);
        let accepted = entries.iter().map(|&(text, plugin, need, is_upstream, is_in_force)| Acceptance {
            text, plugin, is_upstream, need, is_in_force,
        });
        let accepted = Acceptances(accepted.collect());
        prop_assert_eq!(Acceptances::decode(&accepted.encode()), accepted);
        let behind = entries.iter().map(|&(vm, plugin, heartbeat_ns, is_older, _)| LaggingPlugin {
            vm, plugin, lag: if is_older { Lag::Older } else { Lag::NotConfigured }, heartbeat_ns,
        });
        let behind = Behind(behind.collect());
        prop_assert_eq!(Behind::decode(&behind.encode()), behind);
    }

    /// Arbitrary bytes: nothing panics, and nothing is made up from less than a whole
    /// entry.
    #[test]
    fn any_value_can_be_read(value in vec(any::<u8>(), 0..300)) {
        for id in [BucketsId::Own(0), BucketsId::Shared(0)] {
            prop_assert!(id.decode(value.clone()).buckets.len() <= value.len() / 24);
        }
        for id in [QuotaId::Own(0), QuotaId::Shared(0)] {
            prop_assert_eq!(id.decode(value.clone()).0.len(), value.len() / 24);
        }
        prop_assert!(PAGE.decode(value.clone()).held.len() <= value.len() / 12);
        prop_assert_eq!(RegistryId.decode(value.clone()).0.len(), value.len() / 16);
        prop_assert_eq!(SeedId.decode(value.clone()).is_some(), value.len() >= 16);
        let counters = OverflowId(0).decode(value.clone()).counters;
        prop_assert_eq!(counters.len(), value.len().saturating_sub(44));
        prop_assert_eq!(VmTable::decode(&value).0.len(), value.len() / 24);
        prop_assert_eq!(Acceptances::decode(&value).0.len(), value.len() / 32);
        prop_assert_eq!(Behind::decode(&value).0.len(), value.len() / 32);
    }
}

#[test]
fn a_page_is_read_as_far_as_it_goes() {
    let held = |policy: &str, share, floor| HeldCredit {
        budget: Labels {
            namespace: "n".to_owned(),
            policy: policy.to_owned(),
            part: None,
            class: None,
        },
        share,
        floor,
    };
    let value = PAGE.encode(&Page {
        owner: 5,
        held: vec![held("a", 1, 0), held("bc", 0, 2)],
    });
    let first = 8 + 12 + "btp.n.a".len();
    for length in 0..value.len() {
        let read = PAGE.decode(value[..length].to_vec());
        let expected = match length {
            0..8 => (0, 0),
            length if length < first => (5, 0),
            _ => (5, 1),
        };
        assert_eq!((read.owner, read.held.len()), expected, "{length} bytes");
    }
    let lies = [&5_u64.to_le_bytes()[..], &[0xff; 40]].concat();
    assert_eq!(PAGE.decode(lies).held, []);
}

#[test]
fn what_nobody_has_written_is_the_default() {
    assert_eq!(BucketsId::Own(0).decode(Vec::new()), Buckets::default());
    assert_eq!(QuotaId::Own(0).decode(Vec::new()), Claims::default());
    assert_eq!(OverflowId(0).decode(Vec::new()), OverflowCells::default());
    assert_eq!(PAGE.decode(Vec::new()), Page::default());
    assert!(PAGE.encode(&Page::default()).is_empty());
    assert_eq!(SeedId.decode(Vec::new()), None);
}

/// A set of 64 buckets under one rule, as it is moved with each operation: 20 bytes
/// a bucket were needed without rates.
#[test]
fn a_full_set_takes_no_more_than_a_quarter_more_than_without_rates() {
    let bucket = |key| Bucket {
        key,
        full_at_ns: 1,
        full_at_fraction: 1,
        rate: Some(Rate {
            tokens: NonZeroU32::MIN,
            burst: 1,
            period_ns: 1,
        }),
    };
    let cell = Buckets {
        buckets: (1..=64).map(bucket).collect(),
        mark: None,
    };
    let size = BucketsId::Shared(0).encode(&cell).len();
    assert!(size * 4 <= 64 * 20 * 5, "{size} bytes");
}
