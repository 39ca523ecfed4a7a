//! What clients are told, as a parser of Structured Fields reads it.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use sfv::{BareItem, ListEntry, Parser};

use super::*;

/// A item of a list: its name and its parameters.
type PolicyItem = (String, Vec<(String, i64)>);

fn rule(fields: &str, name: &str, header: &str, limit: &str) -> String {
    format!(
        r#"{{{fields}{name}"clientSelectors":[{{"headers":[{{"name":"{header}","value":"1"}}]}}],
            "limit":{{{limit}}}}}"#
    )
}

fn rules(rules: &[String]) -> String {
    format!(r#"{{"rules":[{}]}}"#, rules.join(","))
}

const DRAFT_10: &str = r#""xRateLimitHeaders":"DraftVersion10","#;

/// What the list says, which must be one of Items that are Strings.
fn read(list: &str) -> Vec<PolicyItem> {
    let parsed: sfv::List = Parser::new(list).parse().unwrap();
    let members = parsed.into_iter().map(|item| {
        let ListEntry::Item(item) = item else {
            panic!("{list}");
        };
        let BareItem::String(name) = item.bare_item else {
            panic!("{list}");
        };
        let params = item.params.into_iter().map(|(key, value)| {
            let BareItem::Integer(value) = value else {
                panic!("{list}");
            };
            (key.as_str().to_owned(), i64::from(value))
        });
        (name.as_str().to_owned(), params.collect())
    });
    members.collect()
}

fn told(came: &Came, name: &str) -> Vec<PolicyItem> {
    read(came.header(name).unwrap_or_default())
}

fn item(name: &str, params: &[(&str, i64)]) -> PolicyItem {
    let params = params
        .iter()
        .map(|(key, value)| ((*key).to_owned(), *value));
    (name.to_owned(), params.collect())
}

#[test]
fn each_rule_that_counts_is_in_the_lists_of_draft_10() {
    let local = rules(&[
        rule(
            DRAFT_10,
            r#""name":"burst","#,
            "a",
            r#""requests":10,"unit":"Second","burst":20"#,
        ),
        rule(
            DRAFT_10,
            r#""name":"hourly","#,
            "b",
            r#""requests":3,"unit":"Hour""#,
        ),
        rule(DRAFT_10, "", "c", r#""requests":9,"unit":"Day""#),
    ]);
    let mut sim = Sim::new(1, plan(&local));
    let first = sim.request(0, &[("a", "1"), ("b", "1")]);
    let text = [
        (
            "ratelimit-policy",
            r#""burst";q=10;w=1;btp-burst=20, "hourly";q=3;w=3600"#,
        ),
        ("ratelimit", r#""burst";r=19;t=1, "hourly";r=2;t=1200"#),
    ];
    assert_eq!(
        first.response,
        text.map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
    let policies = [
        item("burst", &[("q", 10), ("w", 1), ("btp-burst", 20)]),
        item("hourly", &[("q", 3), ("w", 3_600)]),
    ];
    assert_eq!(told(&first, "ratelimit-policy"), policies);

    // It is the next token that `t` speaks of, not a full bucket.
    sim.host.now_ns += 100 * SECOND;
    let second = sim.request(0, &[("b", "1")]);
    assert_eq!(
        told(&second, "ratelimit"),
        [item("hourly", &[("r", 1), ("t", 1_100)])]
    );
    assert!(sim.request(0, &[]).response.is_empty());
}

#[test]
fn a_refusal_lists_all_policies_and_the_limits_that_refuse() {
    let local = rules(&[
        rule(
            DRAFT_10,
            r#""name":"wide","#,
            "a",
            r#""requests":9,"unit":"Day""#,
        ),
        rule(
            DRAFT_10,
            r#""name":"slow","#,
            "b",
            r#""requests":2,"unit":"Hour""#,
        ),
        rule(
            DRAFT_10,
            r#""name":"fast","#,
            "c",
            r#""requests":1,"unit":"Minute""#,
        ),
    ]);
    let mut sim = Sim::new(1, plan(&local));
    for headers in [[("b", "1")], [("b", "1")], [("c", "1")]] {
        assert!(sim.request(0, &headers).passed());
    }
    sim.host.now_ns += SECOND / 2;
    let all = [("a", "1"), ("b", "1"), ("c", "1")];
    // Asked, and remembered.
    for _ in 0..2 {
        let refused = sim.request(0, &all);
        let names: Vec<String> = told(&refused, "ratelimit-policy")
            .into_iter()
            .map(|it| it.0)
            .collect();
        assert_eq!(names, ["wide", "slow", "fast"]);
        let limits = [
            item("slow", &[("r", 0), ("t", 1_800)]),
            item("fast", &[("r", 0), ("t", 60)]),
        ];
        assert_eq!(told(&refused, "ratelimit"), limits);
        assert_eq!(refused.header("retry-after"), Some("1800"));
    }
}

#[test]
fn each_rule_tells_in_its_own_form() {
    let draft_3 = r#""xRateLimitHeaders":"DraftVersion03","#;
    let local = rules(&[
        rule(draft_3, "", "a", r#""requests":5,"unit":"Day""#),
        rule(DRAFT_10, "", "b", r#""requests":2,"unit":"Hour""#),
    ]);
    let mut sim = Sim::new(1, plan(&local));
    let names = |came: &Came| {
        let headers = match &came.reply {
            Some(reply) => &reply.headers,
            None => &came.response,
        };
        let told = headers.iter().map(|(name, _)| name.clone());
        told.filter(|name| name.contains("ratelimit"))
            .collect::<Vec<_>>()
    };
    let x = [
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ];
    let lists = ["ratelimit-policy", "ratelimit"];
    let both = [&x[..], &lists[..]].concat();
    let ab = [("a", "1"), ("b", "1")];
    for _ in 0..2 {
        assert_eq!(names(&sim.request(0, &ab)), both);
    }
    assert_eq!(
        names(&sim.request(0, &ab)),
        lists,
        "the other one would let it pass"
    );
    for _ in 0..3 {
        assert_eq!(names(&sim.request(0, &ab[..1])), x);
    }
    assert_eq!(names(&sim.request(0, &ab[..1])), x);
    assert_eq!(
        names(&sim.request(0, &ab)),
        both,
        "x-ratelimit speaks of the longest wait"
    );
}

#[test]
fn a_full_bucket_has_no_time_and_others_say_nothing() {
    let free = format!(r#"{DRAFT_10}"cost":{{"request":{{"from":"Number","number":0}}}},"#);
    let shadow = format!(r#"{DRAFT_10}"shadowMode":true,"#);
    let local = rules(&[
        rule(&free, "", "a", r#""requests":5,"unit":"Hour""#),
        rule(&shadow, "", "a", r#""requests":5,"unit":"Hour""#),
        rule(DRAFT_10, "", "b", r#""requests":0,"unit":"Hour""#),
        format!(
            r#"{{{DRAFT_10}"clientSelectors":[{{"headers":[{{"name":"c","value":"1"}}]}}],
                "concurrency":{{"max":1}}}}"#
        ),
    ]);
    let mut sim = Sim::new(1, plan(&local));
    let full = sim.request(0, &[("a", "1"), ("c", "1")]);
    assert_eq!(
        told(&full, "ratelimit"),
        [item("rule-f71acf0a", &[("r", 5)])]
    );
    assert_eq!(told(&full, "ratelimit-policy").len(), 1);
    // The request before holds its place for good: its exchange has no end.
    for headers in [[("b", "1")], [("c", "1")]] {
        let refused = sim.request(0, &headers);
        assert!(!refused.passed());
        assert_eq!(refused.header("ratelimit-policy"), None);
        assert_eq!(refused.header("ratelimit"), None);
    }
}

/// A strategic merge unites the rules of two policies.
#[test]
fn rules_of_the_same_name_are_told_apart() {
    let policy = |name: &str, kind: &str, more: &str, requests: u32| {
        let rule = rule(
            DRAFT_10,
            "",
            "a",
            &format!(r#""requests":{requests},"unit":"Hour""#),
        );
        format!(
            r#"{{"metadata":{{"name":"{name}"}},"spec":{{{more}"rateLimit":{{"local":{{"rules":[{rule}]}}}},
                "targetRefs":[{{"group":"gateway.networking.k8s.io","kind":"{kind}","name":"{name}"}}]}}}}"#
        )
    };
    let merge = r#""mergeType":"StrategicMerge","#;
    let text = format!(
        r#"{{"gateway":{{"name":"eg"}},"policies":[{},{}]}}"#,
        policy("eg", "Gateway", "", 7),
        policy("shop", "HTTPRoute", merge, 2)
    );
    let mut sim = Sim::new(
        1,
        Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap()),
    );
    sim.host.route = Some("shop".into());
    let came = sim.request(0, &[("a", "1")]);
    let policies = [
        item("rule-f71acf0a", &[("q", 2), ("w", 3_600)]),
        item("rule-f71acf0a-2", &[("q", 7), ("w", 3_600)]),
    ];
    assert_eq!(told(&came, "ratelimit-policy"), policies);
    let limits = [
        item("rule-f71acf0a", &[("r", 1), ("t", 1_800)]),
        item("rule-f71acf0a-2", &[("r", 6), ("t", 515)]),
    ];
    assert_eq!(told(&came, "ratelimit"), limits);
}

proptest! {
    /// `r` requests pass at once and no more; after `t` seconds another does.
    #[test]
    fn what_is_told_is_true(
        requests in 1_u32..50, burst in 1_u32..20, gaps in prop::collection::vec(0_u64..3_000, 1..20),
    ) {
        let limit = format!(r#""requests":{requests},"unit":"Minute","burst":{burst}"#);
        let mut sim = Sim::new(1, plan(&rules(&[rule(DRAFT_10, "", "a", &limit)])));
        for gap in gaps {
            sim.host.now_ns += gap * MS;
            let came = sim.request(0, &[("a", "1")]);
            let found = told(&came, "ratelimit");
            let params = &found.first().unwrap().1;
            let (left, next) = (params[0].1, params[1].1);
            if came.passed() && gap % 3 == 0 {
                for _ in 0..left {
                    prop_assert!(sim.passes_with("a", "1"));
                }
                prop_assert!(!sim.passes_with("a", "1"));
                sim.host.now_ns += u64::try_from(next).unwrap() * SECOND;
                prop_assert!(sim.passes_with("a", "1"));
            }
        }
    }
}
