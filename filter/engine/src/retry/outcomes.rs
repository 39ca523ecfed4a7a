//! Which outcomes of an attempt Envoy's router retries.
//!
//! Source: Envoy's `RetryStateImpl::wouldRetryFromHeaders`, 1.40.

use btp_policy::spec::Retry;

/// What a policy's `retryOn` means for a response.
#[derive(Debug)]
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

/// Envoy Gateway's triggers where a policy names none.
const DEFAULT: [&str; 5] = [
    "connect-failure",
    "refused-stream",
    "retriable-status-codes",
    "cancelled",
    "unavailable",
];
const CODES: &str = "retriable-status-codes";
/// Triggers that are gRPC's, and the status each stands for.
const GRPC: [(&str, u8); 5] = [
    ("cancelled", 1),
    ("deadline-exceeded", 4),
    ("internal", 13),
    ("resource-exhausted", 8),
    ("unavailable", 14),
];
const CONFLICT: u16 = 409;

/// The triggers of a policy: those of HTTP, and those of gRPC. Codes bring
/// the trigger along that makes them work.
pub(crate) fn triggers(retry: &Retry) -> (Vec<&'static str>, Vec<&'static str>) {
    let named: Vec<&'static str> = match &retry.triggers {
        Some(named) => named.iter().map(|trigger| trigger.as_str()).collect(),
        None => DEFAULT.to_vec(),
    };
    let is_grpc = |name: &str| GRPC.iter().any(|(other, _)| *other == name);
    let (grpc, mut http): (Vec<_>, Vec<_>) = named.into_iter().partition(|name| is_grpc(name));
    http.retain(|name| *name != CODES);
    if !retry.status_codes.is_empty() {
        http.push(CODES);
    }
    (http, grpc)
}

impl RetryableOutcomes {
    pub(crate) fn of(retry: &Retry) -> Self {
        let (http, grpc) = triggers(retry);
        let statuses = GRPC.iter().filter(|(name, _)| grpc.contains(name));
        Self {
            max_retries: retry.num_retries,
            any_5xx: http.contains(&"5xx"),
            gateway_error: http.contains(&"gateway-error"),
            conflict: http.contains(&"retriable-4xx"),
            codes: retry.status_codes.clone(),
            grpc: statuses.map(|(_, status)| *status).collect(),
        }
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
    use btp_policy::spec::Retry;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn retry(text: &str) -> Retry {
        let text =
            format!(r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{{"retry":{text}}}}}]}}"#);
        let mut config = PluginConfig::parse(text.as_bytes()).unwrap();
        config.policies.remove(0).spec.retry.unwrap()
    }

    #[test]
    fn triggers_go_to_their_headers_and_codes_bring_theirs_along() {
        for (text, http, grpc) in [
            (
                "{}",
                "connect-failure,refused-stream,retriable-status-codes",
                "cancelled,unavailable",
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
            let (got_http, got_grpc) = triggers(&retry(text));
            assert_eq!(
                (got_http.join(","), got_grpc.join(",")),
                (http.into(), grpc.into())
            );
        }
    }

    #[test]
    fn what_is_tried_again() {
        let plain = RetryableOutcomes::of(&retry("{}"));
        assert!(plain.contain(503, None) && !plain.contain(500, None));
        assert!(plain.contain(200, Some(14)) && !plain.contain(200, Some(13)));
        let most = RetryableOutcomes::of(&retry(
            r#"{"retryOn":{"triggers":["gateway-error","retriable-4xx","deadline-exceeded"],
                "httpStatusCodes":[201]}}"#,
        ));
        for status in [409, 502, 503, 504, 201] {
            assert!(most.contain(status, None), "{status}");
        }
        for status in [200, 404, 500, 501, 505] {
            assert!(!most.contain(status, None), "{status}");
        }
        assert!(most.contain(200, Some(4)) && !most.contain(200, Some(0)));
    }
}
