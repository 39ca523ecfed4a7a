//! What the router is told, and when there is nothing to tell.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use btp_policy::PluginConfig;

use super::*;
use crate::action::Flow;
use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::testing::FakeHost;
use crate::testing::feed;
use crate::worker::Worker;

const ENVOYS: NativeFields = NativeFields::Applied;
const OURS: NativeFields = NativeFields::Refuse;
const MOST: &str = "x-envoy-max-retries";

fn retries(native: NativeFields) -> Retries {
    compiled(
        r#"{"retry":{"numRetries":3,"perRetry":{"timeout":"1500ms"}},"retryConstraint":{}}"#,
        native,
    )
}

fn compiled(spec: &str, native: NativeFields) -> Retries {
    let text = format!(r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{spec}}}]}}"#);
    let mut config = PluginConfig::parse(text.as_bytes()).unwrap();
    let policy = config.policies.remove(0);
    Retries::compile(&policy.name, &policy.spec, native).unwrap()
}

/// The headers that are written for a client that requests so many retries itself, under a
/// limit.
fn written(native: NativeFields, limit: Option<u32>, asked: Option<&str>) -> Vec<String> {
    let retries = retries(native);
    written_by(&retries, retries.rule_for_all(), limit, asked)
}

/// The same by these retries, under a rule.
fn written_by(
    retries: &Retries,
    rule: Option<RuleId>,
    limit: Option<u32>,
    asked: Option<&str>,
) -> Vec<String> {
    let mut host = FakeHost::default();
    let header = |value: &str| (MOST.to_owned(), value.as_bytes().to_vec());
    host.request_headers.extend(asked.map(header));
    let mut out = Vec::new();
    retries.instruct(rule, limit, &mut Event::new(&mut host, &mut out));
    out.into_iter()
        .map(|action| match action {
            Action::SetRequestHeader(name, value) => format!("{name}: {value}"),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn beside_envoys_own_retries_nothing_is_written_that_changes_nothing() {
    assert!(written(ENVOYS, None, None).is_empty());
    assert!(written(ENVOYS, None, Some("3")).is_empty());
    assert!(written(ENVOYS, None, Some("1")).is_empty());
    assert!(written(ENVOYS, Some(3), None).is_empty());
    assert!(written(ENVOYS, Some(9), Some("nonsense")).is_empty());
}

#[test]
fn beside_envoys_own_retries_one_header_says_what_is_less() {
    for (limit, asked, wanted) in [
        (Some(0), None, "0"),
        (Some(1), None, "1"),
        (None, Some("4"), "3"),
        (Some(2), Some("9"), "2"),
    ] {
        let wanted = [format!("{MOST}: {wanted}")];
        assert_eq!(written(ENVOYS, limit, asked), wanted, "{limit:?} {asked:?}");
    }
}

#[test]
fn where_envoy_has_no_retries_the_router_is_told_all() {
    let wanted = [
        "x-envoy-retry-on: connect-failure,refused-stream,retriable-status-codes",
        "x-envoy-retry-grpc-on: unavailable,cancelled",
        "x-envoy-retriable-status-codes: 503",
        "x-envoy-upstream-rq-per-try-timeout-ms: 1500",
        "x-envoy-max-retries: 3",
    ];
    assert_eq!(written(OURS, None, None), wanted);
    assert_eq!(written(OURS, Some(0), None), ["x-envoy-max-retries: 0"]);
}

/// The headers that are written for a request of this method.
fn for_method(retries: &Retries, method: &str) -> Vec<String> {
    written_by(retries, rule_of(retries, method), None, None)
}

fn rule_of(retries: &Retries, method: &str) -> Option<RuleId> {
    let headers = vec![(":method", method)];
    retries.rule_for(&Request::new(&headers, None))
}

const CONDITIONS: &str = r#"{"retry":{"numRetries":1,"perRetry":{"timeout":"9s"},"retryOn":
    {"conditions":[{"triggers":["connect-failure","unavailable"]},
        {"httpStatusCodes":[503],"methods":["Idempotent","REPORT"]},
        {"triggers":["internal"],"httpStatusCodes":[502],"methods":["GET"]}]}}}"#;

#[test]
fn the_router_is_told_what_holds_for_the_method() {
    let retries = compiled(CONDITIONS, OURS);
    assert!(retries.requires().headers && retries.rule_for_all().is_none());
    let rest = [
        "x-envoy-upstream-rq-per-try-timeout-ms: 9000",
        "x-envoy-max-retries: 1",
    ];
    for (method, wanted) in [
        (
            "GET",
            &[
                "x-envoy-retry-on: connect-failure,retriable-status-codes",
                "x-envoy-retry-grpc-on: unavailable,internal",
                "x-envoy-retriable-status-codes: 503,502",
            ][..],
        ),
        (
            "REPORT",
            &[
                "x-envoy-retry-on: connect-failure,retriable-status-codes",
                "x-envoy-retry-grpc-on: unavailable",
                "x-envoy-retriable-status-codes: 503",
            ],
        ),
        (
            "POST",
            &[
                "x-envoy-retry-on: connect-failure",
                "x-envoy-retry-grpc-on: unavailable",
            ],
        ),
    ] {
        let wanted: Vec<&str> = wanted.iter().copied().chain(rest).collect();
        assert_eq!(for_method(&retries, method), wanted, "{method}");
    }
}

#[test]
fn beside_envoys_own_retries_a_method_gets_what_it_has_beyond_all() {
    let retries = compiled(CONDITIONS, ENVOYS);
    for (method, wanted) in [
        (
            "GET",
            &[
                "x-envoy-retry-on: retriable-status-codes",
                "x-envoy-retry-grpc-on: internal",
                "x-envoy-retriable-status-codes: 503,502",
            ][..],
        ),
        (
            "PUT",
            &[
                "x-envoy-retry-on: retriable-status-codes",
                "x-envoy-retriable-status-codes: 503",
            ],
        ),
        ("POST", &[]),
        ("get", &[]),
    ] {
        assert_eq!(for_method(&retries, method), wanted, "{method}");
    }
}

/// The trigger for codes without codes would be about those that a route or client names.
#[test]
fn codes_join_a_trigger_that_all_methods_have() {
    let spec = r#"{"retry":{"retryOn":{"conditions":[
        {"triggers":["reset","retriable-status-codes"]},
        {"httpStatusCodes":[503],"methods":["GET"]}]}}}"#;
    let applied = compiled(spec, ENVOYS);
    let wanted = ["x-envoy-retriable-status-codes: 503"];
    assert_eq!(for_method(&applied, "GET"), wanted);
    let told = for_method(&compiled(spec, OURS), "POST");
    assert_eq!(told, ["x-envoy-retry-on: reset", "x-envoy-max-retries: 2"]);
}

#[test]
fn a_method_that_no_condition_is_for_is_not_retried() {
    let spec = r#"{"retry":{"retryOn":{"conditions":[
        {"triggers":["reset"],"methods":["GET"]}]}},"retryConstraint":{}}"#;
    for (native, wanted) in [
        (ENVOYS, &["x-envoy-retry-on: reset"][..]),
        (OURS, &["x-envoy-retry-on: reset", "x-envoy-max-retries: 2"]),
    ] {
        let retries = compiled(spec, native);
        assert_eq!(for_method(&retries, "GET"), wanted);
        assert_eq!(for_method(&retries, "POST"), ["x-envoy-max-retries: 0"]);
        let budget = retries.budget.as_ref().unwrap();
        assert!(!retries.budget_request(budget, 0, None).may_retry);
    }
}

#[test]
fn a_budget_judges_responses_by_what_holds_for_the_method() {
    let spec = CONDITIONS.replacen('{', r#"{"retryConstraint":{},"#, 1);
    let retries = compiled(&spec, ENVOYS);
    let budget = retries.budget.as_ref().unwrap();
    for (method, status, is_retried) in [
        ("GET", 502, true),
        ("PUT", 502, false),
        ("PUT", 503, true),
        ("POST", 503, false),
    ] {
        let request = retries.budget_request(budget, 0, rule_of(&retries, method));
        let outcomes = request.outcomes.unwrap();
        assert!(request.may_retry && outcomes.max_retries == 1);
        assert_eq!(outcomes.contain(status, None), is_retried, "{method}");
    }
}

/// Nothing is asked of a request where all methods have the same.
#[test]
fn conditions_for_all_methods_cost_what_none_do() {
    let spec = r#"{"retry":{"retryOn":{"conditions":[{"triggers":["reset"]},
        {"httpStatusCodes":[503]},{"triggers":["reset"],"methods":["GET"]}]}}}"#;
    let retries = compiled(spec, ENVOYS);
    assert!(!retries.requires().headers);
    assert_eq!(
        written_by(&retries, retries.rule_for_all(), None, None),
        [""; 0]
    );
}

/// The status that a gRPC-Web client reads in a reply.
fn in_frame(action: &Action) -> Option<u8> {
    match action {
        Action::ReplyInstead(reply) if reply.body.starts_with(&[0x80]) => reply.grpc_status,
        _ => None,
    }
}

/// Its account has died with the VM that kept it, or it never had one.
#[test]
fn a_further_try_of_an_exchange_that_nobody_knows_is_refused() {
    let text = br#"{"position":"Upstream","policies":[]}"#;
    let plan = Plan::compile(PluginConfig::parse(text).unwrap());
    for (name, attempt, flow) in [
        (Some([7; 16]), 1, Flow::Continue),
        (Some([7; 16]), 2, Flow::Stop),
        (Some([7; 16]), 0, Flow::Continue),
        (None, 2, Flow::Continue),
    ] {
        let mut host = FakeHost::default();
        (host.exchange_name, host.attempts) = (name, attempt);
        let call = [
            ("content-type", "application/grpc-web"),
            (":method", "POST"),
        ];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.into());
        host.request_headers = call.map(owned).to_vec();
        let (mut worker, mut out) = (Worker::new(&plan), Vec::new());
        let mut exchange = Exchange::default();
        let came = feed(&plan, &mut worker, &mut host, &mut out, |cx| {
            exchange.request_headers(cx, true)
        });
        assert_eq!(came, flow, "{name:?} {attempt:?}");
        let replies: Vec<_> = out.iter().filter_map(in_frame).collect();
        let wanted: &[_] = if flow == Flow::Stop { &[14] } else { &[] };
        assert_eq!(replies, wanted);
        assert_eq!(out.len(), wanted.len());
        feed(&plan, &mut worker, &mut host, &mut out, |cx| {
            exchange.done(cx)
        });
    }
}
