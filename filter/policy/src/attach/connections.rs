//! Which policies apply to connections and datagrams that Envoy forwards unchanged.
//!
//! As in Envoy Gateway, less specific policies complete a policy there, field by field:
//! those of the rule, the route, the listener, its ListenerSet and the Gateway.

use super::route::RouteNameInterpretation;
use super::{Attachments, ResourceRef, Route};
use crate::policy::TargetKind;

/// The policies of a route of connections or datagrams, the most specific first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// Those of its rule and of itself.
    pub of_route: Vec<usize>,
    /// Those of the listener, of its ListenerSet and of the Gateway; the one without
    /// targets if there is no other.
    pub above: Vec<usize>,
}

impl Levels {
    /// The most specific policy.
    #[must_use]
    pub fn first(&self) -> Option<usize> {
        self.of_route.iter().chain(&self.above).next().copied()
    }
}

impl Attachments {
    /// The policies of what is, or may be, a route of these kinds. If metadata says what
    /// it was made from, its name says nothing.
    #[must_use]
    pub fn levels_of(&self, route: &Route<'_>, kinds: &'static [TargetKind]) -> Levels {
        let kind_of = |it: &ResourceRef<'_>| {
            TargetKind::from_name(it.kind).filter(|kind| kinds.contains(kind))
        };
        let mut of_route = Vec::new();
        let noted: Vec<_> = route
            .resources
            .iter()
            .filter(|it| kind_of(it).is_some())
            .collect();
        for it in &noted {
            let kind: Vec<TargetKind> = kind_of(it).into_iter().collect();
            let object = format!("{}/{}", it.namespace, it.name);
            of_route.extend(self.of_rule(&kind, &object, it.section.into_iter()));
            of_route.extend(self.of_whole(&kind, &object, route));
        }
        if noted.is_empty() {
            for it in interpretations(route.name, kinds, &self.default_namespace) {
                let named = self.entries(it.kinds, &it.object).next().is_some();
                if of_route.is_empty() && (named || !it.is_guess) {
                    let section = it.section.into_iter();
                    of_route.extend(self.of_rule(it.kinds, &it.object, section));
                    of_route.extend(self.of_whole(it.kinds, &it.object, route));
                }
            }
        }
        of_route.dedup();
        // The one without targets is for what no other policy governs.
        let is_targeted = |policy: &&usize| of_route.is_empty() || self.is_targeted(**policy);
        let above = self.above.iter().filter(is_targeted);
        let above = above.filter(|it| !of_route.contains(it)).copied().collect();
        Levels { of_route, above }
    }

    fn is_targeted(&self, policy: usize) -> bool {
        self.untargeted != Some(policy)
    }
}

/// What `name` may mean, the likeliest first: Envoy Gateway's form
/// `tcproute/<namespace>/<name>`, with or without `/rule/<index>`, then as of HTTP.
fn interpretations<'a>(
    name: &'a [u8],
    kinds: &'static [TargetKind],
    default_namespace: &str,
) -> Vec<RouteNameInterpretation<'a>> {
    const FORMS: [(&str, &[TargetKind]); 3] = [
        ("tcproute", &[TargetKind::TcpRoute]),
        ("tlsroute", &[TargetKind::TlsRoute]),
        ("udproute", &[TargetKind::UdpRoute]),
    ];
    let parts = std::str::from_utf8(name).unwrap_or_default();
    let parts: Vec<&str> = parts.splitn(6, '/').collect();
    let form = FORMS.iter().find(|(form, _)| parts.first() == Some(form));
    match (form, parts.as_slice()) {
        (Some((_, of_form)), [_, namespace, object, rest @ ..]) => {
            let section = match rest {
                ["rule", index, ..] => Some(*index),
                _ => None,
            };
            let is_of = kinds.iter().any(|kind| of_form.contains(kind));
            let only = RouteNameInterpretation {
                kinds: of_form,
                object: format!("{namespace}/{object}"),
                section,
                is_guess: false,
            };
            is_of.then_some(only).into_iter().collect()
        }
        _ => {
            let mut found = super::route::interpretations(name, default_namespace);
            found.retain(|it| it.kinds == super::route::EITHER);
            for it in &mut found {
                it.kinds = kinds;
            }
            found
        }
    }
}
