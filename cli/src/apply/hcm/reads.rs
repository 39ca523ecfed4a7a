//! Conditions that read values which other filters may write. An instance in front of those
//! filters sees the client's values, and no metadata at all.

use std::fmt::Display;

use btp_policy::Position;
use btp_policy::node::Node;
use btp_policy::spec::{Capability, Sampling, SamplingKey, Spec};

use crate::apply::selectors::{Placed, selectors};
use crate::envoy::http_filter::{Kind, kind_of};
use crate::envoy::plugin::is_instance;
use crate::envoy::tree::text;

/// A condition that reads headers or metadata.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reads {
    /// Its field, below `spec`.
    pub(super) path: String,
    headers: bool,
    metadata: bool,
}

impl Reads {
    /// Those of what a spec says of one capability in front of the router.
    pub(super) fn of(capability: Capability, spec: &Spec) -> Vec<Self> {
        let own = selectors(spec).into_iter();
        let own = own.filter(|it| it.capability == capability && !it.is_behind);
        let mut found: Vec<Self> = own.filter_map(Self::in_selector).collect();
        if let Some(fault) = &spec.fault_injection
            && capability == Capability::FaultInjection
            && fault.position == Position::Downstream
            && let Sampling::Sticky {
                key: SamplingKey::Header(_),
                ..
            } = fault.sampling
        {
            found.push(Self {
                path: "faultInjection.sampling".to_owned(),
                headers: true,
                metadata: false,
            });
        }
        found
    }

    fn is_written_by(&self, filter: &Node) -> bool {
        match kind_of(filter) {
            Kind::Writes(it) if !is_instance(filter) => {
                (self.headers && it.has_headers()) || (self.metadata && it.has_metadata())
            }
            _ => false,
        }
    }

    fn in_selector(it: Placed<'_>) -> Option<Self> {
        let headers = !it.selector.headers.is_empty();
        let metadata = !it.selector.metadata.is_empty();
        (headers || metadata).then_some(Self {
            path: it.path,
            headers,
            metadata,
        })
    }
}

/// Conditions that do not see what filters behind them write.
pub(super) struct Unseen {
    /// The filters, as a list for people.
    pub(super) writers: String,
    /// The last of them.
    pub(super) last: String,
    /// The first of the conditions, and whose it is.
    pub(super) condition: String,
}

impl Unseen {
    /// Those among these conditions, each with its policy, in front of these
    /// filters.
    pub(super) fn find<'a, N: Display + 'a>(
        all: impl Iterator<Item = (&'a N, &'a Reads)>,
        behind: &[Node],
    ) -> Option<Self> {
        let is_unseen = |(_, reads): &(_, &Reads)| behind.iter().any(|it| reads.is_written_by(it));
        let unseen: Vec<(&N, &Reads)> = all.filter(is_unseen).collect();
        let (policy, first) = unseen.first()?;
        let writers = behind.iter();
        let writers = writers.filter(|it| unseen.iter().any(|(_, reads)| reads.is_written_by(it)));
        let writers: Vec<&Node> = writers.collect();
        Some(Self {
            last: names_of(writers.last().map_or(&[], std::slice::from_ref)),
            writers: names_of(&writers),
            condition: format!("policy {policy} (spec.{})", first.path),
        })
    }
}

/// The names of filters, as a list for people.
pub(super) fn names_of(filters: &[&Node]) -> String {
    let names: Vec<&str> = filters.iter().filter_map(|it| text(it, "name")).collect();
    names.join(", ")
}
