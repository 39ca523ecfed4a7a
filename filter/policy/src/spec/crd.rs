//! What the CRD refuses: the tables, and rules between fields of `spec`.

use super::schema::SPEC;
use crate::code::Code;
use crate::node::Node;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::schema::shape::*;
use crate::schema::{Profile, check, check_rules};

/// Notes everything for which the CRD would refuse a `spec`.
pub fn check_crd(spec: Cursor<'_>, problems: &mut Problems) {
    check(spec, &Shape::Object(&SPEC), Profile::Crd, problems);
    check_rules(spec, &CRD_ONLY, problems);
}

/// Rules of the CRD that the readers of `policy` and `spec` have as their own.
static CRD_ONLY: Object = object(
    &[],
    &[
        rule(
            Code::ExcludedField,
            "must not remove headers in responseOverride[].response.header: an override drops \
             the original ones",
            |spec| !items(spec, "responseOverride").iter().any(removes_headers),
        ),
        rule(
            Code::ExcludedField,
            "must not have both requestBuffer and httpUpgrade: an upgraded \
             connection cannot be buffered",
            |spec| !(has(spec, "requestBuffer") && has_items(spec, "httpUpgrade")),
        ),
        rule(
            Code::NeedsHttpTargets,
            "must target Gateways, ListenerSets, HTTPRoutes or GRPCRoutes for admissionControl",
            |spec| {
                let http = ["Gateway", "ListenerSet", "HTTPRoute", "GRPCRoute"];
                !has(spec, "admissionControl") || target_kinds(spec).all(|it| http.contains(&it))
            },
        ),
        rule(
            Code::NotExactlyOne,
            "must have either targetRef or targetRefs, or targetSelectors",
            |spec| {
                let one = has(spec, "targetRef") != has(spec, "targetRefs");
                one || has_items(spec, "targetSelectors")
            },
        ),
        rule(
            Code::MergeNeedsRoutes,
            "must target only routes (HTTPRoute, GRPCRoute, TCPRoute, UDPRoute, TLSRoute) \
             for mergeType",
            |spec| {
                let route = |kind: &str| kind.ends_with("Route");
                !has(spec, "mergeType") || target_kinds(spec).all(route)
            },
        ),
        rule(
            Code::UnknownChoice,
            "must not have mergeType Replace",
            |spec| text_in(spec, "mergeType", "") != "Replace",
        ),
        rule(
            Code::WrongConstant,
            "must target objects of the group gateway.networking.k8s.io",
            |spec| {
                let group = "gateway.networking.k8s.io";
                targets(spec).all(|it| text_in(it, "group", group) == group)
            },
        ),
        rule(
            Code::UnknownChoice,
            "must target only the kinds Gateway, ListenerSet, HTTPRoute, GRPCRoute, TCPRoute, \
             UDPRoute and TLSRoute",
            |spec| {
                let refs = items(spec, "targetRefs").iter();
                let mut refs = refs.chain(spec.field("targetRef"));
                refs.all(|it| KINDS.contains(&text_in(it, "kind", "")))
            },
        ),
    ],
);

/// What a policy may target.
const KINDS: [&str; 7] = [
    "Gateway",
    "ListenerSet",
    "HTTPRoute",
    "GRPCRoute",
    "TCPRoute",
    "UDPRoute",
    "TLSRoute",
];

fn targets(spec: &Node) -> impl Iterator<Item = &Node> {
    let refs = items(spec, "targetRefs").iter();
    let selectors = items(spec, "targetSelectors").iter();
    refs.chain(spec.field("targetRef")).chain(selectors)
}

fn target_kinds(spec: &Node) -> impl Iterator<Item = &str> {
    targets(spec).map(|target| text_in(target, "kind", ""))
}

/// The CRD's: an override drops the original headers, so none can be removed.
fn removes_headers(rule: &Node) -> bool {
    rule.field("response")
        .and_then(|it| it.field("header"))
        .is_some_and(|it| has_items(it, "remove"))
}

#[cfg(test)]
mod tests;
