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
    let text = r#"{"policies":[{"metadata":{"name":"p"},"spec":
        {"retry":{"numRetries":3,"perRetry":{"timeout":"1500ms"}},"retryConstraint":{}}}]}"#;
    let mut config = PluginConfig::parse(text.as_bytes()).unwrap();
    let policy = config.policies.remove(0);
    Retries::compile(&policy.name, &policy.spec, native).unwrap()
}

/// The headers that are written for a client that asks for so many retries
/// itself, under a limit.
fn written(native: NativeFields, limit: Option<u32>, asked: Option<&str>) -> Vec<String> {
    let mut host = FakeHost::default();
    let header = |value: &str| (MOST.to_owned(), value.as_bytes().to_vec());
    host.request_headers.extend(asked.map(header));
    let mut out = Vec::new();
    retries(native).instruct(limit, &mut Event::new(&mut host, &mut out));
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
        "x-envoy-retry-grpc-on: cancelled,unavailable",
        "x-envoy-retriable-status-codes: 503",
        "x-envoy-upstream-rq-per-try-timeout-ms: 1500",
        "x-envoy-max-retries: 3",
    ];
    assert_eq!(written(OURS, None, None), wanted);
    assert_eq!(written(OURS, Some(0), None), ["x-envoy-max-retries: 0"]);
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
