//! What is refused, and how it is said.

use super::*;

fn problems(spec: &str) -> Vec<String> {
    let found = translate(&parse(spec), &Context::default()).unwrap_err();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_not_translated_is_refused() {
    for (spec, start) in [
        (
            r#"{"rateLimit":{"global":{"rules":[]}}}"#,
            "spec.rateLimit.global: needs a rate limit service",
        ),
        (
            r#"{"bandwidthLimit":{"request":{"limit":{"value":"1Mi","unit":"Second"}}}}"#,
            "spec.bandwidthLimit: is not translated",
        ),
        (
            r#"{"telemetry":{"metrics":{}}}"#,
            "spec.telemetry: is not translated",
        ),
        (
            r#"{"connection":{"socketBufferLimit":"1Mi"}}"#,
            "spec.connection.socketBufferLimit: is put into force by nobody",
        ),
        (
            r#"{"loadBalancer":{"type":"DynamicModule","dynamicModule":{"name":"m","lbPolicyName":"p"}}}"#,
            "spec.loadBalancer.type: must not be DynamicModule",
        ),
        (
            r#"{"loadBalancer":{"type":"Random","endpointOverride":{"extractFrom":[{}]}}}"#,
            "spec.loadBalancer.endpointOverride.extractFrom: must have a header",
        ),
        (
            r#"{"http2":{"connectionKeepalive":{"interval":"1s"}}}"#,
            "spec.http2.connectionKeepalive: must have a timeout",
        ),
        (
            r#"{"http2":{"connectionKeepalive":{"timeout":"1s"}}}"#,
            "spec.http2.connectionKeepalive: must have an interval",
        ),
        (
            r#"{"loadBalancer":{"type":"Random"},"connection":{"preconnect":{"predictivePercent":301}}}"#,
            "spec.connection.preconnect.predictivePercent: must be between 100 and 300 (got 301)",
        ),
        (
            r#"{"healthCheck":{"active":{"type":"HTTP","http":{"path":"/","method":"FETCH"}}}}"#,
            "spec.healthCheck.active.http.method: must be one of GET, HEAD",
        ),
        (
            r#"{"healthCheck":{"active":{"type":"TCP","tcp":{},"healthCheckLog":{}}}}"#,
            "spec.healthCheck.active.healthCheckLog: must have a sink",
        ),
        (
            r#"{"retry":{"perRetry":{"backOff":{"baseInterval":"0s"}}}}"#,
            "spec.retry.perRetry.backOff.baseInterval: must be longer than zero",
        ),
        (
            r#"{"timeout":{"http":{"requestTimeout":"5"}}}"#,
            "spec.timeout.http.requestTimeout: must be a duration",
        ),
    ] {
        let found = problems(spec);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(start), "{found:?}");
    }
}

#[test]
fn global_limits_that_are_switched_off_are_passed_over() {
    let spec = r#"{"rateLimit":{"type":"Local","global":{"rules":[]}}}"#;
    let changes = translated(spec).changes;
    let [change] = &changes[..] else {
        panic!("{changes:?}");
    };
    assert_eq!(change.field, "spec.rateLimit.global");
    assert!(matches!(change.operation, Operation::Nothing(_)));
}

#[test]
fn everything_wrong_is_said_at_once() {
    let spec = r#"{"telemetry":{},"http2":{"connectionKeepalive":{}}}"#;
    assert_eq!(problems(spec).len(), 3, "{:?}", problems(spec));
}
