//! Advice on what Envoy itself does: values that fit few backends, and fields
//! that it ignores for what is beside them, or that is not.

use super::{Advice, Value};
use crate::code::Code;
use crate::node::{Mark, Node};
use crate::path::Path;
use crate::scalar::Duration;
use crate::spec::BY_HAND;

/// An idle time that most servers do not reach: they close first, and the
/// next request meets a closed connection.
const USUAL_IDLE: Duration = Duration::from_millis(60_000);
const DEFAULT_LIMIT: i64 = 1024;

impl Advice<'_, '_> {
    /// Fields that are right and that nobody enforces.
    pub(super) fn on_fields_by_hand(&mut self) {
        for (field, instead) in BY_HAND {
            let advice = format!(
                "is not translated by this version, so that nobody enforces it, and btp apply \
                 refuses it: leave it out, or {instead}"
            );
            self.say_if_there(&[field], Code::UntranslatedField, &advice);
        }
    }

    pub(super) fn on_timeouts(&mut self) {
        let idle = ["timeout", "http", "connectionIdleTimeout"];
        if self.duration(&idle).is_some_and(|time| time > USUAL_IDLE) {
            self.say(
                &idle,
                Code::LongIdleTimeout,
                "is longer than many servers keep an idle connection (60s and less): requests \
                 will meet connections that the server is closing",
            );
        }
        let endless = |time: Option<Duration>| time.is_some_and(|time| time.as_nanos() == 0);
        let is_long_lived = !self.items(&["httpUpgrade"]).is_empty()
            || endless(self.duration(&["timeout", "http", "streamIdleTimeout"]))
            || endless(self.duration(&["timeout", "http", "requestTimeout"]));
        if is_long_lived && self.get(&["tcpKeepalive"]).is_none() {
            self.say(
                &[],
                Code::NoKeepalive,
                "has long-lived connections but no tcpKeepalive: a peer that is gone is not \
                 noticed",
            );
        }
    }

    pub(super) fn on_health(&mut self) {
        let most = ["healthCheck", "passive", "maxEjectionPercent"];
        if self.get(&most).map(|node| &node.value) == Some(&Value::Int(100)) {
            self.say(
                &most,
                Code::AllEjected,
                "lets every endpoint be ejected: nobody would be left to answer",
            );
        }
        let http = ["healthCheck", "active", "http"];
        let expected = ["healthCheck", "active", "http", "expectedStatuses"];
        if self.get(&http).is_some() && self.items(&expected).is_empty() {
            self.say(
                &http,
                Code::OnlyStatus200,
                "has no expectedStatuses: only 200 counts as healthy",
            );
        }
    }

    pub(super) fn on_circuit_breaker(&mut self) {
        if self.get(&["circuitBreaker"]).is_none() {
            return;
        }
        let pending = ["circuitBreaker", "maxPendingRequests"];
        if self.get(&pending).map(|it| &it.value) == Some(&Value::Int(0)) {
            self.say(
                &pending,
                Code::NoPendingRequests,
                "lets no request wait for a connection, and a connection is made only for one \
                 that waits: Envoy answers every request 503 that finds none open, the first \
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
            self.say(&["circuitBreaker"], Code::DefaultBreakers, message);
        }
    }

    /// Envoy Gateway switches such items off. Exporters leave `gzip: null`
    /// out, so that nobody sees it was meant.
    pub(super) fn on_compressors(&mut self) {
        let list = Path::Field(&self.spec.path, "compressor");
        let items = self.items(&["compressor"]).iter().enumerate();
        let off = items.filter_map(|(index, item)| {
            let kind = item.field("type")?.as_str()?.to_lowercase();
            let is_off = item.field(&kind).is_none_or(|it| it.value == Value::Null);
            is_off.then_some((index, item.mark, kind))
        });
        let off: Vec<(usize, Mark, String)> = off.collect();
        for (index, mark, kind) in off {
            let advice = format!(
                "is off, as in Envoy Gateway, for it has no settings object: write {kind}: {{}} \
                 to switch it on, or leave the item out"
            );
            self.warnings
                .note(&Path::Item(&list, index), mark, Code::CompressorOff, advice);
        }
    }

    /// What counts for nothing as long as something else is, or is not, there.
    pub(super) fn on_fields_beside_others(&mut self) {
        let breaker = "circuitBreaker";
        if self.get(&[breaker, "retryBudget"]).is_some() {
            self.say_if_there(
                &[breaker, "maxParallelRetries"],
                Code::BesideRetryBudget,
                "has no effect beside retryBudget, which bounds retries in its place: leave one \
                 of them out",
            );
        }
        let passive = ["healthCheck", "passive"];
        let splits = self
            .get(&[passive[0], passive[1], "splitExternalLocalOriginErrors"])
            .is_some_and(|it| it.value == Value::Bool(true));
        if !splits {
            self.say_if_there(
                &[passive[0], passive[1], "consecutiveLocalOriginFailures"],
                Code::WithoutSplit,
                "has no effect without splitExternalLocalOriginErrors: true: connections that \
                 fail count as consecutive5XxErrors",
            );
        }
    }

    fn say_if_there(&mut self, path: &[&str], code: Code, advice: &str) {
        let is_there = |it: &Node| it.value != Value::Null;
        if self.get(path).is_some_and(is_there) {
            self.say(path, code, advice);
        }
    }
}
