//! Conditions that read what other filters may write: an instance in front of
//! those sees what the client sent, and no metadata at all.

use std::fmt::Display;

use btp_policy::Position;
use btp_policy::node::Node;
use btp_policy::spec::{Capability, Sampling, SamplingKey, Selector, Spec};

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
    /// Those of what a spec says of one capability.
    pub(super) fn of(capability: Capability, spec: &Spec) -> Vec<Self> {
        match capability {
            Capability::FaultInjection => Self::in_faults(spec),
            Capability::ResponseOverride => Self::in_overrides(spec),
            Capability::RateLimit => Self::in_rates(spec),
            Capability::RequestBuffer => Self::in_sizes(spec),
            Capability::Retry => Vec::new(),
        }
    }

    /// Those of faults that are drawn in front of the router.
    pub(super) fn in_faults(spec: &Spec) -> Vec<Self> {
        let Some(fault) = &spec.fault_injection else {
            return Vec::new();
        };
        if fault.position == Position::Upstream {
            return Vec::new();
        }
        let mut found = Self::in_any(&fault.matches, "faultInjection.match");
        if let Sampling::Sticky {
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

    /// Those of overrides: they are met or not when the request comes.
    pub(super) fn in_overrides(spec: &Spec) -> Vec<Self> {
        let rules = spec.response_override.iter().enumerate();
        let found = rules.flat_map(|(index, rule)| {
            let path = format!("responseOverride[{index}].match.requests");
            Self::in_any(&rule.matching.requests, &path)
        });
        found.collect()
    }

    fn in_rates(spec: &Spec) -> Vec<Self> {
        let local = spec.rate_limit.as_ref().and_then(|it| it.local.as_ref());
        let Some(local) = local.filter(|it| !it.disabled) else {
            return Vec::new();
        };
        let mut found = Self::in_any(&local.exempt, "rateLimit.local.exempt");
        found.extend(local.rules.iter().filter_map(|rule| {
            let path = format!("rateLimit.local.rules[{}].clientSelectors", rule.index);
            Self::in_selector(&rule.selector, path)
        }));
        found
    }

    fn in_sizes(spec: &Spec) -> Vec<Self> {
        let buffer = spec.request_buffer.iter();
        let rules = buffer.flat_map(|it| it.rules.iter().enumerate());
        let found = rules.flat_map(|(index, rule)| {
            Self::in_any(
                &rule.matches,
                &format!("requestBuffer.rules[{index}].match"),
            )
        });
        found.collect()
    }

    fn is_written_by(&self, filter: &Node) -> bool {
        match kind_of(filter) {
            Kind::Writes(it) if !is_instance(filter) => {
                (self.headers && it.has_headers()) || (self.metadata && it.has_metadata())
            }
            _ => false,
        }
    }

    fn in_any(selectors: &[Selector], path: &str) -> Vec<Self> {
        let all = selectors.iter().enumerate();
        all.filter_map(|(index, it)| Self::in_selector(it, format!("{path}[{index}]")))
            .collect()
    }

    fn in_selector(selector: &Selector, path: String) -> Option<Self> {
        let headers = !selector.headers.is_empty();
        let metadata = !selector.metadata.is_empty();
        (headers || metadata).then_some(Self {
            path,
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
