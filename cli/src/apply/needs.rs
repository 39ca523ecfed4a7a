//! What a spec requires of the filter: capabilities, positions, and room for bodies.

use btp_policy::Regexes;
use btp_policy::node::{Node, Value};
use btp_policy::problem::Problems;
use btp_policy::read::Cursor;
use btp_policy::spec::{BufferMode, Capability, RequestBuffer, Retry};

use super::redirects::is_internal_redirect;
use crate::envoy::tree::{find, text};

/// What a spec needs of the filter.
#[derive(Debug)]
pub(crate) struct Needs {
    /// In front of the router.
    pub(crate) capabilities: Vec<Capability>,
    /// Behind it, where every try is seen.
    pub(crate) behind: Vec<Capability>,
    /// The largest body that is buffered before it goes on.
    pub(crate) gathers: Option<BufferedBody>,
    /// The largest body that passes and that Envoy must keep, to send it again.
    pub(crate) resends: Option<BufferedBody>,
}

/// A body that is buffered, here or by Envoy's router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BufferedBody {
    /// How large it may be.
    pub(crate) bytes: u64,
    /// The field, below `spec`, that lets it be so large.
    pub(crate) field: &'static str,
}

impl Needs {
    /// What several specs need together.
    pub(crate) fn union(needs: impl IntoIterator<Item = Self>) -> Self {
        let needs: Vec<Self> = needs.into_iter().collect();
        let all = |of: fn(&Self) -> &Vec<Capability>| -> Vec<Capability> {
            let all = Capability::ALL.iter().map(|(_, it)| *it);
            all.filter(|it| needs.iter().any(|needs| of(needs).contains(it)))
                .collect()
        };
        Self {
            capabilities: all(|needs| &needs.capabilities),
            behind: all(|needs| &needs.behind),
            gathers: needs.iter().filter_map(|needs| needs.gathers).max(),
            resends: needs.iter().filter_map(|needs| needs.resends).max(),
        }
    }

    /// Whether no instance is needed.
    pub(crate) fn is_nothing(&self) -> bool {
        self.capabilities.is_empty() && self.behind.is_empty()
    }

    pub(crate) fn of(spec: &Node) -> Self {
        let is_there = |name: &str| match spec.field(name).map(|node| &node.value) {
            Some(Value::List(rules)) => rules.iter().any(|rule| !is_internal_redirect(rule)),
            Some(_) if name == "rateLimit" => find(spec, &["rateLimit", "local"]).is_some(),
            found => found.is_some(),
        };
        let fault = spec.field("faultInjection");
        let is_behind = fault.and_then(|it| text(it, "position")) == Some("Upstream");
        let retry = spec
            .field("retry")
            .and_then(|it| Retry::read(Cursor::root(it), &mut Problems::default()));
        let named = |(name, capability): &(&str, Capability)| match capability {
            // `retry` by itself is Envoy's, apart from what depends on the method.
            Capability::Retry => {
                let by_method = |it: &Retry| !it.methods.is_empty() || !it.by_method().is_empty();
                (retry.as_ref().is_some_and(by_method) || is_there("retryConstraint"))
                    .then_some(*capability)
            }
            Capability::FaultInjection if is_behind => None,
            _ => is_there(name).then_some(*capability),
        };
        let capabilities: Vec<Capability> = Capability::ALL.iter().filter_map(named).collect();
        let constraint = spec.field("retryConstraint");
        let is_gated = constraint.is_some_and(|it| text(it, "mode") != Some("Reserve"));
        let mut behind = Vec::new();
        behind.extend(is_gated.then_some(Capability::Retry));
        behind.extend(is_behind.then_some(Capability::FaultInjection));
        let buffer = spec.field("requestBuffer");
        let buffer = buffer.and_then(|it| {
            RequestBuffer::read(
                Cursor::root(it),
                &Regexes::default(),
                &mut Problems::default(),
            )
        });
        let gathers = buffer.as_ref().map(|it| it.mode == BufferMode::Buffer);
        let largest = buffer.map(|it| BufferedBody {
            bytes: it.largest().get(),
            field: match it.largest() > it.limit {
                true => "requestBuffer.rules",
                false => "requestBuffer.limit",
            },
        });
        let is_retried = retry.is_some_and(|it| it.num_retries > 0);
        Self {
            capabilities,
            behind,
            gathers: largest.filter(|_| gathers == Some(true)),
            resends: largest.filter(|_| gathers == Some(false) && is_retried),
        }
    }
}
