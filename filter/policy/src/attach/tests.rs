//! Which policies apply where.

mod connections;
mod listener_sets;

use super::*;
use crate::PluginConfig;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A policy that names one target, as `kind name section`.
fn policy(name: &str, target: &str, more: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    let mut parts = target.split(' ');
    let (kind, object) = (parts.next().unwrap(), parts.next().unwrap());
    let section = match parts.next() {
        Some(section) => format!(r#","sectionName":"{section}""#),
        None => String::new(),
    };
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}"{more}}},"spec":{{
            "targetRefs":[{{"group":"gateway.networking.k8s.io","kind":"{kind}",
                            "name":"{object}"{section}}}]}}}}"#
    )
}

fn selecting(name: &str, selector: &str) -> String {
    format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{{"targetSelectors":[{selector}]}}}}"#)
}

fn attach(policies: &[String], place: &str) -> Attachments {
    let text = format!(r#"{{"policies":[{}]{place}}}"#, policies.join(","));
    PluginConfig::parse(text.as_bytes()).unwrap().attachments
}

const GATEWAY: &str = r#","gateway":{"name":"eg","listener":"web","labels":{"env":"prod"}}"#;

/// One policy for every level, the least specific first.
fn levels() -> Vec<String> {
    vec![
        r#"{"metadata":{"name":"all"},"spec":{}}"#.to_owned(),
        policy("gw", "Gateway eg", ""),
        policy("listener", "Gateway eg web", ""),
        policy("route", "HTTPRoute r", ""),
        policy("rule", "HTTPRoute r checkout", ""),
    ]
}

#[test]
fn the_most_specific_policy_governs() {
    let attachments = attach(&levels(), GATEWAY);
    assert_eq!(attachments.effective_policy(Some(b"r/checkout")), Some(4));
    assert_eq!(attachments.effective_policy(Some(b"r/other")), Some(3));
    assert_eq!(attachments.effective_policy(Some(b"r")), Some(3));
    assert_eq!(attachments.effective_policy(Some(b"x")), Some(2));
    assert_eq!(attachments.effective_policy(None), Some(2));
    let without_listener = attach(&levels(), r#","gateway":{"name":"eg"}"#);
    assert_eq!(without_listener.fallback(), Some(1));
    let elsewhere = attach(&levels(), r#","gateway":{"name":"other"}"#);
    assert_eq!(elsewhere.fallback(), Some(0));
    assert_eq!(attach(&levels(), "").fallback(), Some(1));
}

#[test]
fn every_form_of_a_route_name_is_understood() {
    let policies = [
        policy("shop/route", "HTTPRoute r", ""),
        policy("shop/rule", "HTTPRoute r 1", ""),
        policy("grpc", "GRPCRoute g", ""),
    ];
    let attachments = attach(&policies, "");
    for (name, wanted) in [
        ("shop/r", Some(0)),
        ("shop/r/1", Some(1)),
        ("shop/r/2", Some(0)),
        ("httproute/shop/r/rule/0/match/0/example_com", Some(0)),
        ("httproute/shop/r/rule/1/match/0/a/b", Some(1)),
        ("grpcroute/shop/r/rule/1/match/0/a", None),
        ("grpcroute/default/g/rule/0/match/0/a", Some(2)),
        ("g", Some(2)),
        ("g/anything", Some(2)),
        ("r", None),
        ("", None),
        ("a/b/c/d/e", None),
    ] {
        assert_eq!(
            attachments.effective_policy(Some(name.as_bytes())),
            wanted,
            "{name}"
        );
    }
    assert_eq!(attachments.effective_policy(Some(b"\xff")), None);
}

#[test]
fn plain_names_mean_the_gateways_namespace() {
    let policies = [policy("shop/p", "HTTPRoute r", "")];
    let attachments = attach(&policies, r#","gateway":{"name":"g","namespace":"shop"}"#);
    assert_eq!(attachments.effective_policy(Some(b"r")), Some(0));
    assert_eq!(attachments.effective_policy(Some(b"r/rule")), Some(0));
}

#[test]
fn metadata_goes_before_the_name() {
    let policies = [
        policy("a", "HTTPRoute named", ""),
        policy("b", "HTTPRoute noted", ""),
        policy("c", "HTTPRoute noted first", ""),
        policy("d", "HTTPRoute noted 7", ""),
    ];
    let attachments = attach(&policies, "");
    let resource = |section| ResourceRef {
        kind: "HTTPRoute",
        namespace: "default",
        name: "noted",
        section,
    };
    let effective_policy = |name: &str, section| {
        let resources = [resource(section)];
        attachments.effective_policy_of(&Route {
            name: name.as_bytes(),
            resources: &resources,
            labels: &[],
        })
    };
    assert_eq!(effective_policy("named", None), Some(1));
    assert_eq!(effective_policy("", Some("first")), Some(2));
    assert_eq!(effective_policy("", Some("other")), Some(1));
    assert_eq!(
        effective_policy("httproute/default/noted/rule/7/match/0/x", Some("z")),
        Some(3)
    );
}

#[test]
fn labels_pick_routes() {
    let policies = [
        selecting(
            "gold",
            r#"{"kind":"HTTPRoute","matchLabels":{"tier":"gold"}}"#,
        ),
        selecting(
            "teams",
            r#"{"kind":"HTTPRoute","matchLabels":{"tier":"gold"},
                "namespaces":{"from":"Selector","selector":{"matchLabels":{"team":"x"}}}}"#,
        ),
        selecting(
            "everywhere",
            r#"{"kind":"HTTPRoute","matchLabels":{"tier":"tin"},"namespaces":{"from":"All"}}"#,
        ),
        policy("named", "HTTPRoute r", ""),
    ];
    let place = r#","namespaces":[{"name":"team-x","labels":{"team":"x"}}]"#;
    let attachments = attach(&policies, place);
    assert!(attachments.needs_labels());
    let effective_policy = |name: &str, tier| {
        attachments.effective_policy_of(&Route {
            name: name.as_bytes(),
            labels: &[("tier", tier)],
            resources: &[],
        })
    };
    assert_eq!(effective_policy("other", "gold"), Some(0));
    assert_eq!(effective_policy("team-x/other", "gold"), Some(1));
    assert_eq!(effective_policy("team-y/other", "gold"), None);
    assert_eq!(effective_policy("team-y/other", "tin"), Some(2));
    // Of two policies for one route the first by name wins.
    assert_eq!(effective_policy("r", "gold"), Some(0));
    assert_eq!(effective_policy("r", "none"), Some(3));
}

#[test]
fn labels_pick_gateways() {
    let prod = selecting("prod", r#"{"kind":"Gateway","matchLabels":{"env":"prod"}}"#);
    let test = selecting("test", r#"{"kind":"Gateway","matchLabels":{"env":"test"}}"#);
    let attachments = attach(&[test, prod], GATEWAY);
    assert_eq!(attachments.fallback(), Some(1));
}

#[test]
fn how_old_a_policy_is_does_not_depend_on_the_zone_its_time_is_written_in() {
    let created = |time| format!(r#","creationTimestamp":"{time}""#);
    let policies = [
        policy("a", "HTTPRoute r", &created("2025-01-01T12:00:00Z")),
        policy("b", "HTTPRoute r", &created("2025-01-01T12:30:00+01:00")),
    ];
    assert_eq!(attach(&policies, "").effective_policy(Some(b"r")), Some(1));
}

#[test]
fn the_older_of_two_policies_wins() {
    let created = |time| format!(r#","creationTimestamp":"{time}""#);
    let policies = [
        policy("a", "HTTPRoute r", &created("2025-01-02T00:00:00Z")),
        policy("b", "HTTPRoute r", &created("2025-01-01T00:00:00Z")),
    ];
    let attachments = attach(&policies, "");
    assert_eq!(attachments.effective_policy(Some(b"r")), Some(1));
    let lines: Vec<_> = attachments
        .statuses()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        lines,
        [
            "default/a: Accepted=False (Conflicted): HTTPRoute default/r: default/b already \
             targets it",
            "default/b: Accepted: HTTPRoute default/r",
        ]
    );
}

#[test]
fn every_policy_is_told_what_became_of_it() {
    let mut policies = levels();
    policies.push(policy("tcp", "TCPRoute t", ""));
    policies.push(policy("far", "Gateway other", ""));
    policies.push(policy("off/p", "HTTPRoute r", ""));
    let place = format!(r#"{GATEWAY},"namespaces":[{{"name":"off","disabled":true}}]"#);
    let attachments = attach(&policies, &place);
    let lines: Vec<_> = attachments
        .statuses()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        lines,
        [
            "default/all: Accepted: everything; Overridden: everywhere by default/listener",
            "default/gw: Accepted: Gateway default/eg; \
             Overridden: everywhere by default/listener",
            "default/listener: Accepted: Gateway default/eg (section web); \
             Overridden: on its routes by default/route, default/rule",
            "default/route: Accepted: HTTPRoute default/r; \
             Overridden: in default/r rule checkout by default/rule",
            "default/rule: Accepted: HTTPRoute default/r (section checkout)",
            "default/tcp: Accepted: TCPRoute default/t (not HTTP: not for the filter)",
            "default/far: Accepted=False (TargetNotFound): Gateway default/other: this instance \
             serves Gateway default/eg",
            "off/p: Accepted=False (Disabled): namespace off is disabled by the administrator",
        ]
    );
}

/// Unlike in Envoy Gateway, where a route on which one rule merges is not among those on
/// which the Gateway's policy is overridden: on the other rule it is.
#[test]
fn a_gateways_policy_is_merged_on_one_rule_and_overridden_on_another() {
    let merges = policy("merges", "HTTPRoute r second", "");
    let merges = merges.replace(r#""spec":{"#, r#""spec":{"mergeType":"StrategicMerge","#);
    let policies = [
        policy("gw", "Gateway eg", ""),
        policy("alone", "HTTPRoute r first", ""),
        merges,
    ];
    let attachments = attach(&policies, GATEWAY);
    let statuses = attachments.statuses().iter();
    let lines: Vec<_> = statuses.map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "default/gw: Accepted: Gateway default/eg; Merged: into default/merges; \
             Overridden: on its routes by default/alone",
            "default/alone: Accepted: HTTPRoute default/r (section first)",
            "default/merges: Accepted: HTTPRoute default/r (section second); \
             Merged: with default/gw",
        ]
    );
    assert_eq!(attachments.effective_policy(Some(b"r/first")), Some(1));
}

#[test]
fn routes_are_asked_for_only_where_they_matter() {
    assert!(!attach(&levels()[..3], GATEWAY).needs_route_name());
    assert!(attach(&levels(), GATEWAY).needs_route_name());
    assert!(!attach(&levels(), GATEWAY).needs_labels());
}

/// A policy of these Services in the namespace `shop`.
fn of_services(name: &str, services: &[&str], more: &str) -> String {
    let targets: Vec<String> = services
        .iter()
        .map(|it| format!(r#"{{"group":"","kind":"Service","name":"{it}"}}"#))
        .collect();
    format!(
        r#"{{"kind":"XBackendTrafficPolicy","metadata":{{"name":"{name}","namespace":"shop"{more}}},
            "spec":{{"targetRefs":[{}],"retryConstraint":{{}}}}}}"#,
        targets.join(",")
    )
}

#[test]
fn a_cluster_is_a_service_by_its_metadata_else_by_its_name() {
    let policies = [of_services("budgets", &["payments", "stock"], "")];
    let attachments = attach(&policies, r#","gateway":{"name":"eg","namespace":"shop"}"#);
    let service = |name: &str, backends: &[&str]| {
        let name = name.as_bytes();
        attachments.service_of(&Cluster { name, backends })
    };
    for (name, wanted) in [
        ("payments", Some(0)),
        ("shop/payments", Some(0)),
        ("shop/stock/80", Some(1)),
        ("shop/stock/http", None),
        ("team/stock", None),
        ("shop/stock/80/x", None),
        ("other", None),
        ("", None),
    ] {
        assert_eq!(service(name, &[]), wanted, "{name}");
    }
    assert_eq!(service("payments", &["shop/stock/80"]), Some(1));
    assert_eq!(service("payments", &["team/payments"]), None);
    // What is no such text says nothing.
    assert_eq!(service("payments", &["payments"]), Some(0));
    assert_eq!(
        attach(&policies, "").service_of(&Cluster::named(b"payments")),
        None
    );
}

#[test]
fn a_policy_of_services_governs_no_route_and_yields_to_an_older_one() {
    let time = |year: u16| format!(r#","creationTimestamp":"{year}-01-01T00:00:00Z""#);
    let policies = [
        of_services("young", &["payments", "stock"], &time(2026)),
        of_services("old", &["payments"], &time(2025)),
    ];
    let attachments = attach(&policies, "");
    assert_eq!(attachments.effective_policy(Some(b"shop/payments")), None);
    let service = |name: &[u8]| {
        let index = attachments.service_of(&Cluster::named(name))?;
        Some(attachments.services()[index].policy)
    };
    assert_eq!(service(b"shop/payments"), Some(1));
    assert_eq!(service(b"shop/stock"), Some(0));
    let reasons = |index: usize| {
        let conditions = attachments.statuses()[index].conditions.iter();
        conditions.map(|it| it.reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons(0), [Reason::Accepted, Reason::Conflicted]);
    assert_eq!(reasons(1), [Reason::Accepted]);
}
