//! What is read, and what is said about what is wrong.

use super::*;
use crate::json;
use crate::regex::Regexes;
use crate::scalar::{Duration, HeaderName};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn read(text: &str) -> Result<FaultInjection, String> {
    let node = json::parse(text.as_bytes()).unwrap();
    let mut problems = Problems::default();
    let fault = FaultInjection::read(Cursor::root(&node), &Regexes::default(), &mut problems);
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
    let Some(AbortAction::Reply(reply)) = fault.abort.map(|abort| abort.action) else {
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

/// A delay that is drawn from this.
fn drawn(distribution: &str) -> Result<Distribution, String> {
    let fault = read(&format!(
        r#"{{"delay":{{"distribution":{{{distribution}}}}}}}"#
    ))?;
    match fault.delay.map(|delay| delay.length) {
        Some(DelayLength::Drawn(distribution)) => Ok(distribution),
        other => panic!("{other:?}"),
    }
}

#[test]
fn distributions_in_full() {
    let ms = Duration::from_millis;
    let max = |text: &str| drawn(text).unwrap().max;
    assert_eq!(max(r#""uniform":{"min":"0s","max":"10ms"}"#), ms(10));
    assert_eq!(max(r#""exponential":{"mean":"10ms"}"#), ms(60_000));
    assert_eq!(
        max(r#""normal":{"mean":"0s","stdDev":"1ms","max":"1h"}"#),
        ms(3_600_000)
    );
    assert_eq!(max(r#""logNormal":{"p50":"5ms","p99":"5ms"}"#), ms(60_000));
    let pareto = drawn(r#""pareto":{"scale":"5ms","shape":1.5}"#).unwrap();
    let (scale, shape) = (ms(5), 1.5);
    assert_eq!(pareto.spread, Spread::Pareto { scale, shape });
    let points = r#"[{"percentile":50,"delay":"0s"},{"percentile":99.9,"delay":"2s"}]"#;
    assert_eq!(
        max(&format!(r#""empirical":{{"points":{points}}}"#)),
        ms(2_000)
    );
    assert_eq!(
        max(&format!(r#""empirical":{{"points":{points},"max":"1s"}}"#)),
        ms(1_000)
    );
}

#[test]
fn distributions_that_mean_nothing_are_refused() {
    let one = "delay.distribution: must have one of uniform, normal, logNormal, exponential";
    for (text, reason) in [
        ("", one),
        (
            r#""exponential":{"mean":"1s"},"normal":{"mean":"1s","stdDev":"1s"}"#,
            one,
        ),
        (
            r#""uniform":{"min":"10ms","max":"9ms"}"#,
            "delay.distribution.uniform.max: must not be below min",
        ),
        (
            r#""uniform":{"min":"10ms"}"#,
            "delay.distribution.uniform.max: is required",
        ),
        (
            r#""logNormal":{"p50":"10ms","p99":"9ms"}"#,
            "delay.distribution.logNormal.p99: must not be below p50",
        ),
        (
            r#""logNormal":{"p50":"2m","p99":"3m"}"#,
            "delay.distribution.logNormal: must have a max: the default, 60s, is below p50",
        ),
        (
            r#""exponential":{"mean":"1s","max":"61m"}"#,
            "delay.distribution.exponential.max: must be at most 1h",
        ),
        (
            r#""normal":{"mean":"1s","stdDev":"0s"}"#,
            "delay.distribution.normal.stdDev: must be longer than zero",
        ),
        (
            r#""pareto":{"scale":"1s","shape":0}"#,
            "delay.distribution.pareto.shape: must be more than 0",
        ),
        (
            r#""pareto":{"scale":"1s","shape":-1.5}"#,
            "delay.distribution.pareto.shape: must be more than 0",
        ),
        (
            r#""empirical":{"points":[]}"#,
            "delay.distribution.empirical.points: must have 1 to 64 items",
        ),
        (
            r#""empirical":{"points":[{"percentile":50,"delay":"1s"},{"percentile":50,"delay":"1s"}]}"#,
            "delay.distribution.empirical.points[1].percentile: must be above the one before",
        ),
        (
            r#""empirical":{"points":[{"percentile":50,"delay":"1s"},{"percentile":99,"delay":"1ms"}]}"#,
            "delay.distribution.empirical.points[1].delay: must not be below the one before",
        ),
        (
            r#""empirical":{"points":[{"percentile":101,"delay":"1s"}]}"#,
            "delay.distribution.empirical.points[0].percentile: must be a percentage",
        ),
    ] {
        let found = drawn(text).unwrap_err();
        assert!(found.starts_with(reason), "{text}: {found}");
    }
    let both =
        read(r#"{"delay":{"fixedDelay":"1s","distribution":{"exponential":{"mean":"1s"}}}}"#);
    assert!(both.unwrap_err().starts_with("delay: must have either"));
}

#[test]
fn faults_behind_the_router() {
    let fault = read(
        r#"{"position":"Upstream","attempts":[1,3],"delay":{"fixedDelay":"1s"},
            "abort":{"httpStatus":503,"percentage":50,"reset":false},"maxActive":1,
            "sampling":{"key":"RequestID"},"match":[{"methods":[{"value":"GET"}]}]}"#,
    )
    .unwrap();
    assert_eq!(fault.position, Position::Upstream);
    assert_eq!(fault.attempts, [1, 3]);
}

#[test]
fn what_a_position_cannot_do_is_refused() {
    for (fields, reason) in [
        (
            r#""position":"Downstream","attempts":[1],"abort":{"httpStatus":503}"#,
            "attempts: must be left out: attempts are known",
        ),
        (
            r#""position":"Upstream","attempts":[0],"abort":{"httpStatus":503}"#,
            "attempts[0]: must be between 1 and 100",
        ),
        (
            r#""position":"Upstream","attempts":[],"abort":{"httpStatus":503}"#,
            "attempts: must have 1 to 16 items",
        ),
        (
            r#""position":"Sidestream","abort":{"httpStatus":503}"#,
            "position: must be one of Downstream, Upstream",
        ),
        (
            r#""position":"Upstream","abort":{"reset":true}"#,
            "abort.reset: must be left out with position Upstream",
        ),
        (
            r#""position":"Upstream","abort":{"grpcStatus":14}"#,
            "abort.grpcStatus: must be left out with position Upstream",
        ),
        (
            r#""position":"Upstream","abort":{"httpStatus":503,"body":"x"}"#,
            "abort.body: must be left out with position Upstream",
        ),
        (
            r#""position":"Upstream","abort":{"httpStatus":204}"#,
            "abort.httpStatus: must be a status with a body",
        ),
        (
            r#""position":"Upstream","headerControl":{"abort":{}}"#,
            "headerControl: must be left out with position Upstream",
        ),
    ] {
        let found = read(&format!("{{{fields}}}")).unwrap_err();
        assert!(found.starts_with(reason), "{fields}: {found}");
    }
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
            "maxActive: must be left out without a delay",
        ),
        (r#""match":[]"#, "match: must have 1 to 16 items"),
    ] {
        let found = with(fields).unwrap_err();
        assert!(found.starts_with(reason), "{fields}: {found}");
    }
}
