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
            r#"{"bandwidthLimit":{"response":{"limit":{"value":1,"unit":"Second"}}}}"#,
            "spec.bandwidthLimit.response.limit.value: must be at least 1 KiB per second",
        ),
        (
            r#"{"bandwidthLimit":{"response":{"limit":{"value":"1Mi","unit":"Second"},
                "responseTrailers":{"prefix":"a b"}}}}"#,
            "spec.bandwidthLimit.response.responseTrailers.prefix: must have characters",
        ),
        (
            r#"{"telemetry":{"tracing":{"spanName":{"client":"%HTTP_METHOD%","server":"s"}}}}"#,
            "spec.telemetry.tracing.spanName.client: has %HTTP_METHOD%, which Envoy does not know",
        ),
        (
            r#"{"telemetry":{"tracing":{"tags":{"":"a"}}}}"#,
            "spec.telemetry.tracing.tags.: must not have an empty name",
        ),
        (
            r#"{"telemetry":{"tracing":{"tags":{"a":"100%"}}}}"#,
            "spec.telemetry.tracing.tags.a: must have operators",
        ),
        (
            r#"{"telemetry":{"tracing":{"customTags":{"a":{"type":"Literal","literal":{"value":""}}}}}}"#,
            "spec.telemetry.tracing.customTags.a.literal.value: must not be empty",
        ),
        (
            r#"{"telemetry":{"tracing":{"customTags":{"a":{"type":"RequestHeader","requestHeader":{"name":"x y"}}}}}}"#,
            "spec.telemetry.tracing.customTags.a.requestHeader.name: must be the name of a header",
        ),
        (
            r#"{"telemetry":{"tracing":{"customTags":{"a":{"type":"Environment"}}}}}"#,
            "spec.telemetry.tracing.customTags.a: must have environment",
        ),
        (
            r#"{"telemetry":{"tracing":{"samplingFraction":{"numerator":500}}}}"#,
            "spec.telemetry.tracing.samplingFraction: must not have a numerator above",
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
    let spec =
        r#"{"telemetry":{"metrics":{"routeStatName":"%X%"}},"http2":{"connectionKeepalive":{}}}"#;
    assert_eq!(problems(spec).len(), 3, "{:?}", problems(spec));
}
