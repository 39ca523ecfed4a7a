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
        "requests that were left alone because `maxActive` others were delayed";
    FAULT_SAMPLING_KEY_MISSING = Counter "fault_sampling_key_missing" OF_POLICY,
        "requests that lack the key of `sampling`: they were drawn at random";
    FAULT_ACTIVE = Gauge "fault_active" OF_POLICY,
        "requests that are being delayed, all workers together";
    FAULT_DELAY_MILLISECONDS = Histogram "fault_delay_milliseconds" OF_POLICY,
        "how long requests are delayed";

    RATE_LIMIT_ADMITTED = Counter "rate_limit.admitted" OF_RULE,
        "requests that the rule let pass";
    RATE_LIMIT_LIMITED = Counter "rate_limit.limited" OF_RULE,
        "requests that the rule refused";
    RATE_LIMIT_SHADOW_LIMITED = Counter "rate_limit.shadow_limited" OF_RULE,
        "requests that the rule would have refused, in shadow mode";
    RATE_LIMIT_QUEUED = Counter "rate_limit.queued" OF_RULE,
        "requests that were let pass and had to wait";
    RATE_LIMIT_QUEUE_MILLISECONDS = Histogram "rate_limit.queue_milliseconds" OF_RULE,
        "how long requests wait in the rule's queue";
    RATE_LIMIT_MISSING_KEY = Counter "rate_limit.missing_key" OF_RULE,
        "requests without a key, with `onMissing: Refuse`: refused, or not in shadow mode";
    RATE_LIMIT_CONCURRENCY_LIMITED = Counter "rate_limit.concurrency_limited" OF_RULE,
        "of those limited, in shadow mode too: requests that found too many in flight";
    RATE_LIMIT_CLASS_LIMITED = Counter "rate_limit.class_limited" OF_CLASS,
        "of those concurrency_limited: requests of the class; the others belong to none";
    RATE_LIMIT_IN_FLIGHT = Gauge "rate_limit.in_flight" OF_RULE,
        "places that workers hold: requests in flight, and what is taken ahead of a large bound";
    RATE_LIMIT_OVERFLOWS = Counter "rate_limit.overflows" OF_RULE,
        "operations for clients or routes that share a bucket, as there was no room for another";
    RATE_LIMIT_STORE_CONTENDED = Counter "rate_limit.store_contended" OF_RULE,
        "requests that were refused because workers got in each other's way too often";
    RATE_LIMIT_DEBUG_STORE_OPERATIONS = Counter "rate_limit.debug_store_operations" OF_RULE,
        "operations on state that workers share, where each costs a call into Envoy: in the .wasm";

    REQUEST_BUFFER_TOO_LARGE = Counter "request_buffer_too_large" OF_POLICY,
        "requests refused because their body is larger than the limit";
    REQUEST_BUFFER_TIMEOUTS = Counter "request_buffer_timeouts" OF_POLICY,
        "requests refused because their body came too slowly";
    REQUEST_BUFFER_FULL = Counter "request_buffer_full" OF_POLICY,
        "requests refused because `maxTotal` was used up";
    REQUEST_BUFFER_EXPECTATIONS_FAILED = Counter "request_buffer_expectations_failed" OF_POLICY,
        "requests refused with 417: their client waits for a 100 Continue that cannot come";
    REQUEST_BUFFER_OVERFLOWS = Counter "request_buffer_overflows" OF_POLICY,
        "requests that Envoy refused, whose own buffer is smaller than the limit";
    REQUEST_BUFFER_BLIND = Counter "request_buffer_blind" OF_POLICY,
        "requests refused because Envoy did not show their body to the .wasm";
    REQUEST_BUFFER_BYTES = Gauge "request_buffer_bytes" OF_POLICY,
        "bytes that are set aside now, with `maxTotal`";

    RESPONSES_OVERRIDDEN = Counter "responses_overridden" OF_POLICY,
        "responses replaced or changed";
    RESPONSE_OVERRIDE_RESPONSES_OVERRIDDEN =
        Counter "response_override.responses_overridden" OF_RULE,
        "responses replaced or changed by the rule";
    REQUEST_VALUES_TOO_LONG = Counter "request_values_too_long" OF_POLICY,
        "values of requests that were not kept because of `limits.requestValueBytes`";
    REQUEST_VALUES_NO_ROOM = Counter "request_values_no_room" OF_POLICY,
        "requests whose values were not kept because of `limits.requestValueBytesPerWorker`";
    REPLACEMENT_BODIES_NO_ROOM = Counter "replacement_bodies_no_room" OF_POLICY,
        "responses replaced by a local reply because `limits.requestValueBytesPerWorker` had no \
         room for a body that waits";
    REDIRECTS_REFUSED = Counter "redirects_refused" OF_POLICY,
        "responses that stayed because a redirect would have led to a host that must not be \
         echoed";

    RETRY_BUDGET_REQUESTS = Counter "retry_budget_requests" OF_BUDGET,
        "requests that paid into the budget";
    RETRY_BUDGET_RETRIES = Counter "retry_budget_retries" OF_BUDGET,
        "retries that requests paid for";
    RETRY_BUDGET_MIN_RETRIES = Counter "retry_budget_min_retries" OF_BUDGET,
        "retries that `minRetryRate` paid for";
    RETRY_BUDGET_REFUSED = Counter "retry_budget_refused" OF_BUDGET,
        "retries that were refused";
    RETRY_BUDGET_BALANCE = Gauge "retry_budget_balance" OF_BUDGET,
        "retries that would be paid for now, as of about a hundredth of the interval ago";
    RETRY_BUDGET_DEBUG_HELD = Gauge "retry_budget_debug_held" OF_BUDGET,
        "credit of requests that is held for retries about to happen";
    RETRY_BUDGET_DEBUG_MIN_HELD = Gauge "retry_budget_debug_min_held" OF_BUDGET,
        "credit of `minRetryRate` that is held for retries about to happen";
    RETRY_BUDGET_DEBUG_SELF_TEST = Counter "retry_budget_debug_self_test" OF_BUDGET,
        "moved at each load of the .wasm, to see that Envoy keeps statistics";
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
