//! The file of envoyproxy/ratelimit: a tree of descriptors.
//!
//! That service stops at its start over a key that it does not know and over two
//! entries that are called the same, so nothing is written but what is needed.

use btp_policy::node::Node;
use btp_policy::spec::Unit;

use super::counter::{Counter, Counters, Part};
use super::service::Domain;
use crate::envoy::json::{list, node, put};
use crate::envoy::text::yaml_out;

const HEAD: &str = "# Written by btp apply: do not edit.\n";

/// A level of the tree.
#[derive(Debug, Default)]
struct Level<'a>(Vec<(&'a Part, Option<&'a Counter>, Level<'a>)>);

/// The file of these counters.
pub(super) fn file(counters: &Counters, domain: &Domain) -> String {
    let mut tree = Level::default();
    for (parts, counter) in counters.iter() {
        tree.add(parts, counter);
    }
    let file = node!({ "domain": (domain.as_str()), "descriptors": (tree.into_node()) });
    HEAD.to_owned() + &yaml_out::write(&file)
}

impl<'a> Level<'a> {
    fn add(&mut self, parts: &'a [Part], counter: &'a Counter) {
        let Some((first, rest)) = parts.split_first() else {
            return;
        };
        let known = self.0.iter().position(|(part, ..)| *part == first);
        let place = known.unwrap_or_else(|| {
            self.0.push((first, None, Level::default()));
            self.0.len() - 1
        });
        let (_, own, below) = &mut self.0[place];
        match rest {
            [] => *own = Some(counter),
            rest => below.add(rest, counter),
        }
    }

    fn into_node(self) -> Node {
        list(self.0.into_iter().map(|(part, counter, below)| {
            let mut entry = node!({ "key": (&part.key) });
            put(&mut entry, "value", part.value.as_ref());
            put(&mut entry, "rate_limit", counter.map(rate_limit));
            let is_shadow = counter.is_some_and(|it| it.shadow_mode);
            put(&mut entry, "shadow_mode", is_shadow.then_some(true));
            let is_inner = !below.0.is_empty();
            put(
                &mut entry,
                "descriptors",
                is_inner.then(|| below.into_node()),
            );
            entry
        }))
    }
}

fn rate_limit(counter: &Counter) -> Node {
    node!({
        "unit": (unit(counter.limit.unit)),
        "requests_per_unit": (counter.limit.requests),
    })
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Second => "second",
        Unit::Minute => "minute",
        Unit::Hour => "hour",
        Unit::Day => "day",
        Unit::Week => "week",
        Unit::Month => "month",
        Unit::Year => "year",
    }
}
