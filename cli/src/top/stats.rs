//! Parses the names of the filter's statistics, in either build.
//!
//! The `.wasm` has no labels: its names are `wasmcustom.btp.<namespace>.<policy>.` and what is
//! counted, with the rule, route or cluster before or within that. A policy's name may have
//! dots and no underscore, what comes behind it has one before its first dot. Envoy appends
//! the labels of the module to the name. Instances among a cluster's filters have the
//! cluster's scope in front.

#[cfg(test)]
mod tests;

use btp_engine::{Family, MetricKind, OTHERS};

use crate::envoy::plugin::Build;

const WASM: &str = "wasmcustom.btp.";
const MODULE: &str = "dynamicmodulescustom.btp.";

/// In the names of what is counted only to look for faults.
const DEBUG: &str = "debug_";

/// Families by what they begin with, and whose they are.
const PREFIXES: [(&str, Capability); 8] = [
    ("rate_limit", Capability::RateLimit),
    ("fault_", Capability::FaultInjection),
    ("request_buffer_", Capability::RequestBuffer),
    ("response", Capability::ResponseOverride),
    ("request_values_", Capability::ResponseOverride),
    ("replacement_bodies_", Capability::ResponseOverride),
    ("redirects_", Capability::ResponseOverride),
    ("retry_budget_", Capability::RetryConstraint),
];

/// What a statistic is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stat {
    /// A policy, or a part of one.
    Policy(Series),
    /// The whole process; the name behind `btp.`.
    Process(Build, String),
}

/// A number of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Series {
    pub(super) build: Build,
    pub(super) owner: Owner,
    /// The family, without the capability if rules count it; a class comes behind it.
    pub(super) what: String,
    /// Whether it is for those who look for faults.
    pub(super) is_debug: bool,
}

/// The part of a policy that counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) namespace: String,
    pub(super) policy: String,
    pub(super) capability: Capability,
    pub(super) part: Part,
}

/// What of a policy counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Whole,
    Rule(String),
    Route(String),
    Cluster(String),
}

/// What a policy does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Capability {
    RateLimit,
    FaultInjection,
    RequestBuffer,
    ResponseOverride,
    RetryConstraint,
    /// One that this release does not know.
    Other(String),
}

impl Capability {
    /// The field of a policy.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::RateLimit => "rateLimit",
            Self::FaultInjection => "faultInjection",
            Self::RequestBuffer => "requestBuffer",
            Self::ResponseOverride => "responseOverride",
            Self::RetryConstraint => "retryConstraint",
            Self::Other(name) => name,
        }
    }

    /// That of a family that a policy counts as a whole.
    fn of(family: &str) -> Self {
        Self::known(family).unwrap_or_else(|| Self::Other("other".to_owned()))
    }

    /// The one that families of rules begin with.
    fn of_rules(name: &str) -> Self {
        Self::known(name).unwrap_or_else(|| Self::Other(camel_case(name)))
    }

    fn known(family: &str) -> Option<Self> {
        let found = PREFIXES.iter().find(|(it, _)| family.starts_with(it));
        found.map(|(_, capability)| capability.clone())
    }
}

impl Stat {
    /// What a name of Envoy's says; `None` if it is not the filter's.
    pub(super) fn parse(name: &str) -> Option<Self> {
        if let Some(rest) = behind(name, WASM) {
            dotted(rest)
        } else {
            labelled(behind(name, MODULE)?)
        }
    }
}

/// Whether a number is one of now, and not a sum since the start.
pub(super) fn is_gauge(what: &str) -> bool {
    let is_it = |family: &&Family| {
        let of_rule = family.name.split_once('.');
        family.name == what || of_rule.is_some_and(|(_, it)| it == what)
    };
    let family = Family::ALL.iter().find(is_it);
    family.is_some_and(|it| it.kind == MetricKind::Gauge)
}

/// What comes behind a prefix, before which there may be a scope.
fn behind<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    if let Some(rest) = name.strip_prefix(prefix) {
        return Some(rest);
    }
    let scoped = ["http.", "cluster."].iter().any(|it| name.starts_with(it));
    let (_, rest) = name.split_once(&format!(".{prefix}"))?;
    scoped.then_some(rest)
}

/// A name of the `.wasm`, behind `btp.`.
fn dotted(rest: &str) -> Option<Stat> {
    // What the process counts begins with a word that no namespace can be.
    let is_namespace = |it: &str| it == OTHERS || !it.contains('_');
    let Some((namespace, named)) = rest.split_once('.').filter(|(it, _)| is_namespace(it)) else {
        return process(Build::Wasm, rest);
    };
    let (policy, tail) = policy_and_tail(named)?;
    for (label, part) in [
        ("btp_route.", Part::Route as fn(String) -> Part),
        ("btp_cluster.", Part::Cluster),
    ] {
        if let Some(named) = tail.strip_prefix(label) {
            let (value, family) = named.rsplit_once('.')?;
            let part = part(value.to_owned());
            return series(Build::Wasm, (namespace, policy), part, family);
        }
    }
    let parts: Vec<&str> = tail.splitn(3, '.').collect();
    let owner = (namespace, policy);
    match parts[..] {
        [capability, rule, what] => Some(of_rule(
            Build::Wasm,
            owner,
            capability,
            rule,
            what.to_owned(),
        )),
        _ => series(Build::Wasm, owner, Part::Whole, tail),
    }
}

/// A name of the module with its labels, behind `btp.`.
fn labelled(rest: &str) -> Option<Stat> {
    let Some((family, labels)) = rest.split_once(".btp_namespace.") else {
        return process(Build::Module, rest);
    };
    let (namespace, named) = labels.split_once(".btp_policy.")?;
    let (policy, tail) = policy_and_tail(named).unwrap_or((named, ""));
    let owner = (namespace, policy);
    if let Some(rule) = tail.strip_prefix("btp_rule.") {
        let (capability, what) = family.split_once('.')?;
        let (rule, what) = match rule.split_once(".btp_class.") {
            Some((rule, class)) => (rule, format!("{what}.{class}")),
            None => (rule, what.to_owned()),
        };
        return Some(of_rule(Build::Module, owner, capability, rule, what));
    }
    let part = match tail.strip_prefix("btp_route.") {
        None => Part::Whole,
        // One of the two labels is empty, or both are.
        Some(whose) => match whose.strip_prefix(".btp_cluster.") {
            Some("") => Part::Whole,
            Some(cluster) => Part::Cluster(cluster.to_owned()),
            None => {
                let route = whose.strip_suffix(".btp_cluster.").unwrap_or(whose);
                Part::Route(route.to_owned())
            }
        },
    };
    series(Build::Module, owner, part, family)
}

/// The policy's name, which ends before the first part with an underscore, and that part
/// with what follows.
fn policy_and_tail(named: &str) -> Option<(&str, &str)> {
    let mut end = 0;
    for part in named.split('.') {
        if part.contains('_') {
            let policy = named.get(..end)?.strip_suffix('.')?;
            return Some((policy, named.get(end..)?));
        }
        end += part.len() + 1;
    }
    None
}

fn process(build: Build, name: &str) -> Option<Stat> {
    (!name.is_empty()).then(|| Stat::Process(build, name.to_owned()))
}

fn of_rule(
    build: Build,
    (namespace, policy): (&str, &str),
    capability: &str,
    rule: &str,
    what: String,
) -> Stat {
    let is_debug = what.contains(DEBUG);
    Stat::Policy(Series {
        build,
        owner: Owner {
            namespace: namespace.to_owned(),
            policy: policy.to_owned(),
            capability: Capability::of_rules(capability),
            part: Part::Rule(rule.to_owned()),
        },
        what,
        is_debug,
    })
}

fn series(
    build: Build,
    (namespace, policy): (&str, &str),
    part: Part,
    family: &str,
) -> Option<Stat> {
    let is_debug = family.contains(DEBUG);
    (!family.is_empty()).then(|| {
        Stat::Policy(Series {
            build,
            owner: Owner {
                namespace: namespace.to_owned(),
                policy: policy.to_owned(),
                capability: Capability::of(family),
                part,
            },
            what: family.to_owned(),
            is_debug,
        })
    })
}

/// As the fields of a policy are written.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        out.extend(letters.next().map(|it| it.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    out
}
