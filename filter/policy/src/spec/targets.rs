//! Targets: what a policy is attached to, and how it merges.

pub(crate) mod schema;

use std::fmt;

use crate::code::Code;
use crate::labels::LabelSelector;
use crate::problem::Problems;
use crate::read::{Cursor, Object};
use crate::scalar::{ObjectName, is_dns_subdomain};

/// An object that a policy names, or a section of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What it is.
    pub kind: TargetKind,
    /// Its name, in the policy's namespace.
    pub object: ObjectName,
    /// A rule of a route (by name or index) or a listener of a Gateway or ListenerSet.
    pub section: Option<String>,
}

/// Objects that a policy picks by label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSelector {
    /// What they are.
    pub kind: TargetKind,
    /// Which labels they have.
    pub labels: LabelSelector,
    /// Which namespaces they are in.
    pub namespaces: Namespaces,
}

/// Where a selector looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Namespaces {
    /// In the policy's own namespace.
    #[default]
    Same,
    /// Everywhere.
    All,
    /// In namespaces with these labels.
    Selector(LabelSelector),
}

/// What can be a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the variants are named as the kinds")]
pub enum TargetKind {
    HttpRoute,
    GrpcRoute,
    Gateway,
    ListenerSet,
    TcpRoute,
    UdpRoute,
    TlsRoute,
    /// Of an `XBackendTrafficPolicy` alone.
    Service,
}

/// How a policy merges with its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeType {
    /// Objects deeply; some lists by key.
    Strategic,
    /// Objects deeply; lists are replaced (RFC 7396).
    Json,
}

/// What `spec` says about where the policy applies.
pub(crate) struct Attachment {
    pub(crate) targets: Vec<Target>,
    pub(crate) selectors: Vec<TargetSelector>,
    pub(crate) merge: Option<MergeType>,
}

const GROUP: &str = "gateway.networking.k8s.io";

/// The kind that is in Kubernetes' core group, whose name is empty.
const SERVICE: &str = "Service";

impl TargetKind {
    /// Those that a `BackendTrafficPolicy` may name.
    const NAMES: [(&'static str, Self); 7] = [
        ("HTTPRoute", Self::HttpRoute),
        ("GRPCRoute", Self::GrpcRoute),
        ("Gateway", Self::Gateway),
        ("ListenerSet", Self::ListenerSet),
        ("TCPRoute", Self::TcpRoute),
        ("UDPRoute", Self::UdpRoute),
        ("TLSRoute", Self::TlsRoute),
    ];

    /// The kind's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, kind)| *kind == self);
        found.map_or(SERVICE, |(name, _)| name)
    }

    /// The kind of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let found = Self::NAMES.iter().find(|(other, _)| *other == name);
        found.map(|(_, kind)| *kind)
    }

    /// Whether it is a route of any protocol.
    #[must_use]
    pub fn is_route(self) -> bool {
        !matches!(self, Self::Gateway | Self::ListenerSet | Self::Service)
    }

    /// Whether it is a route of requests, which the filter sees.
    #[must_use]
    pub fn is_http_route(self) -> bool {
        matches!(self, Self::HttpRoute | Self::GrpcRoute)
    }

    /// Whether it is a route of connections or datagrams, which Envoy hands on by itself.
    #[must_use]
    pub fn is_l4_route(self) -> bool {
        matches!(self, Self::TcpRoute | Self::UdpRoute | Self::TlsRoute)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind.as_str(), self.object)?;
        match &self.section {
            Some(section) => write!(formatter, " (section {section})"),
            None => Ok(()),
        }
    }
}

/// Reads the fields of `spec` that say where the policy applies. The fields
/// beside these are read, and checked, by `Spec`.
pub(crate) fn read(
    spec: Cursor<'_>,
    namespace: &str,
    problems: &mut Problems,
) -> Option<Attachment> {
    let object = spec.open_object(&mut Problems::default())?;
    let targets = match (object.get("targetRef"), object.get("targetRefs")) {
        (Some(at), None) => Target::read(at, namespace, problems).map(|target| vec![target]),
        (None, Some(at)) => at.list(1..=usize::MAX, problems, |at, problems| {
            Target::read(at, namespace, problems)
        }),
        (None, None) => Some(Vec::new()),
        (Some(at), Some(_)) => {
            let reason = "must be left out beside targetRefs: list the target there";
            problems.note(&at.path, at.node.mark, Code::ExcludedField, reason);
            None
        }
    };
    let selectors = object.or_default("targetSelectors", problems, |at, problems| {
        at.list(1..=usize::MAX, problems, TargetSelector::read)
    });
    let merge_types = [
        ("StrategicMerge", MergeType::Strategic),
        ("JSONMerge", MergeType::Json),
    ];
    let merge = object.optional("mergeType", problems, |at, problems| {
        at.choice(&merge_types, problems)
    })?;
    let (targets, selectors) = (targets?, selectors?);
    let kinds: Vec<TargetKind> = targets
        .iter()
        .map(|target| target.kind)
        .chain(selectors.iter().map(|selector| selector.kind))
        .collect();
    if let Some(at) = object.get("mergeType")
        && (kinds.is_empty() || !kinds.iter().all(|kind| kind.is_route()))
    {
        at.refuse(
            problems,
            Code::MergeNeedsRoutes,
            "is only allowed in policies that target routes: \
             others have no parent to merge with",
        );
    }
    refuse_admission_control(&object, &kinds, problems);
    Some(Attachment {
        targets,
        selectors,
        merge,
    })
}

/// Reads the `targetRefs` of an `XBackendTrafficPolicy`: Services in its namespace.
pub(crate) fn read_services(
    spec: &Object<'_>,
    namespace: &str,
    problems: &mut Problems,
) -> Option<Vec<Target>> {
    spec.required("targetRefs", problems)?
        .list(1..=16, problems, |at, problems| {
            Target::read_service(at, namespace, problems)
        })
}

fn refuse_admission_control(object: &Object<'_>, kinds: &[TargetKind], problems: &mut Problems) {
    if let Some(at) = object.get("admissionControl")
        && kinds.iter().any(|kind| kind.is_l4_route())
    {
        let reason = "must target Gateways, ListenerSets, HTTPRoutes or GRPCRoutes only";
        problems.note(&at.path, at.node.mark, Code::NeedsHttpTargets, reason);
    }
}

impl Target {
    fn read(at: Cursor<'_>, namespace: &str, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&schema::TARGET_REF, problems)?;
        if let Some(at) = object.required("group", problems) {
            at.choice(&[(GROUP, ())], problems);
        }
        let kind = object
            .required("kind", problems)
            .and_then(|at| at.choice(&TargetKind::NAMES, problems));
        let section = object.optional("sectionName", problems, |at, problems| {
            let section = at.string(problems)?;
            if !is_dns_subdomain(section) {
                at.refuse(
                    problems,
                    Code::MalformedName,
                    "must be a DNS subdomain (RFC 1123)",
                );
                return None;
            }
            Some(section.to_owned())
        })?;
        let name = object
            .required("name", problems)?
            .string_of(1..=253, problems)?;
        Some(Self {
            kind: kind?,
            object: ObjectName {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            },
            section,
        })
    }
}

impl Target {
    fn read_service(at: Cursor<'_>, namespace: &str, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&schema::SERVICE_REF, problems)?;
        if let Some(at) = object.required("group", problems)
            && at.string(problems).is_some_and(|it| !it.is_empty())
        {
            let reason = "must be \"\", Kubernetes' core group, to which Services belong";
            at.refuse(problems, Code::WrongConstant, reason);
        }
        let kind = object
            .required("kind", problems)
            .and_then(|at| at.choice(&[(SERVICE, TargetKind::Service)], problems));
        let name = object
            .required("name", problems)?
            .string_of(1..=253, problems)?;
        Some(Self {
            kind: kind?,
            object: ObjectName {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            },
            section: None,
        })
    }
}

impl TargetSelector {
    fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&schema::TARGET_SELECTOR, problems)?;
        if let Some(at) = object.get("group") {
            at.choice(&[(GROUP, ())], problems);
        }
        let kind = object
            .required("kind", problems)
            .and_then(|at| at.choice(&TargetKind::NAMES, problems));
        let labels = LabelSelector::read(&object, problems);
        let namespaces = object.or("namespaces", Namespaces::Same, problems, Namespaces::read);
        Some(Self {
            kind: kind?,
            labels: labels?,
            namespaces: namespaces?,
        })
    }
}

impl Namespaces {
    fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        #[derive(Clone, Copy)]
        enum From {
            Same,
            All,
            Selector,
        }
        let object = at.object_of(&schema::NAMESPACES, problems)?;
        let choices = [
            ("Same", From::Same),
            ("All", From::All),
            ("Selector", From::Selector),
        ];
        let from = object.or("from", From::Same, problems, |at, problems| {
            at.choice(&choices, problems)
        })?;
        Some(match from {
            From::Same => Self::Same,
            From::All => Self::All,
            From::Selector => {
                let at = object.required("selector", problems)?;
                let object = at.object_of(&schema::LABEL_SELECTOR, problems)?;
                Self::Selector(LabelSelector::read(&object, problems)?)
            }
        })
    }
}
