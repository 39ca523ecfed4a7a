//! The conditions of a policy, and the nested values of dynamic metadata that they
//! read.

use std::collections::BTreeSet;

use btp_policy::Position;
use btp_policy::spec::{Capability, Selector, Spec};

/// A condition on requests.
#[derive(Clone, Debug)]
pub(crate) struct Placed<'a> {
    pub(crate) capability: Capability,
    /// It is asked behind the router, for each try.
    pub(crate) is_behind: bool,
    /// Its field, below `spec`.
    pub(crate) path: String,
    pub(crate) selector: &'a Selector,
}

/// All conditions of a spec.
pub(crate) fn selectors(spec: &Spec) -> Vec<Placed<'_>> {
    let mut found = Found(Vec::new());
    if let Some(fault) = &spec.fault_injection {
        let is_behind = fault.position == Position::Upstream;
        let capability = Capability::FaultInjection;
        found.add(
            capability,
            is_behind,
            &fault.matches,
            "faultInjection.match",
        );
    }
    for (index, rule) in spec.response_override.iter().enumerate() {
        let path = format!("responseOverride[{index}].match.requests");
        let capability = Capability::ResponseOverride;
        found.add(capability, false, &rule.matching.requests, &path);
    }
    let local = spec.rate_limit.as_ref().and_then(|it| it.local.as_ref());
    if let Some(local) = local.filter(|it| !it.disabled) {
        let capability = Capability::RateLimit;
        found.add(capability, false, &local.exempt, "rateLimit.local.exempt");
        found.0.extend(local.rules.iter().map(|rule| Placed {
            capability,
            is_behind: false,
            path: format!("rateLimit.local.rules[{}].clientSelectors", rule.index),
            selector: &rule.selector,
        }));
    }
    if let Some(buffer) = &spec.request_buffer {
        for (index, rule) in buffer.rules.iter().enumerate() {
            let path = format!("requestBuffer.rules[{index}].match");
            found.add(Capability::RequestBuffer, false, &rule.matches, &path);
        }
    }
    found.0
}

struct Found<'a>(Vec<Placed<'a>>);

impl<'a> Found<'a> {
    fn add(
        &mut self,
        capability: Capability,
        is_behind: bool,
        selectors: &'a [Selector],
        path: &str,
    ) {
        let all = selectors.iter().enumerate();
        self.0.extend(all.map(|(index, selector)| Placed {
            capability,
            is_behind,
            path: format!("{path}[{index}]"),
            selector,
        }));
    }
}

/// A value of dynamic metadata that is nested: a dynamic module is shown what stands
/// one key deep in its namespace, and no more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NestedPath {
    /// The namespace, then one key for each level.
    path: Vec<String>,
}

/// What stands between the parts of a path, in the operator and in the key.
const BETWEEN: char = ':';

impl NestedPath {
    /// Those that a condition reads.
    pub(crate) fn of(selector: &Selector) -> impl Iterator<Item = Self> {
        let paths = selector.metadata.iter().map(|it| &it.path);
        let nested = paths.filter(|path| path.len() > 2);
        nested.map(|path| Self { path: path.clone() })
    }

    /// The part of it that Envoy's operator cannot say, if there is one.
    pub(crate) fn unsayable(&self) -> Option<&str> {
        let is_odd = |part: &&String| part.contains([BETWEEN, ')', '\n', '\r']);
        self.path.iter().find(is_odd).map(String::as_str)
    }

    /// The key of the filter state in which the module looks for it.
    pub(crate) fn key(&self) -> String {
        format!("btp.metadata.{}", self.joined())
    }

    /// Envoy's operator for it.
    pub(crate) fn operator(&self) -> String {
        format!("%DYNAMIC_METADATA({})%", self.joined())
    }

    fn joined(&self) -> String {
        self.path.join(&BETWEEN.to_string())
    }
}

/// The nested values that what an instance of the filter enforces of these specs
/// reads: with these capabilities, in front of the router or behind it.
pub(crate) fn nested_paths<'a>(
    specs: impl Iterator<Item = &'a Spec>,
    has: impl Fn(Capability) -> bool,
    is_behind: bool,
) -> BTreeSet<NestedPath> {
    let all = specs.flat_map(selectors);
    let own = all.filter(|it| has(it.capability) && it.is_behind == is_behind);
    own.flat_map(|it| NestedPath::of(it.selector)).collect()
}
