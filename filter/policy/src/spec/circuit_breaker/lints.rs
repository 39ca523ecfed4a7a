//! Advice on circuit breakers.

use crate::code::Code;
use crate::linter::Linter;
use crate::node::Value;

const DEFAULT_LIMIT: i64 = 1024;

impl Linter<'_, '_> {
    pub(in crate::spec) fn on_circuit_breaker(&mut self) {
        if self.get(&["circuitBreaker"]).is_none() {
            return;
        }
        let pending = ["circuitBreaker", "maxPendingRequests"];
        if self.get(&pending).map(|it| &it.value) == Some(&Value::Int(0)) {
            self.warn(
                &pending,
                Code::NoPendingRequests,
                "lets no request wait for a connection, and Envoy opens one only for a waiting \
                 request: every request without an open connection gets a 503, the first \
                 included. Write 1 or more",
            );
        }
        let limits = [
            "maxConnections",
            "maxPendingRequests",
            "maxParallelRequests",
        ];
        let is_default = |name: &&str| {
            let limit = self.get(&["circuitBreaker", name]).map(|node| &node.value);
            matches!(limit, None | Some(Value::Int(DEFAULT_LIMIT)))
        };
        let defaults: Vec<&str> = limits.into_iter().filter(is_default).collect();
        if !defaults.is_empty() {
            let message = format!(
                "leaves {} at the default of {DEFAULT_LIMIT}, which fits few backends",
                defaults.join(", ")
            );
            self.warn(&["circuitBreaker"], Code::DefaultBreakers, message);
        }
    }
}
