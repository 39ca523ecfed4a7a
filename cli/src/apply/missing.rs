//! A target that is nowhere in a configuration: why, and which name may have been meant.

mod selected;

use std::fmt;

use btp_policy::Code;
use btp_policy::path::FieldPath;
use btp_policy::policy::{Target, TargetKind};
use btp_policy::read::nearest;

pub(crate) use selected::{NothingSelected, SkippedNamespace};

/// A target that is not in the configuration.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) policy: usize,
    /// Its path, such as `spec.targetRefs[0]`.
    pub(crate) path: FieldPath,
    pub(crate) reason: TargetNotFound,
}

/// Why a target is not found. Prints as a predicate whose subject is the target.
#[derive(Debug)]
pub(crate) enum TargetNotFound {
    /// What a selector looks for.
    Selected(NothingSelected),
    /// A Gateway, or a listener of one.
    Listener {
        target: Target,
        suggestion: Suggestion,
        /// Its Gateway is not there either.
        is_gateway: bool,
    },
    /// A ListenerSet, or a listener of one.
    ListenerSet {
        target: Target,
        suggestion: Suggestion,
    },
    /// A route of connections or datagrams.
    L4Route {
        target: Target,
        suggestion: Suggestion,
    },
    Route {
        target: Target,
        suggestion: Suggestion,
    },
    /// A Service, which no cluster is.
    Service {
        target: Target,
        suggestion: Suggestion,
    },
}

/// What may have been meant. Prints as the end of a sentence.
#[derive(Debug)]
pub(crate) enum Suggestion {
    /// It is there, in this namespace: that of the Gateway of its listener.
    Namespace(String),
    /// A route of this bare name is there, which lies in this namespace.
    BareRoute { name: String, namespace: String },
    /// This name is close.
    Near(String),
    /// These are all names, sorted.
    Known(Vec<String>),
}

impl Suggestion {
    pub(crate) fn of(wanted: &str, mut known: Vec<String>) -> Self {
        known.sort();
        known.dedup();
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        match nearest(wanted, &names) {
            Some(near) => Self::Near(near.to_owned()),
            None => Self::Known(known),
        }
    }
}

/// What metadata says of an object.
fn resource(target: &Target) -> String {
    let Target {
        kind,
        object,
        section,
    } = target;
    let section = section.as_ref().map(|it| format!(", sectionName: {it}"));
    format!(
        "{{kind: {}, namespace: {}, name: {}{}}}",
        kind.as_str(),
        object.namespace,
        object.name,
        section.unwrap_or_default()
    )
}

impl TargetNotFound {
    /// What kind of mistake it is.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Selected(_) => Code::LabelsNotFound,
            Self::Listener { .. }
            | Self::ListenerSet { .. }
            | Self::L4Route { .. }
            | Self::Route { .. }
            | Self::Service { .. } => Code::TargetNotFound,
        }
    }
}

impl fmt::Display for TargetNotFound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TargetNotFound: ")?;
        match self {
            Self::Selected(reason) => reason.fmt(formatter),
            Self::Listener {
                target,
                suggestion,
                is_gateway,
            } => {
                let what = "is not among the listeners there";
                write!(formatter, "{target} {what}{suggestion}")?;
                if *is_gateway {
                    let name = &target.object;
                    write!(
                        formatter,
                        "; if this whole Envoy is that Gateway, give --gateway {name}"
                    )?;
                }
                Ok(())
            }
            Self::Service { target, suggestion } => {
                let service = &target.object;
                write!(
                    formatter,
                    "{target} is not among the clusters there{suggestion} (a cluster belongs to \
                     it if its name is {service}, or its metadata has \
                     filter_metadata.btp.backends: [{service}])"
                )
            }
            Self::ListenerSet { target, suggestion } => write!(
                formatter,
                "{target} is not among the ListenerSets there{suggestion}; a listener or filter \
                 chain belongs to a set if its metadata.filter_metadata.envoy-gateway.resources \
                 contains {}",
                resource(target)
            ),
            Self::L4Route { target, suggestion } => {
                let (what, place) = match target.kind {
                    TargetKind::UdpRoute => ("udp_proxy listeners", "listener"),
                    _ => ("tcp_proxy filter chains", "filter chain"),
                };
                write!(
                    formatter,
                    "{target} is not among the {what} there{suggestion}; a {place} is the route \
                     of its own name, or the one in its \
                     metadata.filter_metadata.envoy-gateway.resources: {}",
                    resource(target)
                )
            }
            Self::Route { target, suggestion } => {
                write!(
                    formatter,
                    "{target} is not among the routes there{suggestion}"
                )?;
                if let Suggestion::BareRoute { name, namespace } = suggestion {
                    let wanted = &target.object.namespace;
                    write!(
                        formatter,
                        ": name the route {wanted}/{name}, give --gateway {wanted}/NAME, or write \
                         metadata.namespace: {namespace}"
                    )?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Suggestion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Names that are shown.
        const SHOWN: usize = 8;
        match self {
            Self::Namespace(namespace) => write!(
                formatter,
                "; it is in its Gateway's namespace {namespace}: write metadata.namespace: \
                 {namespace}"
            ),
            Self::BareRoute { name, namespace } => write!(
                formatter,
                "; the name {name} without a namespace means its Gateway's namespace {namespace}"
            ),
            Self::Near(name) => write!(formatter, "; did you mean {name:?}?"),
            Self::Known(names) => match names.len() {
                0 => formatter.write_str("; none has a name"),
                1..=SHOWN => write!(formatter, "; there are {}", names.join(", ")),
                count => {
                    let shown = names[..SHOWN].join(", ");
                    write!(formatter, "; there are {shown}, … ({count})")
                }
            },
        }
    }
}
