//! Advice: settings that are valid for the API, and yet probably a mistake. Advice on one
//! field is in its folder.

use crate::code::Code;
use crate::linter::Linter;
use crate::node::{Node, Value};
use crate::problem::Problems;
use crate::read::Cursor;

/// Notes advice on a `spec` in which nothing is wrong.
pub fn lint(spec: Cursor<'_>, warnings: &mut Problems) {
    let mut linter = Linter { spec, warnings };
    linter.on_admission_control();
    linter.on_retries();
    linter.on_retry_constraint();
    linter.on_timeouts();
    linter.on_health();
    linter.on_circuit_breaker();
    linter.on_faults();
    linter.on_overrides();
    linter.on_distinct_limits();
    linter.on_requests_without_a_key();
    linter.on_addresses();
    linter.on_reserves_against_the_order();
    linter.on_global_limits();
    linter.on_buffers();
    linter.on_old_fields();
    linter.on_limits_of_the_other_type();
    linter.on_compressors();
    linter.on_fields_beside_others();
}

/// Adds advice for a filter that is set up by hand; `btp apply` follows it by itself.
pub fn lint_by_hand(spec: Cursor<'_>, warnings: &mut Problems) {
    let mut linter = Linter { spec, warnings };
    linter.on_retry_constraint_by_hand();
    linter.on_retried_bodies_by_hand();
}

impl Linter<'_, '_> {
    /// What counts for nothing as long as something else is, or is not, there.
    fn on_fields_beside_others(&mut self) {
        let breaker = "circuitBreaker";
        if self.get(&[breaker, "retryBudget"]).is_some() {
            self.warn_if_there(
                &[breaker, "maxParallelRetries"],
                Code::BesideRetryBudget,
                "has no effect beside retryBudget, which limits retries instead: leave one of \
                 them out",
            );
        }
        let passive = ["healthCheck", "passive"];
        let splits = self
            .get(&[passive[0], passive[1], "splitExternalLocalOriginErrors"])
            .is_some_and(|it| it.value == Value::Bool(true));
        if !splits {
            self.warn_if_there(
                &[passive[0], passive[1], "consecutiveLocalOriginFailures"],
                Code::WithoutSplit,
                "has no effect without splitExternalLocalOriginErrors: true: connections that \
                 fail count as consecutive5XxErrors",
            );
        }
    }

    fn on_old_fields(&mut self) {
        for (path, new) in [
            (&["compression"][..], "compressor"),
            (
                &["loadBalancer", "consistentHash", "header"],
                "headers, with type Headers",
            ),
        ] {
            if self.get(path).is_some() {
                self.warn(
                    path,
                    Code::DeprecatedField,
                    format!("is deprecated: write {new}"),
                );
            }
        }
        if self.get(&["rateLimit", "type"]).is_some() {
            let message = "is deprecated: local and global need no type";
            self.warn(&["rateLimit", "type"], Code::DeprecatedField, message);
        }
    }

    fn on_limits_of_the_other_type(&mut self) {
        let unused = match self.text(&["rateLimit", "type"]) {
            "Local" => "global",
            "Global" => "local",
            _ => return,
        };
        if self.get(&["rateLimit", unused]).is_some() {
            let message = "has no effect: rateLimit.type disables it";
            self.warn(&["rateLimit", unused], Code::OtherRateLimitType, message);
        }
    }

    fn warn_if_there(&mut self, path: &[&str], code: Code, advice: &str) {
        let is_there = |it: &Node| it.value != Value::Null;
        if self.get(path).is_some_and(is_there) {
            self.warn(path, code, advice);
        }
    }
}

#[cfg(test)]
mod tests;
