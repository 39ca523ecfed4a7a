//! What is right as the API sees it, and yet probably not what is wanted.

mod native;

use crate::node::{Mark, Node, Value};
use crate::path::Path;
use crate::problem::Problems;
use crate::read::At;
use crate::scalar::Duration;
use crate::spec::{BufferMode, RequestBuffer, Retry};

/// Notes advice on a `spec` in which nothing is wrong.
pub fn advise(spec: At<'_>, warnings: &mut Problems) {
    let mut advice = Advice { spec, warnings };
    advice.on_retries();
    advice.on_retry_constraint();
    advice.on_timeouts();
    advice.on_health();
    advice.on_circuit_breaker();
    advice.on_faults();
    advice.on_overrides();
    advice.on_distinct_limits();
    advice.on_buffers();
    advice.on_old_fields();
    advice.on_ignored_fields();
    advice.on_compressors();
    advice.on_fields_beside_others();
}

/// An idle time that most servers do not reach: they close first, and the
/// next request meets a closed connection.
const USUAL_IDLE: Duration = Duration::from_millis(60_000);
const MANY_RETRIES: u32 = 5;
const DEFAULT_LIMIT: i64 = 1024;
/// Envoy's `per_connection_buffer_limit_bytes`.
const USUAL_BUFFER: u64 = 1 << 20;

struct Advice<'a, 'b> {
    spec: At<'a>,
    warnings: &'b mut Problems,
}

impl Advice<'_, '_> {
    fn get(&self, path: &[&str]) -> Option<&Node> {
        path.iter()
            .try_fold(self.spec.node, |node, name| node.field(name))
    }

    fn duration(&self, path: &[&str]) -> Option<Duration> {
        Duration::parse(self.get(path)?.as_str()?)
    }

    fn text(&self, path: &[&str]) -> &str {
        self.get(path).and_then(Node::as_str).unwrap_or("")
    }

    fn items(&self, path: &[&str]) -> &[Node] {
        match self.get(path).map(|node| &node.value) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    /// Advises on what stands at `path`.
    fn say(&mut self, path: &[&str], advice: impl Into<String>) {
        let mark = self.get(path).unwrap_or(self.spec.node).mark;
        say_at(&self.spec.path, path, mark, &advice.into(), self.warnings);
    }

    fn on_retries(&mut self) {
        let Some(node) = self.get(&["retry"]) else {
            if self.get(&["retryConstraint"]).is_some() {
                self.say(
                    &["retryConstraint"],
                    "bounds retries, but there is no retry: it matters only where Envoy's own \
                     configuration retries",
                );
            }
            return;
        };
        let path = Path::Root;
        let Some(retry) = Retry::read(At { node, path }, &mut Problems::default()) else {
            return;
        };
        if retry.num_retries > MANY_RETRIES {
            let message = format!(
                "multiplies the load on a failing backend by up to {}: more than \
                 {MANY_RETRIES} retries are rarely worth it",
                retry.num_retries.saturating_add(1)
            );
            self.say(&["retry", "numRetries"], message);
        }
        let has = |name: &str| {
            let triggers = retry.triggers.as_ref();
            triggers.is_none_or(|list| list.iter().any(|trigger| trigger.as_str() == name))
        };
        let triggers = ["retry", "retryOn", "triggers"];
        if !has("connect-failure") && !has("5xx") {
            self.say(
                &triggers,
                "does not hold connect-failure, the safest reason to try again: the backend \
                 has not seen the request",
            );
        }
        if !retry.status_codes.is_empty() && !has("retriable-status-codes") {
            self.say(
                &["retry", "retryOn", "httpStatusCodes"],
                "has no effect in Envoy Gateway without the trigger retriable-status-codes; \
                 here it brings the trigger along",
            );
        }
        if retry.triggers.is_some()
            && has("retriable-status-codes")
            && retry.status_codes.is_empty()
        {
            self.say(
                &triggers,
                "holds retriable-status-codes, but httpStatusCodes names none",
            );
        }
        self.on_try_timeouts(&retry);
    }

    fn on_retry_constraint(&mut self) {
        let constraint = ["retryConstraint"];
        if self.get(&constraint).is_none() {
            return;
        }
        self.on_reserve_mode();
        if self.get(&["circuitBreaker", "retryBudget"]).is_some() {
            self.say(
                &["circuitBreaker", "retryBudget"],
                "is a second budget: Envoy bounds the retries under way at once by it, which \
                 keeps retryConstraint from being used up",
            );
        } else if self.get(&["circuitBreaker"]).is_none() {
            self.say(
                &constraint,
                "is cut short by Envoy's default circuit breaker, which lets a cluster have 3 \
                 retries under way and drops others without a word: raise max_retries in the \
                 cluster's circuit_breakers.thresholds, or set circuitBreaker.maxParallelRetries",
            );
        }
    }

    /// Each request holds the credit for one retry.
    fn on_reserve_mode(&mut self) {
        let mode = ["retryConstraint", "mode"];
        let retries = ["retry", "numRetries"];
        let many = |node: &Node| matches!(node.value, Value::Int(2..));
        if self.text(&mode) == "Reserve" && self.get(&retries).is_some_and(many) {
            self.say(
                &retries,
                "has no effect beyond 1: with retryConstraint.mode Reserve a request has one \
                 retry at most",
            );
        }
    }

    fn on_try_timeouts(&mut self, retry: &Retry) {
        let covers = |name: &str| matches!(name, "5xx" | "gateway-error" | "reset");
        let mut triggers = retry.triggers.iter().flatten();
        let timed = retry.per_try_timeout.is_some_and(|it| it.as_nanos() > 0);
        if timed && !triggers.any(|trigger| covers(trigger.as_str())) {
            self.say(
                &["retry", "perRetry", "timeout"],
                "ends a try without another one: only the triggers reset, gateway-error and \
                 5xx have a try that took too long tried again",
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
            self.say(&path, message);
        } else if per_try.as_nanos().saturating_mul(tries) > request.as_nanos() {
            let message =
                format!("leaves no time for all {tries} tries: the request ends after {request}");
            self.say(&path, message);
        }
    }

    fn on_timeouts(&mut self) {
        let idle = ["timeout", "http", "connectionIdleTimeout"];
        if self.duration(&idle).is_some_and(|time| time > USUAL_IDLE) {
            self.say(
                &idle,
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
                "has long-lived connections but no tcpKeepalive: a peer that is gone is not \
                 noticed",
            );
        }
    }

    fn on_health(&mut self) {
        let most = ["healthCheck", "passive", "maxEjectionPercent"];
        if self.get(&most).map(|node| &node.value) == Some(&Value::Int(100)) {
            self.say(
                &most,
                "lets every endpoint be ejected: nobody would be left to answer",
            );
        }
        let http = ["healthCheck", "active", "http"];
        let expected = ["healthCheck", "active", "http", "expectedStatuses"];
        if self.get(&http).is_some() && self.items(&expected).is_empty() {
            self.say(&http, "has no expectedStatuses: only 200 counts as healthy");
        }
    }

    fn on_circuit_breaker(&mut self) {
        if self.get(&["circuitBreaker"]).is_none() {
            return;
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
            self.say(&["circuitBreaker"], message);
        }
    }

    fn on_faults(&mut self) {
        let abort = ["faultInjection", "abort", "grpcStatus"];
        let refs = self.items(&["targetRefs"]).iter();
        let mut targets = refs.chain(self.items(&["targetSelectors"]));
        let is_http =
            |target: &Node| target.field("kind").and_then(Node::as_str) == Some("HTTPRoute");
        if self.get(&abort).is_some() && targets.any(is_http) {
            self.say(
                &abort,
                "aborts plain HTTP requests with status 200: write httpStatus for an HTTPRoute",
            );
        }
    }

    fn on_overrides(&mut self) {
        let list = Path::Field(&self.spec.path, "responseOverride");
        let redirects: Vec<(usize, Mark)> = self
            .items(&["responseOverride"])
            .iter()
            .enumerate()
            .filter_map(|(index, rule)| Some((index, rule.field("redirect")?)))
            .filter(|(_, redirect)| redirect.field("mode").is_none())
            .map(|(index, redirect)| (index, redirect.mark))
            .collect();
        for (index, mark) in redirects {
            let rule = Path::Item(&list, index);
            let advice = "has Envoy run the request again on another route, unseen by the \
                          client, which the filter refuses; mode: Client sends the client there";
            self.warnings
                .note(&Path::Field(&rule, "redirect"), mark, advice);
        }
    }

    /// A client that makes up values of a header fills the table of clients.
    fn on_distinct_limits(&mut self) {
        let rules = self.items(&["rateLimit", "local", "rules"]).iter();
        let long = rules.enumerate().filter_map(|(index, rule)| {
            let unit = rule.field("limit")?.field("unit")?;
            let is_long = matches!(unit.as_str()?, "Day" | "Week" | "Month" | "Year");
            let found = is_long && counts_by_header(rule);
            found.then(|| (index, unit.mark, unit.as_str().unwrap_or("").to_lowercase()))
        });
        let long: Vec<(usize, Mark, String)> = long.collect();
        let rate_limit = Path::Field(&self.spec.path, "rateLimit");
        let local = Path::Field(&rate_limit, "local");
        let list = Path::Field(&local, "rules");
        for (index, mark, unit) in long {
            let advice = format!(
                "is long for a Distinct header: a client that makes up values fills the table of \
                 clients, and new ones may be refused for up to a {unit}. Count by something \
                 that nobody can make up, such as a claim of a verified token, or alert on \
                 overflows"
            );
            let rule = Path::Item(&list, index);
            let limit = Path::Field(&rule, "limit");
            self.warnings
                .note(&Path::Field(&limit, "unit"), mark, advice);
        }
    }

    fn on_buffers(&mut self) {
        let Some(node) = self.get(&["requestBuffer"]) else {
            return;
        };
        let path = Path::Root;
        let buffer = RequestBuffer::read(At { node, path }, &mut Problems::default());
        let Some(buffer) = buffer.filter(|buffer| buffer.mode == BufferMode::Buffer) else {
            return;
        };
        let largest = buffer.largest();
        if largest.get() > USUAL_BUFFER {
            let message = format!(
                "lets bodies of {largest} come, but Envoy buffers 1Mi over HTTP/1 unless it is \
                 told otherwise: set request_body_buffer_limit of the routes, or \
                 per_connection_buffer_limit_bytes of the listener, to at least {}",
                largest.get()
            );
            self.say(&["requestBuffer", "limit"], message);
        }
        let bounds = ["minDataRate", "maxDuration", "maxTotal"];
        let is_there = |name: &&str| self.get(&["requestBuffer", name]).is_some();
        let is_said = is_there(&"gatherGrpc") || buffer.include_streams == Some(false);
        if let (Some(bound), false) = (bounds.into_iter().find(is_there), is_said) {
            self.say(
                &["requestBuffer", bound],
                "does not hold for gRPC calls, which may be streams, and over HTTP/2 any client \
                 can say that its upload is one: set gatherGrpc to true, or to false if there \
                 are streams",
            );
        }
        if buffer.max_total.is_some()
            && buffer.min_data_rate.is_none()
            && buffer.max_duration.is_none()
        {
            self.say(
                &["requestBuffer", "maxTotal"],
                "can be used up by clients that send nothing: set minDataRate or maxDuration, too",
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
                self.say(path, format!("is deprecated: write {new}"));
            }
        }
        if self.get(&["rateLimit", "type"]).is_some() {
            let message = "is deprecated: local and global speak for themselves";
            self.say(&["rateLimit", "type"], message);
        }
    }

    fn on_ignored_fields(&mut self) {
        for path in [
            &["connection", "socketBufferLimit"][..],
            &["loadBalancer", "dynamicModule"],
        ] {
            if self.get(path).is_some() {
                self.say(path, "is accepted by Envoy Gateway and has no effect");
            }
        }
        let unused = match self.text(&["rateLimit", "type"]) {
            "Local" => "global",
            "Global" => "local",
            _ => return,
        };
        if self.get(&["rateLimit", unused]).is_some() {
            let message = "has no effect: rateLimit.type says otherwise";
            self.say(&["rateLimit", unused], message);
        }
    }
}

fn counts_by_header(rule: &Node) -> bool {
    let list = |node: &Node, name: &str| match node.field(name).map(|it| &it.value) {
        Some(Value::List(items)) => items.clone(),
        _ => Vec::new(),
    };
    let selectors = list(rule, "clientSelectors");
    let mut headers = selectors.iter().flat_map(|it| list(it, "headers"));
    headers.any(|it| it.field("type").and_then(Node::as_str) == Some("Distinct"))
}

fn say_at(
    path: &Path<'_>,
    below: &[&str],
    mark: crate::node::Mark,
    advice: &str,
    warnings: &mut Problems,
) {
    match below {
        [] => warnings.note(path, mark, advice),
        [name, rest @ ..] => say_at(&Path::Field(path, name), rest, mark, advice, warnings),
    }
}

#[cfg(test)]
mod tests;
