//! What Envoy's router makes of the headers that tell it to retry.

use crate::testing::message::Message;

/// The orders of one request.
#[derive(Debug, Default)]
pub(super) struct Router {
    on: Vec<String>,
    codes: Vec<String>,
    most: u32,
}

impl Router {
    /// Takes the orders out of a request, as Envoy keeps them to itself.
    pub(super) fn take(request: &mut Message) -> Self {
        let mut taken = |name: &str| {
            let value = request.get(name).map(str::to_owned);
            request.headers.retain(|(other, _)| other != name);
            value
        };
        let list = |text: Option<String>| -> Vec<String> {
            let text = text.unwrap_or_default();
            text.split(',').map(|item| item.trim().to_owned()).collect()
        };
        let mut on = list(taken("x-envoy-retry-on"));
        on.extend(list(taken("x-envoy-retry-grpc-on")));
        let most = taken("x-envoy-max-retries").and_then(|most| most.parse().ok());
        taken("x-envoy-upstream-rq-per-try-timeout-ms");
        Self {
            on,
            codes: list(taken("x-envoy-retriable-status-codes")),
            most: most.unwrap_or(1),
        }
    }

    /// Whether a response that came of try number `tries` is not final.
    pub(super) fn tries_again(&self, response: &Message, tries: u32) -> bool {
        let status = response.get(":status").unwrap_or_default();
        let is_5xx = status.starts_with('5');
        let grpc = response.get("grpc-status").unwrap_or_default();
        let grpc_name = match grpc {
            "1" => "cancelled",
            "4" => "deadline-exceeded",
            "8" => "resource-exhausted",
            "13" => "internal",
            "14" => "unavailable",
            _ => "",
        };
        let matches = |name: &String| match name.as_str() {
            "" => false,
            "5xx" => is_5xx,
            "gateway-error" => ["502", "503", "504"].contains(&status),
            "retriable-4xx" => status == "409",
            "retriable-status-codes" => self.codes.iter().any(|code| code == status),
            name => name == grpc_name,
        };
        tries <= self.most
            && response.get("x-envoy-ratelimited").is_none()
            && self.on.iter().any(matches)
    }
}
