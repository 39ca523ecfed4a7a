//! The Envoy route that a request matched, and the objects that its name may refer to.

use crate::policy::TargetKind;

/// An Envoy route.
#[derive(Clone, Copy, Debug, Default)]
pub struct Route<'a> {
    /// Its name; may be empty.
    pub name: &'a [u8],
    /// `filter_metadata["envoy-gateway"].resources` of the route.
    pub resources: &'a [ResourceRef<'a>],
    /// `filter_metadata["btp"].labels` of the route.
    pub labels: &'a [(&'a str, &'a str)],
}

/// An object that an Envoy route was made from, as Envoy Gateway notes it in
/// the route's metadata.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceRef<'a> {
    /// Its kind, such as `HTTPRoute`.
    pub kind: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The rule of it.
    pub section: Option<&'a str>,
}

impl<'a> ResourceRef<'a> {
    /// Reads `Kind/namespace/name` or `Kind/namespace/name/section`, the form for hosts
    /// that read no nested metadata; `None` if it is neither.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(4, '/');
        Some(Self {
            kind: parts.next()?,
            namespace: parts.next()?,
            name: parts.next()?,
            section: parts.next().filter(|section| !section.is_empty()),
        })
    }
}

impl<'a> Route<'a> {
    /// A route of which only the name is known.
    #[must_use]
    pub fn named(name: &'a [u8]) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// The value of a label.
    pub(super) fn label(&self, key: &str) -> Option<&'a str> {
        let found = self.labels.iter().find(|(other, _)| *other == key);
        found.map(|(_, value)| *value)
    }
}

/// One thing that a route's name may mean.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RouteNameInterpretation<'a> {
    pub(super) kinds: &'static [TargetKind],
    /// `namespace/name`.
    pub(super) object: String,
    pub(super) section: Option<&'a str>,
    /// It holds only if a policy names the object: labels do not tell
    /// whether there is such a one.
    pub(super) is_guess: bool,
}

/// The object that a route is made of, as its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedObject<'a> {
    /// Its kind; an `HTTPRoute` where the name does not say.
    pub kind: TargetKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The rule of it: its name, or its number.
    pub section: Option<&'a str>,
}

/// What the name of a route means: the first object that is a target, as `namespace/name`,
/// and else the likeliest. `None`: it has no form that is known.
#[must_use]
pub fn named_object<'a>(
    name: &'a [u8],
    default_namespace: &str,
    is_target: impl Fn(&str) -> bool,
) -> Option<NamedObject<'a>> {
    let mut all = interpretations(name, default_namespace);
    let place = all.iter().position(|it| is_target(&it.object)).unwrap_or(0);
    let meant = (place < all.len()).then(|| all.swap_remove(place))?;
    let (namespace, name) = meant.object.split_once('/')?;
    Some(NamedObject {
        kind: meant.kinds.first().copied()?,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        section: meant.section,
    })
}

const HTTP: &[TargetKind] = &[TargetKind::HttpRoute];
const GRPC: &[TargetKind] = &[TargetKind::GrpcRoute];
pub(super) const EITHER: &[TargetKind] = &[TargetKind::HttpRoute, TargetKind::GrpcRoute];

/// What `name` may mean, the likeliest first: Envoy Gateway's form
/// `httproute/<namespace>/<name>/rule/<index>/match/…`, then `<name>`,
/// `<namespace>/<name>`, `<name>/<section>` and
/// `<namespace>/<name>/<section>`.
pub(super) fn interpretations<'a>(
    name: &'a [u8],
    default_namespace: &str,
) -> Vec<RouteNameInterpretation<'a>> {
    let Ok(name) = std::str::from_utf8(name) else {
        return Vec::new();
    };
    let parts: Vec<&str> = name.splitn(6, '/').collect();
    let interpretation = |kinds, namespace: &str, object: &str, section| RouteNameInterpretation {
        kinds,
        object: format!("{namespace}/{object}"),
        section,
        is_guess: false,
    };
    match parts.as_slice() {
        ["httproute", namespace, object, "rule", index, ..] => {
            vec![interpretation(HTTP, namespace, object, Some(*index))]
        }
        ["grpcroute", namespace, object, "rule", index, ..] => {
            vec![interpretation(GRPC, namespace, object, Some(*index))]
        }
        [object] => vec![interpretation(EITHER, default_namespace, object, None)],
        [first, second] => vec![
            interpretation(EITHER, first, second, None),
            RouteNameInterpretation {
                is_guess: true,
                ..interpretation(EITHER, default_namespace, first, Some(*second))
            },
        ],
        [namespace, object, section] => {
            vec![interpretation(EITHER, namespace, object, Some(*section))]
        }
        _ => Vec::new(),
    }
}

/// The index of the rule in a name of Envoy Gateway's form.
pub(super) fn rule_index(name: &[u8]) -> Option<&str> {
    let mut parts = std::str::from_utf8(name).ok()?.splitn(6, '/');
    let kind = parts.next()?;
    let rule = parts.nth(2)?;
    let is_route = matches!(kind, "httproute" | "grpcroute");
    parts.next().filter(|_| is_route && rule == "rule")
}
