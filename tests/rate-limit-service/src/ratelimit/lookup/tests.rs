//! The cases of the README's examples, in another shop.

use super::super::file;
use super::*;
use crate::rls::{RateLimitOverride, Unit};

fn descriptor(entries: &[(&str, &str)]) -> RateLimitDescriptor {
    let entry = |(key, value): &(&str, &str)| Entry {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    RateLimitDescriptor {
        entries: entries.iter().map(entry).collect(),
        ..RateLimitDescriptor::default()
    }
}

/// A descriptor's entries, and the number of its limit.
type Case<'a> = (&'a [(&'a str, &'a str)], Option<u32>);

fn assert_limits(text: &str, cases: &[Case<'_>]) {
    let config = file::read(text).unwrap();
    for (entries, wanted) in cases {
        let limit = config.limit("shop", &descriptor(entries)).unwrap();
        let found = limit.map(|it| it.requests_per_unit);
        assert_eq!(found, *wanted, "{entries:?}");
    }
}

#[test]
fn named_values_have_their_own_limit_and_others_none() {
    let text = "
domain: shop
descriptors:
- {key: till, value: north, rate_limit: {unit: second, requests_per_unit: 40}}
- {key: till, value: south, rate_limit: {unit: second, requests_per_unit: 41}}
";
    assert_limits(
        text,
        &[
            (&[("till", "north")], Some(40)),
            (&[("till", "south")], Some(41)),
            (&[("till", "east")], None),
            (&[("till", "North")], None),
            (&[("till", "")], None),
            (&[("door", "north")], None),
            (&[], None),
        ],
    );
}

#[test]
fn nested_limits_and_one_for_the_inner_key_alone() {
    let text = "
domain: shop
descriptors:
- key: letter
  value: offer
  descriptors:
  - {key: customer, rate_limit: {unit: week, requests_per_unit: 2}}
- {key: customer, rate_limit: {unit: week, requests_per_unit: 30}}
";
    assert_limits(
        text,
        &[
            (&[("letter", "offer"), ("customer", "ann")], Some(2)),
            (&[("letter", "bill"), ("customer", "ann")], None),
            (&[("customer", "ann")], Some(30)),
            (&[("letter", "offer")], None),
            (&[("customer", "ann"), ("letter", "offer")], None),
        ],
    );
}

#[test]
fn a_key_alone_is_the_default_beside_named_values() {
    let text = "
domain: shop
descriptors:
- {key: supplier, rate_limit: {unit: minute, requests_per_unit: 6}}
- {key: supplier, value: 50.0.0.5, rate_limit: {unit: minute, requests_per_unit: 0}}
";
    assert_limits(
        text,
        &[
            (&[("supplier", "50.0.0.5")], Some(0)),
            (&[("supplier", "50.0.0.6")], Some(6)),
            (&[("supplier", "")], Some(6)),
        ],
    );
}

#[test]
fn all_entries_must_lead_to_a_limit() {
    let text = "
domain: shop
descriptors:
- {key: floor, value: first, rate_limit: {unit: hour, requests_per_unit: 12}}
- key: floor
  value: second
  rate_limit: {unit: hour, requests_per_unit: 13}
  descriptors:
  - {key: room, rate_limit: {unit: hour, requests_per_unit: 14}}
";
    assert_limits(
        text,
        &[
            (&[("floor", "first")], Some(12)),
            // One step too many: it has none, though half of it would have.
            (&[("floor", "first"), ("room", "a")], None),
            (&[("floor", "second")], Some(13)),
            (&[("floor", "second"), ("room", "a")], Some(14)),
            (&[("floor", "second"), ("lift", "a")], None),
            (&[("floor", "second"), ("room", "a"), ("bed", "b")], None),
        ],
    );
}

#[test]
fn wildcards_come_between_named_values_and_the_key_alone() {
    let text = "
domain: shop
descriptors:
- {key: file, rate_limit: {unit: day, requests_per_unit: 1}}
- {key: file, value: img/*, rate_limit: {unit: day, requests_per_unit: 2}}
- {key: file, value: img/logo*, rate_limit: {unit: day, requests_per_unit: 3}}
- {key: file, value: img/logo, rate_limit: {unit: day, requests_per_unit: 4}}
- key: user
  descriptors:
  - {key: doc, value: a*, rate_limit: {unit: day, requests_per_unit: 5}}
";
    assert_limits(
        text,
        &[
            (&[("file", "img/logo")], Some(4)),
            // The first in the file that matches.
            (&[("file", "img/logo.png")], Some(2)),
            (&[("file", "img/")], Some(2)),
            (&[("file", "img")], Some(1)),
            (&[("user", "u"), ("doc", "a1")], Some(5)),
            (&[("user", "u"), ("doc", "b1")], None),
            (&[("doc", "a1")], None),
        ],
    );
}

#[test]
fn keys_and_values_that_join_to_the_same_name_are_the_same() {
    let text = "
domain: shop
descriptors:
- {key: a, value: b_c, rate_limit: {unit: day, requests_per_unit: 9}}
";
    assert_limits(
        text,
        &[(&[("a", "b_c")], Some(9)), (&[("a_b", "c")], Some(9))],
    );
}

#[test]
fn the_requests_own_limit_comes_first_in_the_files_domain() {
    let text = "
domain: shop
descriptors:
- {key: till, rate_limit: {unit: day, requests_per_unit: 1}, shadow_mode: true}
";
    let config = file::read(text).unwrap();
    for entries in [&[("till", "north")][..], &[("unknown", "x"), ("y", "z")]] {
        let mut descriptor = descriptor(entries);
        descriptor.limit = Some(RateLimitOverride {
            requests_per_unit: 77,
            unit: Unit::Week.into(),
        });
        let limit = config.limit("shop", &descriptor).unwrap().unwrap();
        assert_eq!(limit.requests_per_unit, 77);
        assert_eq!(limit.window.unit(), Unit::Week);
        assert!(!limit.shadow_mode);
        assert_eq!(config.limit("other", &descriptor).unwrap(), None);
        descriptor.limit = Some(RateLimitOverride::default());
        assert!(config.limit("shop", &descriptor).is_err());
    }
    assert_eq!(
        config
            .limit("other", &descriptor(&[("till", "x")]))
            .unwrap(),
        None
    );
}
