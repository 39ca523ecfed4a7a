//! Metrics for operators: counters, gauges and histograms in families, told apart by
//! labels.
//!
//! A family, with the names of its labels, is known when a configuration is loaded: some
//! hosts cannot define one later. The engine reads no metric back; decisions depend on
//! cells and accounts ([`crate::SharedState`]).

pub mod families;

use std::fmt;
use std::sync::Arc;

use btp_policy::scalar::ObjectName;

/// Numbers of the whole process.
pub trait Metrics {
    /// Adds to a counter.
    fn add(&self, counter: CounterId, amount: u64);
}

/// Names a counter of one plan: an index into `Plan::counters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CounterId(pub u32);

/// Names a gauge of one plan: an index into `Plan::gauges`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GaugeId(pub u32);

/// Names a histogram of one plan: an index into `Plan::histograms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HistogramId(pub u32);

/// Numbers of one kind and meaning, one for each combination of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Family {
    /// What they are to those who look.
    pub kind: MetricKind,
    /// Words with underscores between them. Of what a capability counts rule by
    /// rule, the capability comes first, and a dot.
    pub name: &'static str,
    /// Their labels.
    pub labels: &'static [Label],
    /// What it tells, for the reference.
    #[cfg(feature = "help")]
    pub help: &'static str,
}

/// What a number is to those who look at it from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MetricKind {
    /// It only goes up; an administrator may set it to zero.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How often there was a value in each range.
    Histogram,
}

/// What tells the numbers of a family apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// The policy's namespace.
    Namespace,
    /// The policy.
    Policy,
    /// A rule of the policy: its name, or one made of its conditions.
    Rule,
    /// A class of a rule's requests.
    Class,
    /// A route with a retry budget of its own.
    Route,
    /// A cluster, or Service, with a retry budget of its own.
    Cluster,
}

/// Values of labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels {
    /// The policy's namespace.
    pub namespace: String,
    /// The policy's name.
    pub policy: String,
    /// What tells numbers of the policy apart, if anything does.
    pub part: Option<(Label, String)>,
    /// The class, of numbers that a rule has for each.
    pub class: Option<String>,
}

/// A number of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// What it counts.
    pub family: Family,
    /// Whose it is.
    pub labels: Arc<Labels>,
}

impl Label {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespace => "btp_namespace",
            Self::Policy => "btp_policy",
            Self::Rule => "btp_rule",
            Self::Class => "btp_class",
            Self::Route => "btp_route",
            Self::Cluster => "btp_cluster",
        }
    }
}

/// The namespace of those who have no series of their own. No namespace is called so.
pub const OTHERS: &str = "_others";

impl Labels {
    /// Those of a policy.
    #[must_use]
    pub fn of_policy(policy: &ObjectName) -> Self {
        Self {
            namespace: policy.namespace.clone(),
            policy: policy.name.clone(),
            part: None,
            class: None,
        }
    }

    /// Those of a rule of a policy.
    #[must_use]
    pub fn of_rule(policy: &ObjectName, rule: String) -> Self {
        Self {
            part: Some((Label::Rule, rule)),
            ..Self::of_policy(policy)
        }
    }

    /// The same for all who have no series of their own.
    pub(crate) fn of_others(&self) -> Self {
        let others = || "others".to_owned();
        Self {
            namespace: OTHERS.to_owned(),
            policy: others(),
            part: self.part.as_ref().map(|(label, _)| (*label, others())),
            class: self.class.as_ref().map(|_| others()),
        }
    }

    /// The value of a label; empty if there is none.
    #[must_use]
    pub fn value(&self, label: Label) -> &str {
        match (label, &self.part) {
            (Label::Namespace, _) => &self.namespace,
            (Label::Policy, _) => &self.policy,
            (Label::Class, _) => self.class.as_deref().unwrap_or_default(),
            (_, Some((known, value))) if *known == label => value,
            _ => "",
        }
    }

    /// One name from these labels and a family's name, for hosts that have no
    /// labels.
    #[must_use]
    pub fn dotted(&self, name: &str) -> String {
        let whose = self.dotted_prefix();
        match (&self.part, name.split_once('.')) {
            (Some((Label::Rule, rule)), Some((capability, what))) => {
                let name = format!("{whose}.{capability}.{rule}.{what}");
                match &self.class {
                    Some(class) => format!("{name}.{class}"),
                    None => name,
                }
            }
            _ => format!("{whose}.{name}"),
        }
    }

    /// What the names begin with. The policy's name may have dots in it but never an
    /// underscore, and what comes after it begins with a word that has one: so it is
    /// clear where the policy's name ends.
    #[must_use]
    pub fn dotted_prefix(&self) -> String {
        let Self {
            namespace, policy, ..
        } = self;
        match &self.part {
            Some((label @ (Label::Route | Label::Cluster), part)) => {
                format!("btp.{namespace}.{policy}.{}.{part}", label.name())
            }
            _ => format!("btp.{namespace}.{policy}"),
        }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.labels.dotted(self.family.name))
    }
}
