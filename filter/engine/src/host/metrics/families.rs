//! Every family of metrics, with what it counts. Dashboards and alerts go by these
//! names: docs/reference/metrics.md is made of this list.
//!
//! Families with `debug_` in their names are for finding a fault in the filter. They
//! may change with any release, and no alert needs them.

use super::{Family, Label, MetricKind};

/// Labels of what a policy counts.
const OF_POLICY: &[Label] = &[Label::Namespace, Label::Policy];
/// Labels of what a rule counts.
const OF_RULE: &[Label] = &[Label::Namespace, Label::Policy, Label::Rule];
/// Labels of what a rule counts for each class of requests.
const OF_CLASS: &[Label] = &[Label::Namespace, Label::Policy, Label::Rule, Label::Class];
/// Labels of a retry budget. Route and cluster are empty where all of a policy's share
/// one.
const OF_BUDGET: &[Label] = &[
    Label::Namespace,
    Label::Policy,
    Label::Route,
    Label::Cluster,
];

macro_rules! families {
    ($($constant:ident = $kind:ident $name:literal $labels:ident, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Family = Family {
                kind: MetricKind::$kind,
                name: $name,
                labels: $labels,
                #[cfg(feature = "help")]
                help: $help,
            };
        )*

        /// All of them.
        const ALL: &[Family] = &[$($constant),*];
    };
}

families! {
    FAULT_DELAYS_INJECTED = Counter "fault_delays_injected" OF_POLICY,
        "requests that were delayed";
    FAULT_ABORTS_INJECTED = Counter "fault_aborts_injected" OF_POLICY,
        "requests that were aborted or reset";
    FAULT_OVERFLOW = Counter "fault_overflow" OF_POLICY,
        "requests without a fault because `maxActive` others were delayed";
    FAULT_SAMPLING_KEY_MISSING = Counter "fault_sampling_key_missing" OF_POLICY,
        "requests without the key of `sampling`: sampled at random";
    FAULT_ACTIVE = Gauge "fault_active" OF_POLICY,
        "requests that are delayed now, in all workers";
    FAULT_DELAY_MILLISECONDS = Histogram "fault_delay_milliseconds" OF_POLICY,
        "how long requests are delayed";

    RATE_LIMIT_ADMITTED = Counter "rate_limit.admitted" OF_RULE,
        "requests that the rule allowed";
    RATE_LIMIT_LIMITED = Counter "rate_limit.limited" OF_RULE,
        "requests that the rule refused";
    RATE_LIMIT_SHADOW_LIMITED = Counter "rate_limit.shadow_limited" OF_RULE,
        "requests that the rule would have refused, in shadow mode";
    RATE_LIMIT_QUEUED = Counter "rate_limit.queued" OF_RULE,
        "requests that had to wait and were allowed";
    RATE_LIMIT_QUEUE_MILLISECONDS = Histogram "rate_limit.queue_milliseconds" OF_RULE,
        "how long requests wait in the rule's queue";
    RATE_LIMIT_MISSING_KEY = Counter "rate_limit.missing_key" OF_RULE,
        "requests without a key, with `onMissing: Refuse`: refused, or not in shadow mode";
    RATE_LIMIT_CONCURRENCY_LIMITED = Counter "rate_limit.concurrency_limited" OF_RULE,
        "of those limited, also in shadow mode: too many requests were in flight";
    RATE_LIMIT_CLASS_LIMITED = Counter "rate_limit.class_limited" OF_CLASS,
        "of those concurrency_limited: requests of the class; the rest have no class";
    RATE_LIMIT_IN_FLIGHT = Gauge "rate_limit.in_flight" OF_RULE,
        "places that workers hold: requests in flight, and places taken in advance";
    RATE_LIMIT_OVERFLOWS = Counter "rate_limit.overflows" OF_RULE,
        "operations for clients or routes that share a bucket because the table was full";
    RATE_LIMIT_STORE_CONTENDED = Counter "rate_limit.store_contended" OF_RULE,
        "requests refused after too many conflicts between workers";
    RATE_LIMIT_DEBUG_STORE_OPERATIONS = Counter "rate_limit.debug_store_operations" OF_RULE,
        "operations on shared state that each cost a call into Envoy (.wasm only)";

    REQUEST_BUFFER_TOO_LARGE = Counter "request_buffer_too_large" OF_POLICY,
        "requests refused because their body is larger than the limit";
    REQUEST_BUFFER_TIMEOUTS = Counter "request_buffer_timeouts" OF_POLICY,
        "requests refused because their body was too slow";
    REQUEST_BUFFER_FULL = Counter "request_buffer_full" OF_POLICY,
        "requests refused because `maxTotal` was used up";
    REQUEST_BUFFER_EXPECTATIONS_FAILED = Counter "request_buffer_expectations_failed" OF_POLICY,
        "requests refused with 417: the client waits for a 100 Continue that cannot come";
    REQUEST_BUFFER_OVERFLOWS = Counter "request_buffer_overflows" OF_POLICY,
        "requests that Envoy refused: its own buffer is smaller than the limit";
    REQUEST_BUFFER_BLIND = Counter "request_buffer_blind" OF_POLICY,
        "requests refused because Envoy did not show their body to the .wasm";
    REQUEST_BUFFER_BYTES = Gauge "request_buffer_bytes" OF_POLICY,
        "bytes reserved now, with `maxTotal`";

    RESPONSES_OVERRIDDEN = Counter "responses_overridden" OF_POLICY,
        "responses replaced or changed";
    RESPONSE_OVERRIDE_RESPONSES_OVERRIDDEN =
        Counter "response_override.responses_overridden" OF_RULE,
        "responses replaced or changed by the rule";
    REQUEST_VALUES_TOO_LONG = Counter "request_values_too_long" OF_POLICY,
        "request values that were dropped because of `limits.requestValueBytes`";
    REQUEST_VALUES_NO_ROOM = Counter "request_values_no_room" OF_POLICY,
        "requests whose values were dropped because of `limits.requestValueBytesPerWorker`";
    REPLACEMENT_BODIES_NO_ROOM = Counter "replacement_bodies_no_room" OF_POLICY,
        "responses replaced by a local reply because a waiting body exceeded \
         `limits.requestValueBytesPerWorker`";
    REDIRECTS_REFUSED = Counter "redirects_refused" OF_POLICY,
        "responses left unchanged because a redirect must not echo the request's host";

    RETRY_BUDGET_REQUESTS = Counter "retry_budget_requests" OF_BUDGET,
        "requests that count towards the budget";
    RETRY_BUDGET_RETRIES = Counter "retry_budget_retries" OF_BUDGET,
        "retries that requests paid for";
    RETRY_BUDGET_MIN_RETRIES = Counter "retry_budget_min_retries" OF_BUDGET,
        "retries that `minRetryRate` paid for";
    RETRY_BUDGET_REFUSED = Counter "retry_budget_refused" OF_BUDGET,
        "retries that were refused";
    RETRY_BUDGET_BALANCE = Gauge "retry_budget_balance" OF_BUDGET,
        "retries available now, as of about a hundredth of the interval ago";
    RETRY_BUDGET_DEBUG_HELD = Gauge "retry_budget_debug_held" OF_BUDGET,
        "credit of requests that is reserved for pending retries";
    RETRY_BUDGET_DEBUG_MIN_HELD = Gauge "retry_budget_debug_min_held" OF_BUDGET,
        "credit of `minRetryRate` that is reserved for pending retries";
    RETRY_BUDGET_DEBUG_SELF_TEST = Counter "retry_budget_debug_self_test" OF_BUDGET,
        "changed at each load of the .wasm, to check that Envoy keeps statistics";
}

impl Family {
    /// All of them, in the order of the reference.
    pub const ALL: &[Self] = ALL;

    /// Whether it is for finding a fault in the filter.
    #[must_use]
    pub fn is_debug(&self) -> bool {
        self.name.contains("debug_")
    }
}
