//! What is read, and what is said about what is wrong.

use super::*;
use crate::json;
use crate::scalar::HeaderName;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn read(text: &str) -> Result<FaultInjection, String> {
    let node = json::parse(text.as_bytes()).unwrap();
    let mut problems = Problems::default();
    let fault = FaultInjection::read(At::root(&node), &mut problems);
    let found = problems.into_vec();
    if found.is_empty() {
        return Ok(fault.unwrap());
    }
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    Err(lines.join("\n"))
}

/// An abort with these fields.
fn abort(fields: &str) -> Result<FaultInjection, String> {
    read(&format!(r#"{{"abort":{{{fields}}}}}"#))
}

/// Beside an abort, these fields.
fn with(fields: &str) -> Result<FaultInjection, String> {
    read(&format!(r#"{{"abort":{{"httpStatus":503}},{fields}}}"#))
}

#[test]
fn extensions_in_full() {
    let fault = read(
        r#"{"match":[{"methods":[{"value":"GET"}]}],
            "delay":{"fixedDelay":"1s","percentage":5},
            "abort":{"httpStatus":503,"body":"100% out","contentType":"text/html",
                     "headers":[{"name":"X-Fault","value":"yes"}]},
            "sampling":{"seed":7,"key":"Header","name":"X-User"},
            "headerControl":{"delay":{"max":"2s","percentage":10},"abort":{}},
            "schedule":{"start":"2026-11-21T15:00:00Z","end":"2026-11-21T16:00:00Z"},
            "maxActive":100,"exemptHealthChecks":false}"#,
    )
    .unwrap();
    let Some(Abortion::Reply(reply)) = fault.abort.map(|abort| abort.action) else {
        panic!("no reply");
    };
    assert_eq!(reply.body.as_deref(), Some("100% out"));
    assert_eq!(reply.content_type.as_deref(), Some("text/html"));
    assert_eq!(reply.headers[0].0.as_str(), "x-fault");
    let sticky = Sampling::Sticky {
        seed: 7,
        key: SamplingKey::Header(HeaderName::new("x-user").unwrap()),
    };
    assert_eq!(fault.sampling, sticky);
    let control = fault.header_control.unwrap();
    let (longest, share) = control.delay.unwrap();
    assert_eq!((longest.as_nanos(), share.get()), (2_000_000_000, 100_000));
    assert_eq!(control.abort, Some(Ppm::ALWAYS));
    let schedule = fault.schedule.unwrap();
    assert!(schedule.covers(1_795_273_200_000) && !schedule.covers(1_795_273_199_999));
    assert!(!schedule.covers(1_795_276_800_000));
    assert_eq!(fault.max_active, Some(100));
    assert!(!fault.exempt_health_checks);
}

#[test]
fn what_is_left_out_is_off() {
    let fault = read(r#"{"headerControl":{"abort":{"percentage":1}}}"#).unwrap();
    assert_eq!(fault.sampling, Sampling::Random);
    assert!(fault.exempt_health_checks && fault.matches.is_empty());
    assert_eq!((fault.schedule, fault.max_active), (None, None));
    assert_eq!((fault.delay, fault.abort), (None, None));
}

#[test]
fn key_none_is_the_default_spelled_out() {
    let fault = with(r#""sampling":{"key":"None"}"#).unwrap();
    assert_eq!(fault.sampling, Sampling::Random);
}

#[test]
fn aborts_that_mean_nothing_are_refused() {
    let one = "abort: must have exactly one of httpStatus, grpcStatus and reset: true";
    for (fields, reason) in [
        ("", one),
        (r#""reset":false"#, one),
        (r#""reset":true,"httpStatus":503"#, one),
        (r#""httpStatus":503,"grpcStatus":14"#, one),
        (
            r#""reset":true,"body":"x""#,
            "abort.body: must be left out: a reset sends no reply",
        ),
        (
            r#""httpStatus":204,"contentType":"text/html""#,
            "abort.contentType: must be left out: status 204 has no body",
        ),
        (
            r#""httpStatus":503,"headers":[{"name":"Content-Type","value":"a"}]"#,
            "abort.headers[0].name: is written by contentType",
        ),
        (
            r#""httpStatus":503,"headers":[{"name":"content-length","value":"1"}]"#,
            "abort.headers[0].name: is written by Envoy itself",
        ),
        (
            r#""httpStatus":503,"contentType":"a\r\nb""#,
            "abort.contentType: must not contain control characters",
        ),
    ] {
        let found = abort(fields).unwrap_err();
        assert!(found.starts_with(reason), "{fields}: {found}");
    }
}

#[test]
fn settings_that_mean_nothing_are_refused() {
    for (fields, reason) in [
        (
            r#""sampling":{"key":"Cookie"}"#,
            "sampling.key: must be one of None, RequestID, Header, SourceIP",
        ),
        (r#""sampling":{}"#, "sampling.key: is required"),
        (
            r#""sampling":{"key":"Header"}"#,
            "sampling.name: is required",
        ),
        (
            r#""sampling":{"key":"SourceIP","name":"x"}"#,
            "sampling.name: must be left out: only key Header",
        ),
        (
            r#""sampling":{"key":"None","seed":1}"#,
            "sampling.seed: must be left out: key None",
        ),
        (
            r#""sampling":{"key":"RequestID","seed":-1}"#,
            "sampling.seed: must be between 0",
        ),
        (r#""schedule":{}"#, "schedule: must have start, end or both"),
        (
            r#""schedule":{"start":"2026-11-21T15:00:00Z","end":"2026-11-21T15:00:00Z"}"#,
            "schedule.end: must be later than start",
        ),
        (
            r#""schedule":{"end":"tomorrow"}"#,
            "schedule.end: must be a time as RFC 3339 writes it",
        ),
        (
            r#""headerControl":{}"#,
            "headerControl: must have delay, abort or both",
        ),
        (
            r#""headerControl":{"delay":{}}"#,
            "headerControl.delay.max: is required",
        ),
        (r#""maxActive":0"#, "maxActive: must be between 1"),
        (
            r#""maxActive":5"#,
            "maxActive: must be left out: nothing waits",
        ),
        (r#""match":[]"#, "match: must have 1 to 16 items"),
    ] {
        let found = with(fields).unwrap_err();
        assert!(found.starts_with(reason), "{fields}: {found}");
    }
}
