//! Why a selector finds nothing: no object has its labels, or objects with them are in a
//! namespace that it does not include.

use std::fmt;

use btp_policy::policy::TargetKind;

/// Why a selector finds nothing.
#[derive(Debug)]
pub(crate) enum NothingSelected {
    /// Nothing of this kind has these labels.
    Labels(TargetKind),
    /// It looks in its own namespace, and what has the labels is in these.
    OtherNamespace { own: String, found: Vec<String> },
    /// It looks in namespaces by their labels, and not in these.
    Namespaces(Vec<SkippedNamespace>),
}

/// A namespace that a selector does not look in.
#[derive(Debug)]
pub(crate) struct SkippedNamespace {
    pub(crate) name: String,
    /// Whether its labels are known.
    pub(crate) is_known: bool,
}

impl fmt::Display for NothingSelected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Labels(kind) => {
                let (owner, place) = match kind {
                    TargetKind::ListenerSet => ("ListenerSet", "listenerSet.labels"),
                    kind if kind.is_l4_route() => {
                        ("tcp_proxy chain or udp_proxy listener", "labels")
                    }
                    _ => ("route or listener", "labels"),
                };
                let of = match kind {
                    TargetKind::ListenerSet => "its listener's",
                    _ => "its",
                };
                write!(
                    formatter,
                    "nothing has these labels; labels of a {owner} are read from {of} \
                     metadata.filter_metadata.btp.{place}"
                )
            }
            Self::OtherNamespace { own, found } => write!(
                formatter,
                "nothing in namespace {own}, the policy's own, has these labels; what has them is \
                 in {}: look there with namespaces: {{from: All}}, or from: Selector",
                found.join(", ")
            ),
            Self::Namespaces(skipped) => {
                formatter
                    .write_str("what has these labels is in no namespace that is selected: ")?;
                for (index, SkippedNamespace { name, is_known }) in skipped.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    let why = match is_known {
                        true => "has other labels",
                        false => {
                            "is not among the files, so that its labels are not known: give the \
                             document of this Namespace, too"
                        }
                    };
                    write!(formatter, "{separator}{name} {why}")?;
                }
                Ok(())
            }
        }
    }
}
