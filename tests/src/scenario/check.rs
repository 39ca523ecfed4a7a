//! Compares what was observed with what a row expects.

use std::time::Duration;

use super::Expect;
use crate::{Fields, field, field_values};

/// What came of one exchange, whoever ran it.
#[derive(Clone, Debug)]
pub struct Observed {
    /// HTTP status.
    pub status: u16,
    /// Response headers.
    pub headers: Fields,
    /// Response body; of a gRPC reply its messages, one after another.
    pub body: Vec<u8>,
    /// gRPC status, if the client speaks gRPC.
    pub grpc_status: Option<u32>,
    /// Time to the response's headers.
    pub delay: Duration,
    /// Requests the upstream saw, where that can be known.
    pub upstream_requests: Option<usize>,
    /// Response code details, where they can be known.
    pub details: Option<String>,
    /// What the access log says of decisions, where that can be known.
    pub decision: Option<String>,
}

/// Every expectation that does not hold, as one line each. What the runner
/// could not observe is not compared.
pub fn check(expect: &Expect, observed: &Observed) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut equal = |what: &str, expected: String, actual: String| {
        if expected != actual {
            wrong.push(format!("{what}: expected {expected}, got {actual}"));
        }
    };
    let body = String::from_utf8_lossy(&observed.body);

    if let Some(status) = expect.status {
        equal("status", status.to_string(), observed.status.to_string());
    }
    if let Some(text) = &expect.body {
        equal("body", format!("{text:?}"), format!("{body:?}"));
    }
    if let Some(status) = expect.grpc_status {
        let actual = observed.grpc_status;
        equal(
            "grpcStatus",
            format!("{:?}", Some(status)),
            format!("{actual:?}"),
        );
    }
    if let (Some(expected), Some(actual)) = (expect.upstream_requests, observed.upstream_requests) {
        equal("upstreamRequests", expected.to_string(), actual.to_string());
    }
    if let (Some(expected), Some(actual)) = (&expect.details, &observed.details) {
        equal("details", expected.clone(), actual.clone());
    }
    if let (Some(expected), Some(actual)) = (&expect.decision, &observed.decision) {
        equal("decision", expected.clone(), actual.clone());
    }
    for (name, expected) in &expect.headers {
        let actual = match field_values(&observed.headers, name).len() {
            0 | 1 => field(&observed.headers, name),
            count => Some(format!("{count} fields")),
        };
        let what = format!("header {name}");
        equal(&what, format!("{expected:?}"), format!("{actual:?}"));
    }

    if let Some(part) = &expect.body_contains
        && !body.contains(part.as_str())
    {
        wrong.push(format!(
            "body: expected it to contain {part:?}, got {body:?}"
        ));
    }
    let delay = observed.delay;
    if let Some(min) = expect.min_delay_ms.map(Duration::from_millis)
        && delay < min
    {
        wrong.push(format!("delay: expected at least {min:?}, got {delay:?}"));
    }
    if let Some(max) = expect.max_delay_ms.map(Duration::from_millis)
        && delay > max
    {
        wrong.push(format!("delay: expected at most {max:?}, got {delay:?}"));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed() -> Observed {
        Observed {
            status: 503,
            headers: vec![
                ("content-type".into(), b"text/plain".to_vec()),
                ("twice".into(), b"1".to_vec()),
                ("twice".into(), b"2".to_vec()),
            ],
            body: b"out of order".to_vec(),
            grpc_status: None,
            delay: Duration::from_millis(100),
            upstream_requests: Some(0),
            details: None,
            decision: None,
        }
    }

    fn wrong(expect: &str) -> Vec<String> {
        check(&serde_json::from_str(expect).unwrap(), &observed())
    }

    #[test]
    fn nothing_expected_is_nothing_wrong() {
        assert!(wrong("{}").is_empty());
    }

    #[test]
    fn what_holds_is_not_wrong() {
        let expect = r#"{"status": 503, "body": "out of order", "bodyContains": "of",
            "headers": {"Content-Type": "text/plain", "x-gone": null},
            "minDelayMs": 100, "maxDelayMs": 100, "upstreamRequests": 0, "details": "any"}"#;
        assert_eq!(wrong(expect), Vec::<String>::new());
    }

    #[test]
    fn each_expectation_can_fail() {
        for expect in [
            r#"{"status": 200}"#,
            r#"{"body": "out"}"#,
            r#"{"bodyContains": "work"}"#,
            r#"{"headers": {"content-type": null}}"#,
            r#"{"headers": {"x-gone": "here"}}"#,
            r#"{"headers": {"twice": "1"}}"#,
            r#"{"minDelayMs": 101}"#,
            r#"{"maxDelayMs": 99}"#,
            r#"{"upstreamRequests": 1}"#,
            r#"{"grpcStatus": 14}"#,
        ] {
            assert_eq!(wrong(expect).len(), 1, "{expect}");
        }
        let mut detailed = observed();
        detailed.details = Some("via_upstream".into());
        let expect = serde_json::from_str(r#"{"details": "other"}"#).unwrap();
        assert_eq!(check(&expect, &detailed).len(), 1);
    }
}
