//! Requests without the key that a rule counts by: `onMissing`.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::host::metadata::MetadataValue;

/// A rule of this name with these selectors and fields, for so many requests an hour.
fn rule(name: &str, selectors: &str, requests: u32, more: &str) -> String {
    format!(
        r#"{{"name":"{name}","clientSelectors":[{selectors}],"xRateLimitHeaders":"Off",
            "limit":{{"requests":{requests},"unit":"Hour"}}{more}}}"#
    )
}

fn by_header(name: &str, on_missing: &str) -> String {
    format!(r#"{{"headers":[{{"name":"{name}","type":"Distinct","onMissing":"{on_missing}"}}]}}"#)
}

fn sim_of(rules: &[String]) -> Sim {
    Sim::new(2, plan(&format!(r#"{{"rules":[{}]}}"#, rules.join(","))))
}

fn passed(sim: &mut Sim, headers: &[(&str, &str)]) -> usize {
    let workers = sim.workers.len();
    let came = (0..9).map(|turn| sim.request(turn % workers, headers));
    came.filter(Came::passed).count()
}

fn status(sim: &mut Sim, headers: &[(&str, &str)]) -> u16 {
    sim.request(0, headers).reply.map_or(200, |it| it.status)
}

#[test]
fn by_default_a_rule_leaves_out_what_lacks_its_key() {
    let mut sim = sim_of(&[rule("each", &by_header("id", "Exempt"), 2, "")]);
    assert_eq!(passed(&mut sim, &[]), 9);
    assert_eq!(passed(&mut sim, &[("id", "")]), 2);
}

#[test]
fn all_that_lack_the_key_share_a_bucket_of_their_own_on_each_route() {
    let mut sim = sim_of(&[rule("each", &by_header("id", "Limit"), 2, "")]);
    assert_eq!(passed(&mut sim, &[]), 2);
    assert_eq!(passed(&mut sim, &[("other", "x")]), 0);
    assert_eq!(passed(&mut sim, &[("id", "")]), 2);
    assert_eq!(passed(&mut sim, &[("id", "a")]), 2);
    sim.host.route = Some("other".into());
    assert_eq!(passed(&mut sim, &[]), 2);
    assert_eq!(sim.counter("each.admitted"), 8);
}

#[test]
fn every_kind_of_key_may_be_missing() {
    let keys = |on_missing: &str| {
        let more = format!(r#""type":"Distinct","onMissing":"{on_missing}""#);
        format!(
            r#"{{"queryParams":[{{"name":"q",{more}}}],
                "metadata":[{{"namespace":"n","path":["sub"],{more}}}]}}"#
        )
    };
    for (on_missing, status_without) in [("Exempt", 200), ("Limit", 429), ("Refuse", 400)] {
        for has_metadata in [true, false] {
            let mut sim = sim_of(&[rule("each", &keys(on_missing), 1, "")]);
            if has_metadata {
                let path = ["n".to_owned(), "sub".to_owned()].to_vec();
                let value = MetadataValue::Text(b"joe".to_vec().into());
                sim.host.metadata.insert(path, value);
            }
            let path = if has_metadata { "/" } else { "/?q=1" };
            status(&mut sim, &[(":path", path)]);
            let found = status(&mut sim, &[(":path", path)]);
            assert_eq!(found, status_without, "{on_missing} {has_metadata}");
            // An empty value is a value.
            if has_metadata {
                assert_eq!(status(&mut sim, &[(":path", "/?q=")]), 200, "{on_missing}");
            }
        }
    }
}

#[test]
fn what_must_have_a_key_is_refused_before_anything_is_taken() {
    let rules = [
        rule(
            "all",
            r#"{"path":{"value":"/"}}"#,
            3,
            r#","concurrency":{"max":9}"#,
        ),
        rule("each", &by_header("id", "Refuse"), 5, ""),
    ];
    let mut sim = sim_of(&rules);
    let refused = sim.request(0, &[(":path", "/")]);
    let reply = refused.reply.as_ref().unwrap();
    assert_eq!((reply.status, reply.grpc_status), (400, Some(3)));
    assert_eq!(
        (reply.body.as_str(), reply.details),
        ("missing_key", "btp_missing_key")
    );
    assert_eq!(refused.header("retry-after"), None);
    assert!(
        refused.actions.is_empty(),
        "nothing is in flight: {refused:?}"
    );
    assert_eq!(passed(&mut sim, &[(":path", "/")]), 0);
    assert_eq!(passed(&mut sim, &[(":path", "/"), ("id", "a")]), 3);
    assert_eq!(sim.counter("each.missing_key"), 10);
    assert_eq!(sim.counter("each.limited"), 0);
    assert_eq!(sim.counter("all.limited"), 6);
}

#[test]
fn a_request_that_a_rule_is_not_for_needs_no_key() {
    let post = format!(
        r#"{{"methods":[{{"value":"POST"}}]}},{}"#,
        by_header("id", "Refuse")
    );
    let mut sim = sim_of(&[rule("each", &post, 1, "")]);
    assert_eq!(status(&mut sim, &[(":method", "GET")]), 200);
    assert_eq!(status(&mut sim, &[(":method", "POST")]), 400);
    assert_eq!(sim.counter("each.missing_key"), 1);
}

#[test]
fn what_a_reject_says_is_said_of_limits_alone() {
    let reject = r#","reject":{"statusCode":503,"body":"busy"}"#;
    let mut sim = sim_of(&[rule("each", &by_header("id", "Refuse"), 0, reject)]);
    assert_eq!(status(&mut sim, &[]), 400);
    assert_eq!(status(&mut sim, &[("id", "a")]), 503);
}

#[test]
fn a_shadow_rule_counts_missing_keys_and_refuses_none() {
    let shadow = r#","shadowMode":true,"concurrency":{"max":1}"#;
    let rules = [
        rule("tried", &by_header("id", "Refuse"), 1, shadow),
        rule("all", r#"{"path":{"value":"/"}}"#, 3, ""),
    ];
    let mut sim = sim_of(&rules);
    assert_eq!(passed(&mut sim, &[(":path", "/")]), 3);
    assert_eq!(sim.counter("tried.missing_key"), 9);
    assert_eq!(
        sim.counter("tried.admitted") + sim.counter("tried.shadow_limited"),
        0
    );
    assert_eq!(sim.counter("tried.concurrency_limited"), 0);
    // Alone it leaves nothing to ask.
    let mut sim = sim_of(&rules[..1]);
    let came = sim.request(0, &[]);
    assert!(came.passed() && came.actions.is_empty(), "{came:?}");
    assert_eq!(sim.counter("tried.missing_key"), 1);
}

#[test]
fn of_several_keys_each_has_its_say() {
    let both =
        |one: &str, other: &str| format!("{},{}", by_header("a", one), by_header("b", other));
    for (one, other, none, only_b) in [
        ("Exempt", "Exempt", 200, 200),
        ("Exempt", "Limit", 200, 200),
        ("Exempt", "Refuse", 200, 200),
        ("Limit", "Exempt", 200, 429),
        ("Limit", "Limit", 429, 429),
        ("Limit", "Refuse", 400, 429),
        ("Refuse", "Exempt", 200, 400),
        ("Refuse", "Limit", 400, 400),
        ("Refuse", "Refuse", 400, 400),
    ] {
        let mut sim = sim_of(&[rule("each", &both(one, other), 0, "")]);
        assert_eq!(status(&mut sim, &[]), none, "{one} {other}");
        assert_eq!(status(&mut sim, &[("b", "1")]), only_b, "{one} {other}");
        assert_eq!(status(&mut sim, &[("a", "1"), ("b", "1")]), 429);
    }
    // Which of them is missing tells buckets apart.
    let mut sim = sim_of(&[rule("each", &both("Limit", "Limit"), 1, "")]);
    for headers in [
        &[][..],
        &[("a", "1")],
        &[("b", "1")],
        &[("a", ""), ("b", "1")],
    ] {
        assert_eq!(passed(&mut sim, headers), 1, "{headers:?}");
    }
}

#[test]
fn the_first_match_is_one_that_counts_or_refuses_what_lacks_its_key() {
    for (on_missing, wanted) in [("Exempt", 400), ("Limit", 429), ("Refuse", 400)] {
        let rules = [
            rule("first", &by_header("a", on_missing), 0, ""),
            rule("second", &by_header("b", "Refuse"), 0, ""),
        ];
        let local = format!(r#"{{"mode":"FirstMatch","rules":[{}]}}"#, rules.join(","));
        let mut sim = Sim::new(1, plan(&local));
        assert_eq!(status(&mut sim, &[]), wanted);
        let by_second = u64::from(on_missing == "Exempt");
        assert_eq!(sim.counter("second.missing_key"), by_second, "{on_missing}");
    }
}

/// Both are asked: each counts whom it refuses.
#[test]
fn each_rule_counts_its_missing_key() {
    let rules = [
        rule("a", &by_header("a", "Refuse"), 1, ""),
        rule("b", &by_header("b", "Refuse"), 1, ""),
    ];
    let mut sim = sim_of(&rules);
    assert_eq!(status(&mut sim, &[]), 400);
    assert_eq!(status(&mut sim, &[("a", "1")]), 400);
    assert_eq!(
        (sim.counter("a.missing_key"), sim.counter("b.missing_key")),
        (1, 2)
    );
}
