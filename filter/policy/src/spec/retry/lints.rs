//! Advice on retries: what they cost a backend, and which settings take each
//! other's effect away.

use super::{Retry, RetryCondition, Trigger};
use crate::code::Code;
use crate::linter::Linter;
use crate::node::{Node, Value};
use crate::path::Path;
use crate::problem::Problems;
use crate::read::Cursor;

const MANY_RETRIES: u32 = 5;

const CUT_SHORT: &str = "is limited by Envoy's default circuit breaker, which allows a cluster 3 \
    retries at a time and silently drops others: raise max_retries in the cluster's \
    circuit_breakers.thresholds";

impl Linter<'_, '_> {
    pub(in crate::spec) fn on_retries(&mut self) {
        let Some(node) = self.get(&["retry"]) else {
            if self.get(&["retryConstraint"]).is_some() {
                self.warn(
                    &["retryConstraint"],
                    Code::ConstraintWithoutRetry,
                    "limits retries, but the policy has no retry: it has an effect only where \
                     Envoy's own configuration retries",
                );
            }
            return;
        };
        let path = Path::Root;
        let Some(retry) = Retry::read(Cursor { node, path }, &mut Problems::default()) else {
            return;
        };
        if retry.num_retries > MANY_RETRIES {
            let message = format!(
                "multiplies the load on a failing backend by up to {}: more than {MANY_RETRIES} \
                 retries rarely help",
                retry.num_retries.saturating_add(1)
            );
            self.warn(&["retry", "numRetries"], Code::ManyRetries, message);
        }
        self.on_triggers(&retry);
        self.on_try_timeouts(&retry);
    }

    pub(in crate::spec) fn on_retry_constraint(&mut self) {
        let constraint = ["retryConstraint"];
        if self.get(&constraint).is_none() {
            return;
        }
        self.on_reserve_mode();
        if self.get(&["circuitBreaker", "retryBudget"]).is_some() {
            self.warn(
                &["circuitBreaker", "retryBudget"],
                Code::SecondBudget,
                "is a second budget: Envoy limits concurrent retries by it, so that \
                 retryConstraint may never be used up",
            );
        } else if self.get(&["circuitBreaker"]).is_none() && self.get(&["retry"]).is_none() {
            // Beside a retry, `btp apply` lifts it.
            let advice = format!("{CUT_SHORT}, or set circuitBreaker.maxParallelRetries");
            self.warn(&constraint, Code::CutShort, advice);
        }
    }

    /// What `btp apply` would see to, of a filter that is set up without it.
    pub(in crate::spec) fn on_retry_constraint_by_hand(&mut self) {
        let is_there = |name| self.get(&[name]).is_some();
        if is_there("retryConstraint") && is_there("retry") && !is_there("circuitBreaker") {
            self.warn(
                &["retryConstraint"],
                Code::CutShort,
                format!("{CUT_SHORT}, as btp apply does"),
            );
        }
    }

    /// Each request holds the credit for one retry.
    fn on_reserve_mode(&mut self) {
        let mode = ["retryConstraint", "mode"];
        let retries = ["retry", "numRetries"];
        let many = |node: &Node| matches!(node.value, Value::Int(2..));
        if self.text(&mode) == "Reserve" && self.get(&retries).is_some_and(many) {
            self.warn(
                &retries,
                Code::ReserveRetries,
                "has no effect beyond 1: with retryConstraint.mode Reserve a request has one \
                 retry at most",
            );
        }
    }

    fn on_triggers(&mut self, retry: &Retry) {
        let mut conditions = retry.conditions.iter();
        let has = |it: &RetryCondition, name: &str| {
            let mut triggers = it.on.triggers.iter();
            triggers.any(|trigger| trigger.as_str() == name)
        };
        let of_conditions = ["retry", "retryOn", "conditions"];
        let of_triggers = ["retry", "retryOn", "triggers"];
        let has_conditions = self.get(&of_conditions).is_some();
        if !conditions.any(|it| has(it, "connect-failure") || has(it, "5xx")) {
            self.warn(
                if has_conditions {
                    &of_conditions
                } else {
                    &of_triggers
                },
                Code::NoConnectFailure,
                "lacks connect-failure, the safest reason for a retry: the backend has not seen \
                 the request",
            );
        }
        let is_named = |item: &Node| {
            let names = item.field("triggers").map(|it| &it.value);
            let is_trigger = |it: &Node| it.as_str() == Some(Trigger::STATUS_CODES.as_str());
            matches!(names, Some(Value::List(names)) if names.iter().any(is_trigger))
        };
        let has_codes = |it: &RetryCondition| !it.on.status_codes.is_empty();
        let any_codes = retry.conditions.iter().any(has_codes);
        let codes_without = "has retriable-status-codes, but httpStatusCodes is empty";
        if has_conditions {
            if !any_codes && self.items(&of_conditions).iter().any(is_named) {
                self.warn(&of_conditions, Code::TriggerWithoutCodes, codes_without);
            }
            return;
        }
        let is_named = self.get(&["retry", "retryOn"]).is_some_and(is_named);
        if any_codes && !is_named && self.get(&of_triggers).is_some() {
            self.warn(
                &["retry", "retryOn", "httpStatusCodes"],
                Code::CodesWithoutTrigger,
                "has no effect in Envoy Gateway without the trigger retriable-status-codes; here \
                 it implies the trigger",
            );
        }
        if is_named && !any_codes {
            self.warn(&of_triggers, Code::TriggerWithoutCodes, codes_without);
        }
    }

    fn on_try_timeouts(&mut self, retry: &Retry) {
        let covers = |name: &str| matches!(name, "5xx" | "gateway-error" | "reset");
        let mut triggers = retry.conditions.iter().flat_map(|it| &it.on.triggers);
        let timed = retry.per_try_timeout.is_some_and(|it| it.as_nanos() > 0);
        if timed && !triggers.any(|trigger| covers(trigger.as_str())) {
            self.warn(
                &["retry", "perRetry", "timeout"],
                Code::TimeoutWithoutTrigger,
                "ends an attempt without a retry: only the triggers reset, gateway-error and 5xx \
                 retry an attempt that took too long",
            );
        }
        let request = self.duration(&["timeout", "http", "requestTimeout"]);
        let (Some(request), Some(per_try)) = (request, retry.per_try_timeout) else {
            return;
        };
        if request.as_nanos() == 0 {
            return;
        }
        let path = ["retry", "perRetry", "timeout"];
        let tries = u64::from(retry.num_retries) + 1;
        if per_try > request {
            let message = format!("never ends: the request ends after {request}");
            self.warn(&path, Code::TryNeverEnds, message);
        } else if per_try.as_nanos().saturating_mul(tries) > request.as_nanos() {
            let message = format!(
                "leaves no time for all {tries} attempts: the request ends after \
                    {request}"
            );
            self.warn(&path, Code::NoTimeForTries, message);
        }
    }
}
