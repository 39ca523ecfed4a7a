//! Every kind of condition and limit as Envoy's actions and as what services read,
//! and the names that keep counters apart.

use std::collections::BTreeSet;

use btp_policy::json;
use btp_policy::node::{Node, Value};
use btp_policy::policy::MergeType;
use btp_policy::scalar::ObjectName;
use btp_policy::yaml;
use proptest::prelude::*;

use super::*;
use crate::envoy::tree::{field, items, text};

fn parse(text: &str) -> Node {
    json::parse(text.as_bytes()).unwrap()
}

fn spec(rules: &str) -> Node {
    parse(&format!(
        r#"{{"rateLimit":{{"global":{{"rules":[{rules}]}}}}}}"#
    ))
}

fn policy(name: &str) -> ObjectName {
    ObjectName {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    }
}

fn rules_of(rules: &str) -> Vec<Rule> {
    let (policy, spec) = (policy("p"), spec(rules));
    super::rules(
        Source {
            policy: &policy,
            spec: &spec,
        },
        None,
    )
}

fn route() -> RouteKey {
    RouteKey::new("t", "v", "r", 0)
}

fn compact(text: &str) -> String {
    serde_json::to_string(&parse(text)).unwrap()
}

/// What Envoy is told of the rules on a route, behind the entry that names it.
fn told(rules: &[Rule]) -> Vec<String> {
    let settings = per_route(rules, &route());
    let mut limits = items(&settings, "rate_limits").to_vec();
    for limit in &mut limits {
        let Some(Value::List(actions)) =
            crate::envoy::tree::field_mut(limit, "actions").map(|it| &mut it.value)
        else {
            panic!("no actions");
        };
        let first = actions.remove(0);
        let first = serde_json::to_string(&first).unwrap();
        let wanted = r#"{"generic_key":{"descriptor_key":"route","descriptor_value":"t/v/r"}}"#;
        assert_eq!(first, wanted);
    }
    limits
        .iter()
        .map(|it| serde_json::to_string(it).unwrap())
        .collect()
}

fn service(format: Format) -> Service {
    Service {
        format,
        ..Service::assumed().unwrap()
    }
}

fn written(rules: &[Rule], format: Format) -> String {
    let mut counters = Counters::default();
    counters.add(rules, &route());
    file(&counters, &service(format))
}

fn with(selectors: &str) -> String {
    format!(r#"{{"clientSelectors":[{selectors}],"limit":{{"requests":3,"unit":"Hour"}}}}"#)
}

/// The keys of the service, with their values.
type Keys = &'static [(&'static str, Option<&'static str>)];

/// Selectors, Envoy's actions, and what the service sees of them.
const CONDITIONS: &[(&str, &str, Keys)] = &[
    (
        "",
        r#"{"generic_key":{"descriptor_key":"r0","descriptor_value":"all"}}"#,
        &[("r0", Some("all"))],
    ),
    (
        r#"{"headers":[{"name":"x-a","value":"1"}]}"#,
        r#"{"header_value_match":{"descriptor_key":"r0h0","descriptor_value":"match",
            "headers":[{"name":"x-a","string_match":{"exact":"1"}}]}}"#,
        &[("r0h0", Some("match"))],
    ),
    (
        r#"{"headers":[{"name":"x-a","type":"RegularExpression","value":"a|b","invert":true}]}"#,
        r#"{"header_value_match":{"descriptor_key":"r0h0","descriptor_value":"match","expect_match":false,
            "headers":[{"name":"x-a","string_match":{"safe_regex":{"regex":"a|b"}}}]}}"#,
        &[("r0h0", Some("match"))],
    ),
    (
        r#"{"headers":[{"name":"x-a","type":"Distinct"}]}"#,
        r#"{"header_value_match":{"descriptor_key":"r0h0t","descriptor_value":"match",
            "headers":[{"name":"x-a","string_match":{"safe_regex":{"regex":"TEXT"}}}]}},
           {"request_headers":{"header_name":"x-a","descriptor_key":"r0h0"}}"#,
        &[("r0h0t", Some("match")), ("r0h0", None)],
    ),
    (
        r#"{"methods":[{"value":"GET"},{"value":"PUT"},{"value":"POST","invert":true}]}"#,
        r#"{"header_value_match":{"descriptor_key":"r0m0","descriptor_value":"match",
            "headers":[{"name":":method","string_match":{"safe_regex":{"regex":"(?i:GET|PUT)"}}}]}},
           {"header_value_match":{"descriptor_key":"r0m1","descriptor_value":"match","expect_match":false,
            "headers":[{"name":":method","string_match":{"safe_regex":{"regex":"POST"}}}]}}"#,
        &[("r0m0", Some("match")), ("r0m1", Some("match"))],
    ),
    (
        r#"{"path":{"type":"Exact","value":"/a"}},{"path":{"value":"/b.c/","invert":true}}"#,
        r#"{"header_value_match":{"descriptor_key":"r0p0","descriptor_value":"match",
            "headers":[{"name":":path","string_match":{"safe_regex":{"regex":"/a([?#].*)?"}}}]}},
           {"header_value_match":{"descriptor_key":"r0p1","descriptor_value":"match","expect_match":false,
            "headers":[{"name":":path","string_match":{"safe_regex":{"regex":"/b\\.c([/?#].*)?"}}}]}}"#,
        &[("r0p0", Some("match")), ("r0p1", Some("match"))],
    ),
    (
        r#"{"path":{"type":"RegularExpression","value":"/a.*"}},{"path":{}}"#,
        r#"{"header_value_match":{"descriptor_key":"r0p0","descriptor_value":"match",
            "headers":[{"name":":path","string_match":{"safe_regex":{"regex":"(?:/a[^?#]*)([?#].*)?"}}}]}},
           {"header_value_match":{"descriptor_key":"r0p1","descriptor_value":"match",
            "headers":[{"name":":path","string_match":{"prefix":"/"}}]}}"#,
        &[("r0p0", Some("match")), ("r0p1", Some("match"))],
    ),
    (
        r#"{"sourceCIDR":{"value":"10.1.2.3/8"}},{"sourceCIDR":{"value":"2001:db8::/32","invert":true}}"#,
        r#"{"remote_address_match":{"address_matcher":{"ranges":[{"address_prefix":"10.0.0.0","prefix_len":8}]},
            "descriptor_key":"r0c0","descriptor_value":"match"}},
           {"remote_address_match":{"address_matcher":{"ranges":[{"address_prefix":"2001:db8::","prefix_len":32}],
            "invert_match":true},"descriptor_key":"r0c1","descriptor_value":"match"}}"#,
        &[("r0c0", Some("match")), ("r0c1", Some("match"))],
    ),
    (
        r#"{"sourceCIDR":{"type":"Distinct","value":"0.0.0.0/0"}}"#,
        r#"{"remote_address_match":{"address_matcher":{"ranges":[{"address_prefix":"0.0.0.0","prefix_len":0}]},
            "descriptor_key":"r0a0","descriptor_value":"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}}"#,
        &[("r0a0", None)],
    ),
    (
        r#"{"queryParams":[{"name":"q","value":"1","invert":true},{"name":"k","type":"Distinct"}]}"#,
        r#"{"query_parameter_value_match":{"descriptor_key":"r0q0","descriptor_value":"match","expect_match":false,
            "query_parameters":[{"name":"q","string_match":{"exact":"1"}}]}},
           {"query_parameter_value_match":{"descriptor_key":"r0q1t","descriptor_value":"match",
            "query_parameters":[{"name":"k","string_match":{"safe_regex":{"regex":"TEXT"}}}]}},
           {"query_parameters":{"query_parameter_name":"k","descriptor_key":"r0q1"}}"#,
        &[
            ("r0q0", Some("match")),
            ("r0q1t", Some("match")),
            ("r0q1", None),
        ],
    ),
    (
        r#"{"headers":[{"name":"x-a","type":"Distinct"}],"sourceCIDR":{"value":"10.0.0.0/8"}},{"headers":[{"name":"x-b","value":"1"}]}"#,
        r#"{"header_value_match":{"descriptor_key":"r0h0t","descriptor_value":"match",
            "headers":[{"name":"x-a","string_match":{"safe_regex":{"regex":"TEXT"}}}]}},
           {"request_headers":{"header_name":"x-a","descriptor_key":"r0h0"}},
           {"header_value_match":{"descriptor_key":"r0h1","descriptor_value":"match",
            "headers":[{"name":"x-b","string_match":{"exact":"1"}}]}},
           {"remote_address_match":{"address_matcher":{"ranges":[{"address_prefix":"10.0.0.0","prefix_len":8}]},
            "descriptor_key":"r0c0","descriptor_value":"match"}}"#,
        &[
            ("r0h0t", Some("match")),
            ("r0h0", None),
            ("r0h1", Some("match")),
            ("r0c0", Some("match")),
        ],
    ),
];

#[test]
fn each_condition_is_an_entry() {
    for (selectors, actions, keys) in CONDITIONS {
        let rules = rules_of(&with(selectors));
        let text = descriptor::TEXT.replace('\\', r"\\");
        let actions = actions.replace("TEXT", &text);
        let wanted = compact(&format!(r#"{{"actions":[{actions}]}}"#));
        assert_eq!(told(&rules), [wanted], "{selectors}");
        let found = descriptor::entries(&rules[0], &route());
        let found: Vec<(&str, Option<&str>)> = found[1..]
            .iter()
            .map(|it| (it.key.as_str(), it.value.as_deref()))
            .collect();
        assert_eq!(found, *keys, "{selectors}");
    }
}

#[test]
fn what_else_a_rule_says_stands_beside_its_actions() {
    let actions = r#""actions":[{"generic_key":{"descriptor_key":"r0","descriptor_value":"all"}}]"#;
    for (fields, wanted) in [
        (
            r#""cost":{"request":{"from":"Number","number":0}}"#,
            vec![r#""hits_addend":{"number":0}"#],
        ),
        (
            r#""cost":{"request":{"from":"Number"}}"#,
            vec![r#""hits_addend":{"number":1}"#],
        ),
        (
            r#""cost":{"response":{"from":"Metadata","metadata":{"namespace":"a.b","key":"c"}}}"#,
            vec![
                "",
                r#""hits_addend":{"format":"%DYNAMIC_METADATA(a.b:c)%"},"apply_on_stream_done":true"#,
            ],
        ),
        (
            r#""xRateLimitHeaders":"Off""#,
            vec![r#""x_ratelimit_option":"OFF""#],
        ),
        (
            r#""xRateLimitHeaders":"DraftVersion03""#,
            vec![r#""x_ratelimit_option":"DRAFT_VERSION_03""#],
        ),
        (r#""shadowMode":true"#, vec![""]),
    ] {
        let rules = rules_of(&format!(
            r#"{{"limit":{{"requests":1,"unit":"Day"}},{fields}}}"#
        ));
        let wanted: Vec<String> = wanted
            .into_iter()
            .map(|it| match it {
                "" => format!("{{{actions}}}"),
                it => format!("{{{actions},{it}}}"),
            })
            .collect();
        assert_eq!(told(&rules), wanted, "{fields}");
    }
    let from = r#"{"limit":{"requests":1,"unit":"Day","fromMetadata":{"namespace":"n","key":"k"}},
        "cost":{"response":{"from":"Number","number":2}}}"#;
    let limit = r#""limit":{"dynamic_metadata":{"metadata_key":{"key":"n","path":[{"key":"k"}]}}}"#;
    let wanted = [
        format!("{{{actions},{limit}}}"),
        format!(
            r#"{{{actions},{limit},"hits_addend":{{"number":2}},"apply_on_stream_done":true}}"#
        ),
    ];
    assert_eq!(told(&rules_of(from)), wanted);
}

#[test]
fn the_service_has_a_counter_for_each_rule_also_with_one_range() {
    let range = r#"{"sourceCIDR":{"value":"10.0.0.0/8"}}"#;
    let rules = [
        format!(r#"{{"clientSelectors":[{range}],"limit":{{"requests":10,"unit":"Second"}}}}"#),
        format!(
            r#"{{"clientSelectors":[{range},{{"headers":[{{"name":"x","type":"Distinct"}}]}}],
                "limit":{{"requests":100,"unit":"Year"}},"shadowMode":true}}"#
        ),
        r#"{"limit":{"requests":0,"unit":"Week"},"shared":true}"#.to_owned(),
    ];
    let rules = rules_of(&rules.join(","));
    assert_eq!(
        written(&rules, Format::Envoy),
        r#"# Written by btp apply: do not edit.
domain: btp
descriptors:
  - key: route
    value: t/v/r
    descriptors:
      - key: r0c0
        value: match
        rate_limit:
          unit: second
          requests_per_unit: 10
      - key: r1h0t
        value: match
        descriptors:
          - key: r1h0
            descriptors:
              - key: r1c0
                value: match
                rate_limit:
                  unit: year
                  requests_per_unit: 100
                shadow_mode: true
  - key: shared
    value: shop/p/rule/2
    descriptors:
      - key: r2
        value: all
        rate_limit:
          unit: week
          requests_per_unit: 0
"#
    );
}

#[test]
fn limitador_has_a_limit_for_each_rule() {
    let rules = rules_of(&with(
        r#"{"headers":[{"name":"x","type":"Distinct"}],"path":{"value":"/a"}}"#,
    ));
    let met = "'route' in descriptors && descriptors['route'] == 't/v/r' && \
               'r0h0t' in descriptors && descriptors['r0h0t'] == 'match' && \
               'r0h0' in descriptors && 'r0p0' in descriptors && descriptors['r0p0'] == 'match'";
    let found = written(&rules, Format::Limitador);
    let read = yaml::parse(&found).unwrap().remove(0);
    let wanted = parse(&format!(
        r#"[{{"namespace":"btp","name":"t/v/r r0h0t r0h0 r0p0","max_value":3,"seconds":3600,
            "conditions":["descriptors.exists(descriptors, {met})"],
            "variables":["descriptors.filter(descriptors, {met})[0]['r0h0']"]}}]"#
    ));
    let text = |node: &Node| serde_json::to_string(node).unwrap();
    assert_eq!(text(&read), text(&wanted));
}

#[test]
fn what_limitador_does_not_know_is_refused() {
    let rule = r#"{"limit":{"requests":1,"unit":"Day","fromMetadata":{"namespace":"n","key":"k"}},
        "cost":{"request":{"from":"Number"},"response":{"from":"Number"}},
        "shadowMode":true,"xRateLimitHeaders":"Off"}"#;
    let problems = |format| {
        let mut out = Changes::default();
        check(&spec(rule), format, &mut out);
        let paths = out.problems.into_iter().map(|it| it.path.to_string());
        paths.collect::<Vec<_>>()
    };
    assert_eq!(problems(Format::Envoy), [""; 0]);
    let wanted = [
        "cost.request",
        "cost.response",
        "limit.fromMetadata",
        "shadowMode",
        "xRateLimitHeaders",
    ];
    let wanted = wanted.map(|it| format!("spec.rateLimit.global.rules[0].{it}"));
    assert_eq!(problems(Format::Limitador), wanted);
}

#[test]
fn rules_of_two_policies_are_told_apart() {
    let rule = |requests: u32, more: &str| {
        format!(r#"{{"limit":{{"requests":{requests},"unit":"Day"}}{more}}}"#)
    };
    let (child, parent) = (policy("child"), policy("parent"));
    let merged = |own: &Node, above: &Node, how| {
        let of = |policy, spec| Source { policy, spec };
        let rules = rules(of(&child, own), Some((of(&parent, above), how)));
        let shown = rules.into_iter();
        shown
            .map(|it| (it.id, it.shared, it.rule.limit.requests))
            .collect::<Vec<_>>()
    };
    let own = spec(&rule(1, ""));
    let above = spec(&format!("{},{}", rule(2, ""), rule(3, r#","shared":true"#)));
    let named = |id: &str, requests| (id.to_owned(), None, requests);
    let shared = ("r1".to_owned(), Some("shop/parent/rule/1".to_owned()), 3);
    assert_eq!(
        merged(&own, &above, MergeType::Strategic),
        [named("r0", 1), named("p0", 2), shared.clone()]
    );
    assert_eq!(merged(&own, &above, MergeType::Json), [named("r0", 1)]);
    for without in ["{}", r#"{"rateLimit":{"global":{"rules":[]}}}"#] {
        for how in [MergeType::Strategic, MergeType::Json] {
            let found = merged(&parse(without), &above, how);
            assert_eq!(found, [named("r0", 2), shared.clone()], "{without}");
        }
    }
    let local = parse(r#"{"rateLimit":{"type":"Local"}}"#);
    assert_eq!(merged(&local, &above, MergeType::Strategic), []);
}

#[test]
fn a_route_without_a_name_is_known_by_its_place() {
    let key = |name: &str, index| RouteKey::new("a/b", "*", name, index);
    assert_eq!(key("", 3).as_str(), "a~2Fb/~2A/~route/3");
    assert_eq!(key("x/y*", 3).as_str(), "a~2Fb/~2A/x/y~2A");
    assert_ne!(key("", 3), key("~route/3", 0));
}

#[test]
fn a_domain_and_the_cluster_are_as_they_are_told() {
    for wrong in ["", "a b", "a*", "é"] {
        assert!(wrong.parse::<Domain>().is_err(), "{wrong}");
    }
    let at = |endpoint: &str| {
        let service = Service {
            endpoint: endpoint.parse().unwrap(),
            ..service(Format::Envoy)
        };
        let cluster = service.cluster(false);
        let shown = serde_json::to_string(&cluster).unwrap();
        (text(&cluster, "type").map(str::to_owned), shown)
    };
    let (kind, shown) = at("[::1]:8081");
    assert_eq!(kind.as_deref(), Some("STATIC"));
    assert!(
        shown.contains(r#"{"address":"::1","port_value":8081}"#),
        "{shown}"
    );
    assert!(
        !shown.contains("dns_lookup_family")
            && !shown.contains("@type\":\"type.googleapis.com/envoy.config.cluster")
    );
    assert_eq!(at("limits:1").0.as_deref(), Some("STRICT_DNS"));
}

/// Whatever could mean something to a service, or part two names wrongly.
const NAMES: &str = "[a-b/_*~.%:'\"\\\\ é]{0,4}";

/// Refuses a file that envoyproxy/ratelimit would stop at: keys without a text, and
/// siblings that are called the same.
fn check_tree(level: &[Node]) {
    let mut seen = BTreeSet::new();
    for it in level {
        let key = text(it, "key").unwrap();
        let value = text(it, "value").unwrap_or_default();
        assert!(!key.is_empty() && !value.contains('*'), "{key} {value}");
        assert!(seen.insert(format!("{key}_{value}")), "{key} {value}");
        let below = items(it, "descriptors");
        assert!(field(it, "rate_limit").is_some() || !below.is_empty());
        check_tree(below);
    }
}

proptest! {
    #[test]
    fn names_that_differ_are_different_keys(
        one in (NAMES, NAMES, NAMES, 0_usize..3), other in (NAMES, NAMES, NAMES, 0_usize..3),
    ) {
        let key = |it: &(String, String, String, usize)| RouteKey::new(&it.0, &it.1, &it.2, it.3);
        // The place counts only where there is no name.
        let means = |it: &(String, String, String, usize)| {
            let place = it.2.is_empty().then_some(it.3);
            (it.0.clone(), it.1.clone(), it.2.clone(), place)
        };
        prop_assert_eq!(key(&one) == key(&other), means(&one) == means(&other));
        let is_fine = |it: char| it.is_ascii_alphanumeric() || "._-/~".contains(it);
        prop_assert!(key(&one).as_str().chars().all(is_fine));
    }

    #[test]
    fn no_two_rules_have_one_counter_and_every_file_is_taken(
        routes in prop::collection::btree_set((NAMES, NAMES, NAMES), 1..4),
        chosen in prop::collection::vec((0..CONDITIONS.len(), any::<bool>()), 1..6),
    ) {
        let rules: Vec<String> = chosen
            .iter()
            .map(|(place, shared)| {
                let rule = with(CONDITIONS[*place].0);
                let shared = format!(r#","shared":{shared}}}"#);
                rule.strip_suffix('}').unwrap().to_owned() + &shared
            })
            .collect();
        let rules = rules_of(&rules.join(","));
        let mut counters = Counters::default();
        for (table, host, name) in &routes {
            counters.add(&rules, &RouteKey::new(table, host, name, 0));
        }
        let shared = chosen.iter().filter(|(_, shared)| *shared).count();
        let own = chosen.len() - shared;
        prop_assert_eq!(counters.iter().count(), own * routes.len() + shared);
        let written = file(&counters, &service(Format::Envoy));
        let read = yaml::parse(&written).unwrap().remove(0);
        check_tree(items(&read, "descriptors"));
        let written = file(&counters, &service(Format::Limitador));
        let read = yaml::parse(&written).unwrap().remove(0);
        let Value::List(limits) = &read.value else { panic!("a list") };
        let conditions: BTreeSet<String> = limits
            .iter()
            .map(|it| serde_json::to_string(field(it, "conditions").unwrap()).unwrap())
            .collect();
        prop_assert_eq!(conditions.len(), counters.iter().count());
    }
}
