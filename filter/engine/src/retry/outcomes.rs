//! Which outcomes of an attempt Envoy's router retries.
//!
//! Source: Envoy's `RetryStateImpl::wouldRetryFromHeaders`, 1.40.

use btp_policy::spec::{RetryOn, Trigger};

/// What a policy's `retryOn` means for a response; by default that nothing is retried.
#[derive(Debug, Default)]
pub(crate) struct RetryableOutcomes {
    /// Retries after the first attempt.
    pub(crate) max_retries: u32,
    any_5xx: bool,
    gateway_error: bool,
    conflict: bool,
    codes: Vec<u16>,
    /// Status codes of gRPC.
    grpc: Vec<u8>,
}

const CONFLICT: u16 = 409;

/// The names of the triggers for the headers that order retries: those of HTTP,
/// and those of gRPC.
pub(crate) fn triggers(on: &RetryOn) -> (Vec<&'static str>, Vec<&'static str>) {
    // Without codes of the policy's, it would be about those of the route.
    let is_idle = |it: &Trigger| *it == Trigger::STATUS_CODES && on.status_codes.is_empty();
    let triggers = on.triggers.iter().copied();
    let (grpc, http): (Vec<Trigger>, Vec<Trigger>) = triggers
        .filter(|trigger| !is_idle(trigger))
        .partition(|trigger| trigger.grpc_status().is_some());
    let names = |triggers: Vec<Trigger>| triggers.into_iter().map(Trigger::as_str).collect();
    (names(http), names(grpc))
}

impl RetryableOutcomes {
    pub(crate) fn of(on: &RetryOn, max_retries: u32) -> Self {
        let triggers = &on.triggers;
        let has = |name| triggers.iter().any(|trigger| trigger.as_str() == name);
        Self {
            max_retries,
            any_5xx: has("5xx"),
            gateway_error: has("gateway-error"),
            conflict: has("retriable-4xx"),
            codes: on.status_codes.clone(),
            grpc: (triggers.iter().copied())
                .filter_map(Trigger::grpc_status)
                .collect(),
        }
    }

    /// Whether any of them is a status of gRPC.
    pub(crate) fn ask_grpc(&self) -> bool {
        !self.grpc.is_empty()
    }

    /// Whether a response like this is retried.
    pub(crate) fn contain(&self, status: u16, grpc_status: Option<u8>) -> bool {
        (self.any_5xx && status >= 500)
            || (self.gateway_error && (502..=504).contains(&status))
            || (self.conflict && status == CONFLICT)
            || self.codes.contains(&status)
            || grpc_status.is_some_and(|status| self.grpc.contains(&status))
    }
}

#[cfg(test)]
mod tests {
    use super::{RetryableOutcomes, triggers};
    use btp_policy::PluginConfig;
    use btp_policy::spec::RetryOn;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn on(text: &str) -> RetryOn {
        let text =
            format!(r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{{"retry":{text}}}}}]}}"#);
        let mut config = PluginConfig::parse(text.as_bytes()).unwrap();
        let retry = config.policies.remove(0).spec.retry.unwrap();
        retry.for_all_methods().unwrap()
    }

    #[test]
    fn triggers_go_to_their_headers_and_codes_bring_theirs_along() {
        for (text, http, grpc) in [
            (
                "{}",
                "connect-failure,refused-stream,retriable-status-codes",
                "unavailable,cancelled",
            ),
            (r#"{"retryOn":{"triggers":["5xx"]}}"#, "5xx", ""),
            (
                r#"{"retryOn":{"triggers":["reset"],"httpStatusCodes":[502]}}"#,
                "reset,retriable-status-codes",
                "",
            ),
            (
                r#"{"retryOn":{"triggers":["retriable-status-codes","internal"]}}"#,
                "",
                "internal",
            ),
        ] {
            let (got_http, got_grpc) = triggers(&on(text));
            assert_eq!(
                (got_http.join(","), got_grpc.join(",")),
                (http.into(), grpc.into())
            );
        }
    }

    #[test]
    fn what_is_tried_again() {
        let plain = RetryableOutcomes::of(&on("{}"), 2);
        assert!(plain.contain(503, None) && !plain.contain(500, None));
        assert!(plain.contain(200, Some(14)) && !plain.contain(200, Some(13)));
        let most = on(
            r#"{"retryOn":{"triggers":["gateway-error","retriable-4xx","deadline-exceeded"],
                "httpStatusCodes":[201]}}"#,
        );
        let most = RetryableOutcomes::of(&most, 2);
        for status in [409, 502, 503, 504, 201] {
            assert!(most.contain(status, None), "{status}");
        }
        for status in [200, 404, 500, 501, 505] {
            assert!(!most.contain(status, None), "{status}");
        }
        assert!(most.contain(200, Some(4)) && !most.contain(200, Some(0)));
        let http = RetryableOutcomes::of(&on(r#"{"retryOn":{"triggers":["5xx"]}}"#), 2);
        assert!(plain.ask_grpc() && most.ask_grpc() && !http.ask_grpc());
    }
}
