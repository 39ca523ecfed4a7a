//! What the readers of the capabilities make of documents.

mod redirect;

use super::*;
use crate::json;
use crate::regex::Regexes;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn read(text: &str) -> Result<Spec, Vec<String>> {
    let node = json::parse(text.as_bytes()).unwrap();
    let owner = ObjectName {
        namespace: "shop".into(),
        name: "p".into(),
    };
    let mut problems = Problems::default();
    let spec = Spec::read(
        Cursor::root(&node),
        &owner,
        &Regexes::default(),
        &mut problems,
    );
    let found = problems.into_vec();
    if found.is_empty() {
        Ok(spec.unwrap())
    } else {
        Err(found.iter().map(ToString::to_string).collect())
    }
}

pub(super) fn rules(text: &str) -> Result<Vec<LocalRule>, Vec<String>> {
    let spec = read(&format!(
        r#"{{"rateLimit":{{"local":{{"rules":[{text}]}}}}}}"#
    ))?;
    Ok(spec.rate_limit.unwrap().local.unwrap().rules)
}

#[test]
fn a_rate_limit_rule_in_full() {
    let rules = rules(
        r#"{"clientSelectors":[
              {"headers":[{"name":"X-Tier","value":"gold"},
                          {"name":"x-user","type":"Distinct"},
                          {"name":"ua","type":"RegularExpression","value":"curl/.*","invert":true}],
               "path":{"value":"/api"}},
              {"methods":[{"value":"GET"},{"value":"PUT","invert":true}],
               "path":{"type":"Exact","value":"/api/x"},
               "sourceCIDR":{"type":"Distinct","value":"10.0.0.0/8"},
               "queryParams":[{"name":"q","value":"1"}]}],
            "limit":{"requests":50,"unit":"Hour"},"cost":{"request":{"from":"Number","number":2}},
            "shared":true,"shadowMode":true,"xRateLimitHeaders":"Off"}"#,
    )
    .unwrap();
    let rule = &rules[0];
    assert_eq!(rule.selector.headers.len(), 3);
    assert_eq!(rule.selector.headers[0].name.as_str(), "x-tier");
    assert_eq!(
        rule.selector.headers[1].condition,
        ValueCondition::Distinct(OnMissing::Exempt)
    );
    assert_eq!(rule.selector.paths.len(), 2);
    assert_eq!(rule.selector.methods[0].any_of, ["GET"]);
    assert_eq!(rule.selector.methods[0].none_of, ["PUT"]);
    assert_eq!(rule.selector.sources[0].distinct, Some(WHOLE_ADDRESS));
    assert_eq!(rule.limit.unwrap().unit.seconds(), 3600);
    assert_eq!((rule.cost, rule.shared, rule.shadow_mode), (2, true, true));
    assert_eq!(rule.headers, RateLimitHeaders::Off);
    assert_eq!(
        (rule.policy.to_string().as_str(), rule.index),
        ("shop/p", 0)
    );
}

#[test]
fn rate_limits_that_mean_nothing_are_refused() {
    let limit = r#""limit":{"requests":1,"unit":"Second"}"#;
    let with = |selector: &str| format!(r#"{{"clientSelectors":[{selector}],{limit}}}"#);
    let header = |rest: &str| with(&format!(r#"{{"headers":[{{"name":"a",{rest}}}]}}"#));
    for (text, reason) in [
        (
            header(r#""type":"Distinct","value":"x""#),
            "must be left out: type Distinct",
        ),
        (
            header(r#""type":"Distinct","invert":true"#),
            "must be left out: type Distinct",
        ),
        (header(r#""type":"Exact""#), "is required"),
        (
            header(r#""type":"Exact","value":"""#),
            "must be 1 to 1024 bytes long",
        ),
        (
            header(r#""type":"RegularExpression","value":"(""#),
            "must be a regular expression: unclosed group",
        ),
        (
            with(r#"{"sourceCIDR":{"value":"10.0.0.1"}}"#),
            "must be an address range",
        ),
        (with("{}"), "must have one of headers"),
        (
            with(r#"{"path":{"type":"Exact","value":"x"}}"#),
            "must begin with /",
        ),
        (
            format!("{{{limit}}},{{{limit}}}"),
            "rules[0] is the default rule already",
        ),
        ("{}".into(), "must have limit or concurrency"),
        (
            r#"{"limit":{"requests":4294967296,"unit":"Second"}}"#.into(),
            "between 0 and 4294967295",
        ),
        (
            format!(r#"{{{limit},"cost":{{"response":{{"from":"Number"}}}}}}"#),
            "only global limits",
        ),
        (
            format!(r#"{{{limit},"cost":{{"request":{{"from":"Metadata"}}}}}}"#),
            "must be Number",
        ),
    ] {
        let found = rules(&text).expect_err(&text);
        assert!(
            found.iter().any(|line| line.contains(reason)),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn our_own_rate_limit_fields_are_checked() {
    let rule =
        |rest: &str| format!(r#"{{"rules":[{{"limit":{{"requests":2,"unit":"Hour"}},{rest}}}]}}"#);
    let limit = |limit: &str| format!(r#"{{"rules":[{{"limit":{{{limit}}}}}]}}"#);
    let twice =
        r#"{"name":"a","clientSelectors":[{"path":{}}],"limit":{"requests":1,"unit":"Day"}}"#;
    for (local, path, reason) in [
        (
            rule(r#""name":"A_b""#),
            "rules[0].name",
            "must be a DNS label",
        ),
        (
            format!(r#"{{"rules":[{twice},{twice}]}}"#),
            "rules[1]",
            "rules[0] has the same name",
        ),
        (
            limit(r#""requests":1,"unit":"Year","burst":101"#),
            "rules[0].limit.burst",
            "more than 100 years",
        ),
        (
            limit(r#""requests":0,"unit":"Year","burst":1"#),
            "rules[0].limit.burst",
            "must be left out",
        ),
        (
            limit(r#""requests":5,"unit":"Hour","burst":0"#),
            "rules[0].limit.burst",
            "between 1 and",
        ),
        (
            rule(r#""cost":{"request":{"from":"Number","number":3}}"#),
            "rules[0].cost",
            "no request could ever pass",
        ),
        (
            rule(r#""queue":{}"#),
            "rules[0].queue.maxDelay",
            "is required",
        ),
        (
            rule(r#""queue":{"maxDelay":"2h"}"#),
            "rules[0].queue.maxDelay",
            "must not be longer than 1h",
        ),
        (
            rule(r#""queue":{"maxDelay":"0s"}"#),
            "rules[0].queue.maxDelay",
            "longer than zero",
        ),
        (
            rule(r#""queue":{"maxDelay":"1s"},"shadowMode":true"#),
            "rules[0].queue",
            "must be left out",
        ),
        (
            r#"{"mode":"First"}"#.into(),
            "mode",
            "must be one of AllMatching, FirstMatch",
        ),
        (
            r#"{"exempt":[]}"#.into(),
            "exempt",
            "must have 1 to 16 items",
        ),
        (
            r#"{"exempt":[{"headers":[{"name":"a","type":"Distinct"}]}]}"#.into(),
            "exempt[0]",
            "must not have type Distinct",
        ),
        (
            r#"{"reject":{"statusCode":200}}"#.into(),
            "reject.statusCode",
            "between 400 and 599",
        ),
        (
            r#"{"reject":{"grpcStatus":0}}"#.into(),
            "reject.grpcStatus",
            "between 1 and 16",
        ),
        (
            r#"{"reject":{"headers":[{"name":"content-length","value":"1"}]}}"#.into(),
            "reject.headers[0].name",
            "written by Envoy itself",
        ),
        (
            r#"{"reject":{"headers":[{"name":"a","value":"\n"}]}}"#.into(),
            "reject.headers[0].value",
            "control characters",
        ),
        (
            r#"{"retryAfter":"yes"}"#.into(),
            "retryAfter",
            "must be true or false",
        ),
        (
            r#"{"disable":true}"#.into(),
            "disable",
            "did you mean \"disabled\"",
        ),
    ] {
        let text = format!(r#"{{"rateLimit":{{"local":{local}}}}}"#);
        let found = read(&text).expect_err(&text);
        let path = format!("rateLimit.local.{path}: ");
        let hit = |line: &&String| line.starts_with(&path) && line.contains(reason);
        assert!(found.iter().any(|line| hit(&line)), "{text}: {found:?}");
    }
}

#[test]
fn a_rule_with_a_broken_selector_is_not_taken_for_a_second_default_rule() {
    let limit = r#""limit":{"requests":1,"unit":"Day"}"#;
    let broken =
        format!(r#"{{"clientSelectors":[{{"sourceCIDR":{{"value":"10.0.0.0/40"}}}}],{limit}}}"#);
    let found = rules(&format!("{{{limit}}},{broken}")).unwrap_err();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("must be an address range"));
}

#[test]
fn a_rule_is_known_by_its_name_or_its_selectors_and_twins_by_their_order() {
    let limit = r#""limit":{"requests":1,"unit":"Day"}"#;
    let same = format!(r#"{{"clientSelectors":[{{"path":{{"value":"/a"}}}}],{limit}}}"#);
    let found = rules(&format!(
        r#"{same},{{{limit}}},{same},{{"name":"n",{limit},"clientSelectors":[{{"path":{{}}}}]}}"#
    ));
    let found = found.unwrap();
    let identities: Vec<&str> = found.iter().map(|rule| rule.identity.as_str()).collect();
    assert_eq!(identities[1], ".default");
    assert_eq!(identities[2], format!("{}.2", identities[0]));
    assert_eq!(identities[3], "n");
}

#[test]
fn rules_that_say_nothing_of_headers_do_as_the_default_rule_does() {
    let rule = |path: &str, rest: &str| {
        format!(
            r#"{{"clientSelectors":[{{"path":{{"value":"{path}"}}}}],
                "limit":{{"requests":1,"unit":"Day"}}{rest}}}"#
        )
    };
    let off = r#","xRateLimitHeaders":"Off""#;
    let on_text = r#","xRateLimitHeaders":"DraftVersion03""#;
    let default = format!(r#"{{"limit":{{"requests":1,"unit":"Day"}}{off}}}"#);
    let found = rules(&format!(
        "{},{default},{}",
        rule("/a", ""),
        rule("/b", on_text)
    ))
    .unwrap();
    let headers: Vec<RateLimitHeaders> = found.iter().map(|rule| rule.headers).collect();
    let (off, on) = (RateLimitHeaders::Off, RateLimitHeaders::DraftVersion03);
    assert_eq!(headers, [off, off, on]);

    let newer = r#","xRateLimitHeaders":"DraftVersion10""#;
    let default = format!(r#"{{"limit":{{"requests":1,"unit":"Day"}}{newer}}}"#);
    let found = rules(&format!(
        "{},{default},{}",
        rule("/a", ""),
        rule("/b", on_text)
    ));
    let headers: Vec<RateLimitHeaders> = found.unwrap().iter().map(|rule| rule.headers).collect();
    let newer = RateLimitHeaders::DraftVersion10;
    assert_eq!(headers, [newer, newer, on]);

    let unknown = r#","xRateLimitHeaders":"DraftVersion11""#;
    let refused = rules(&rule("/a", unknown)).unwrap_err();
    assert!(
        refused[0].contains("must be one of Off, DraftVersion03, DraftVersion10"),
        "{refused:?}"
    );
}

#[test]
fn conditions_with_regexes_are_counted_over_the_whole_policy() {
    let with = |headers: usize| {
        let header = r#"{"name":"x-a","type":"RegularExpression","value":"a+"}"#;
        let headers = vec![header; headers].join(",");
        let rule = format!(
            r#"{{"clientSelectors":[{{"headers":[{headers}]}}],"limit":{{"requests":1,"unit":"Hour"}}}}"#
        );
        let matches = format!(r#"[{{"headers":[{header}]}}]"#);
        let rules = format!(r#"{{"rules":[{rule},{rule}],"exempt":{matches}}}"#);
        read(&format!(
            r#"{{"rateLimit":{{"type":"Local","local":{rules}}}}}"#
        ))
    };
    assert!(with(63).is_ok());
    let refused = with(64).unwrap_err();
    assert_eq!(
        refused,
        [
            "the document: has 129 conditions with regular expressions; at most 128 are allowed, \
             as each reads every byte of its value: join their alternatives, or split the policy \
             (got an object of 1)"
        ]
    );
}

#[test]
fn a_limit_of_the_other_type_does_not_count() {
    let text = r#"{"rateLimit":{"type":"Global","local":{"rules":[]}}}"#;
    assert_eq!(
        read(text).unwrap().rate_limit,
        Some(RateLimit { local: None })
    );
}

#[test]
fn retries_have_envoy_gateways_defaults() {
    let retry = |text: &str| {
        read(&format!(r#"{{"retry":{text}}}"#))
            .unwrap()
            .retry
            .unwrap()
    };
    let plain = retry("{}");
    let on = |retry: &Retry| {
        assert_eq!(retry.by_method(), []);
        let on = retry.for_all_methods().unwrap();
        let triggers: Vec<&str> = on.triggers.iter().map(|it| it.as_str()).collect();
        (triggers.join(","), on.status_codes)
    };
    const DEFAULT: &str =
        "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
    assert_eq!(plain.num_retries, 2);
    assert_eq!(on(&plain), (DEFAULT.to_owned(), vec![503]));
    let named = retry(r#"{"retryOn":{"triggers":["5xx","5xx"]}}"#);
    assert_eq!(on(&named), ("5xx".to_owned(), vec![]));
    let codes = retry(r#"{"retryOn":{"httpStatusCodes":[502]}}"#);
    assert_eq!(on(&codes), (DEFAULT.to_owned(), vec![502]));
}

#[test]
fn retries_that_envoy_could_not_do_are_refused() {
    for (text, reason) in [
        (r#"{"retry":{"numRetries":-1}}"#, "must be between 0"),
        (
            r#"{"retry":{"retryOn":{"triggers":["5XX"]}}}"#,
            "did you mean \"5xx\"?",
        ),
        (
            r#"{"retry":{"retryOn":{"httpStatusCodes":[600]}}}"#,
            "between 100 and 599",
        ),
        (
            r#"{"retry":{"perRetry":{"backOff":{"baseInterval":"0s"}}}}"#,
            "longer than zero",
        ),
        (
            r#"{"retry":{"perRetry":{"backOff":{"baseInterval":"2s","maxInterval":"1s"}}}}"#,
            "must not have a baseInterval above its maxInterval",
        ),
        (
            r#"{"retryConstraint":{"budget":{"percent":101}}}"#,
            "between 0 and 100",
        ),
        (
            r#"{"retryConstraint":{"budget":{"interval":"2h"}}}"#,
            "between 1s and 1h",
        ),
        (
            r#"{"retryConstraint":{"minRetryRate":{"count":0}}}"#,
            "between 1 and 1000000",
        ),
        (
            r#"{"retryConstraint":{"minRetryRate":{"interval":"500ms"}}}"#,
            "between 1s and 1h",
        ),
        (
            r#"{"retryConstraint":{"mode":"Gate"}}"#,
            "retryConstraint.mode: ",
        ),
        (r#"{"requestBuffer":{}}"#, "is required"),
        (
            r#"{"requestBuffer":{"limit":0}}"#,
            "requestBuffer.limit: must be at least 1",
        ),
        (
            r#"{"requestBuffer":{"limit":"4Gi"}}"#,
            "must be less than 4Gi",
        ),
        (
            r#"{"requestBuffer":{"limit":1,"rules":[{"match":[],"limit":1}]}}"#,
            "requestBuffer.rules[0].match: must have 1 to 16 items",
        ),
        (
            r#"{"requestBuffer":{"limit":1,"rules":[{"match":[{"methods":[{"value":"PUT"}]}],"limit":0}]}}"#,
            "requestBuffer.rules[0].limit: must be at least 1",
        ),
        (
            r#"{"requestBuffer":{"limit":1,"minDataRate":{"bytesPerSecond":0}}}"#,
            "requestBuffer.minDataRate.bytesPerSecond: must be at least 1",
        ),
        (
            r#"{"requestBuffer":{"limit":1,"maxDuration":"0s"}}"#,
            "requestBuffer.maxDuration",
        ),
        (
            r#"{"requestBuffer":{"limit":1,"maxTotal":5,"rules":[{"match":[{"methods":[{"value":"PUT"}]}],"limit":"1Ki"}]}}"#,
            "requestBuffer.maxTotal: must be at least 1Ki",
        ),
        (
            r#"{"requestBuffer":{"limit":1,"mode":"Stream","minDataRate":{"bytesPerSecond":1}}}"#,
            "requestBuffer.minDataRate: must be left out in mode Stream, which cannot tell",
        ),
        (
            r#"{"requestBuffer":{"limit":1,"mode":"Stream","maxTotal":1}}"#,
            "requestBuffer.maxTotal: must be left out in mode Stream, which buffers nothing",
        ),
        (
            r#"{"requestBuffer":{"limit":1,"reject":{"statusCode":200}}}"#,
            "requestBuffer.reject.statusCode: must be between 400 and 599",
        ),
        (
            r#"{"requestBuffer":{"limit":1,"reject":{"headers":[{"name":"content-length","value":"1"}]}}}"#,
            "headers[0].name: is written by Envoy itself",
        ),
        (
            r#"{"requestBuffer":{"limit":1,"mode":"stream"}}"#,
            "must be one of Buffer, Stream; did you mean \"Stream\"?",
        ),
        (
            r#"{"requestBuffer":{"limit":1,"includeStreams":"no"}}"#,
            "includeStreams: must be true or false",
        ),
        (
            r#"{"requestBuffer":{"limit":1,"includeStreams":false,"gatherGrpc":true}}"#,
            "gatherGrpc: must be left out beside includeStreams: false",
        ),
        (
            r#"{"requestBuffer":{"limit":1,"mode":"Stream","gatherGrpc":true}}"#,
            "gatherGrpc: must be left out in mode Stream",
        ),
    ] {
        let found = read(text).expect_err(text);
        assert!(
            found.iter().any(|line| line.contains(reason)),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn all_that_is_wrong_with_a_request_buffer_is_found_at_once() {
    let text = r#"{"requestBuffer":{"limit":"10Gi","mode":"Strem",
        "rules":[{"match":[],"limit":0}],"minDataRate":{"bytesPerSecond":1.5,"gracePeriod":"x"},
        "maxDuration":"0s","maxTotal":"1.5","includeStreams":1,"gatherGrpc":"no",
        "reject":{"statusCode":600,"contentType":"","body":1,"headers":[{"name":"a b","value":""}]}}}"#;
    let found = read(text).unwrap_err();
    assert_eq!(found.len(), 15, "{found:#?}");
}

/// Envoy Gateway refuses the two together; here upgrades pass unbuffered.
#[test]
fn upgrades_may_stand_beside_a_buffer() {
    let text = r#"{"requestBuffer":{"limit":"1Mi"},"httpUpgrade":[{"type":"websocket"}]}"#;
    assert!(read(text).is_ok());
}

#[test]
fn a_request_buffer_in_full() {
    let text = r#"{"requestBuffer":{"limit":"1Mi","includeStreams":false,
        "rules":[{"match":[{"methods":[{"value":"PUT"}]},{"path":{"value":"/up"}}],"limit":"2Mi"}],
        "minDataRate":{"bytesPerSecond":"1k"},"maxDuration":"1m","maxTotal":"2Mi",
        "reject":{"statusCode":400,"contentType":"text/html","body":"no",
                  "headers":[{"name":"X-A","value":"b"}]}}}"#;
    let buffer = read(text).unwrap().request_buffer.unwrap();
    assert_eq!(
        (buffer.mode, buffer.limit.get()),
        (BufferMode::Buffer, 1 << 20)
    );
    assert_eq!(buffer.largest().get(), 2 << 20);
    assert_eq!(buffer.rules[0].matches.len(), 2);
    assert_eq!(buffer.include_streams, Some(false));
    let rate = buffer.min_data_rate.unwrap();
    assert_eq!(rate.bytes_per_second.get(), 1_000);
    assert_eq!(rate.grace_period.as_nanos(), 5_000_000_000);
    assert_eq!(buffer.max_duration.unwrap().as_nanos(), 60_000_000_000);
    assert_eq!(buffer.reject.headers[0].0.as_str(), "x-a");
    let stream = read(r#"{"requestBuffer":{"limit":"8Gi","mode":"Stream"}}"#).unwrap();
    assert_eq!(stream.request_buffer.unwrap().limit.get(), 8 << 30);
}

#[test]
fn overrides_in_full() {
    let spec = read(
        r#"{"responseOverride":[
            {"match":{"statusCodes":[{"value":503}],
                      "responseHeaders":[{"name":"X-Error","value":{"type":"Prefix","value":"up"}}]},
             "source":"Backend",
             "response":{"statusCode":500,"contentType":"text/html",
                         "body":{"inline":"%RESPONSE_CODE%"},
                         "header":{"add":[{"name":"a","value":"1"}]}}},
            {"match":{"statusCodes":[{"type":"Range","range":{"start":400,"end":499}}]},
             "redirect":{"scheme":"https","hostname":"a.b","port":443,
                         "path":{"type":"ReplaceFullPath","replaceFullPath":"/x"}}}]}"#,
    )
    .unwrap();
    let [first, second] = spec.response_override.as_slice() else {
        panic!("{spec:?}")
    };
    assert_eq!(first.source, Source::Backend);
    assert_eq!(
        first.matching.headers[0].value,
        StringMatch::Prefix("up".into())
    );
    let Instead::Response(response) = &first.instead else {
        panic!("{first:?}")
    };
    let NewBody::One(body) = &response.body else {
        panic!("{response:?}")
    };
    assert_eq!((body.template.as_text(), body.escape), (None, Escape::Html));
    assert_eq!(response.headers.add.len(), 1);
    let Instead::Redirect(redirect) = &second.instead else {
        panic!("{second:?}")
    };
    assert_eq!(redirect.status, 302);
    assert_eq!(redirect.mode, RedirectMode::Internal);
    assert_eq!(redirect.path.as_ref().unwrap().as_text(), Some("/x"));
}

#[test]
fn all_that_is_wrong_with_retries_is_said_at_once() {
    let text = r#"{"retry":{"attempts":3,"numRetries":-1,"perRetry":{"timeout":250},
                            "retryOn":{"triggers":"5xx","httpStatusCodes":["503"]},"methods":[]},
                   "retryConstraint":{"budget":{"percent":0.2,"interval":"500ms"},"scope":"All",
                            "minRetryRate":{"count":0,"interval":"2h"},"onExhausted":"503",
                            "reportExhausted":"yes","mode":"Gate","budgetPercent":20}}"#;
    let found = read(text).unwrap_err();
    for wanted in [
        "retry.attempts: is not a known field: it is numRetries here",
        "retry.numRetries: must be between",
        "retry.perRetry.timeout: must be a duration such as",
        "retry.retryOn.triggers: must be a list",
        "retry.retryOn.httpStatusCodes[0]: must be a whole number, not a string",
        "retry.methods: must have 1 to 16 items",
        "budget.percent: must be a whole number",
        "budget.interval: must be between 1s and 1h",
        "retryConstraint.scope: must be one of",
        "minRetryRate.count: must be between",
        "minRetryRate.interval: must be between",
        "onExhausted: must be one of",
        "reportExhausted: must be true or false",
        "retryConstraint.mode: must be one of",
        "budgetPercent: is not a known field: it is budget.percent here",
    ] {
        let hits = found.iter().filter(|it| it.contains(wanted)).count();
        assert_eq!(hits, 1, "{wanted}: {found:#?}");
    }
    assert_eq!(found.len(), 15, "{found:#?}");
}
