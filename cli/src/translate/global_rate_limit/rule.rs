//! The rules of a policy, and those that it inherits by a merge, each with its identity.

use btp_policy::Regexes;
use btp_policy::merge;
use btp_policy::native::GlobalRule;
use btp_policy::node::{Node, Value};
use btp_policy::policy::MergeType;
use btp_policy::problem::Problems;
use btp_policy::read::Cursor;
use btp_policy::scalar::ObjectName;
use btp_policy::spec::Selector;

use super::key;
use crate::envoy::tree::{find, text};

/// A rule in force.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    /// What its keys begin with: `r` and its place in its policy, or `p` and that
    /// if it has been added from the policy that this one merges with.
    pub(super) id: String,
    /// What it is known by if all routes have one counter.
    pub(super) shared: Option<String>,
    pub(super) rule: GlobalRule,
    /// Where it is written: the policy, and its place there.
    origin: (ObjectName, usize),
}

impl Rule {
    /// Which requests it counts.
    pub(crate) fn selector(&self) -> &Selector {
        &self.rule.selector
    }

    /// Its conditions, for people.
    pub(crate) fn place(&self) -> String {
        let (policy, index) = &self.origin;
        format!("{policy} (spec.rateLimit.global.rules[{index}].clientSelectors)")
    }

    /// Whether all routes have one counter.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared.is_some()
    }
}

/// A policy and its own `spec`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) policy: &'a ObjectName,
    pub(crate) spec: &'a Node,
}

/// The rules that a policy has in force, merged with another if that is given.
///
/// As in Envoy Gateway a strategic merge adds the other's rules to its own, a JSON
/// merge does not, and a policy without rules has the other's either way.
pub(crate) fn rules(own: Source<'_>, above: Option<(Source<'_>, MergeType)>) -> Vec<Rule> {
    let merged = above.map(|(above, how)| merge::merge(above.spec, own.spec, how));
    if is_local_only(merged.as_ref().unwrap_or(own.spec)) {
        return Vec::new();
    }
    let of_own = rules_of(own, 'r');
    let Some((above, how)) = above else {
        return of_own;
    };
    if of_own.is_empty() {
        return rules_of(above, 'r');
    }
    let mut all = of_own;
    if how == MergeType::Strategic {
        all.extend(rules_of(above, 'p'));
    }
    all
}

/// The rules of a `spec` in which nothing is wrong.
pub(super) fn of_spec(spec: &Node) -> Vec<GlobalRule> {
    let global = find(spec, &["rateLimit", "global"]);
    let read = |global| {
        GlobalRule::read_all(
            Cursor::root(global),
            &Regexes::default(),
            &mut Problems::default(),
        )
    };
    let is_list = |it: &&Node| {
        matches!(
            find(it, &["rules"]).map(|it| &it.value),
            Some(Value::List(_))
        )
    };
    global.filter(is_list).and_then(read).unwrap_or_default()
}

/// Whether `rateLimit.type` says that global limits do not count.
pub(crate) fn is_local_only(spec: &Node) -> bool {
    find(spec, &["rateLimit"]).and_then(|it| text(it, "type")) == Some("Local")
}

fn rules_of(source: Source<'_>, letter: char) -> Vec<Rule> {
    let rules = of_spec(source.spec).into_iter().enumerate();
    rules
        .map(|(index, rule)| {
            let shared = rule.shared.then(|| key::of_shared(source.policy, index));
            // All routes that share it must call it the same.
            let letter = if rule.shared { 'r' } else { letter };
            Rule {
                id: format!("{letter}{index}"),
                shared,
                rule,
                origin: (source.policy.clone(), index),
            }
        })
        .collect()
}
