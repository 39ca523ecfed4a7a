//! A view for tests: limits, faults, overrides and budgets, with rates over one second.

use std::time::Duration;

use super::reading::Reading;
use super::view::View;

const BEFORE: &[(&str, u64)] = &[
    (
        "wasmcustom.btp.default.api-limit.rate_limit.per-client.admitted",
        1000,
    ),
    (
        "wasmcustom.btp.default.api-limit.rate_limit.per-client.limited",
        40,
    ),
    (
        "wasmcustom.btp.shop.orders.v1.btp_route.checkout.retry_budget_requests",
        500,
    ),
];

const NOW: &[(&str, u64)] = &[
    (
        "wasmcustom.btp.default.api-limit.rate_limit.per-client.admitted",
        1120,
    ),
    (
        "wasmcustom.btp.default.api-limit.rate_limit.per-client.limited",
        43,
    ),
    (
        "wasmcustom.btp.default.api-limit.rate_limit.per-client.concurrency_limited",
        1,
    ),
    (
        "wasmcustom.btp.default.api-limit.rate_limit.per-client.queued",
        2,
    ),
    (
        "wasmcustom.btp.default.api-limit.rate_limit.per-client.in_flight",
        7,
    ),
    (
        "wasmcustom.btp.default.api-limit.rate_limit.trial.shadow_limited",
        5,
    ),
    (
        "wasmcustom.btp.default.api-limit.rate_limit.trial.admitted",
        0,
    ),
    ("wasmcustom.btp.shop.slow.fault_delays_injected", 9),
    ("wasmcustom.btp.shop.slow.fault_active", 2),
    ("wasmcustom.btp.shop.pages.responses_overridden", 4),
    (
        "wasmcustom.btp.shop.pages.response_override.0.responses_overridden",
        4,
    ),
    (
        "wasmcustom.btp.shop.orders.v1.btp_route.checkout.retry_budget_requests",
        620,
    ),
    (
        "wasmcustom.btp.shop.orders.v1.btp_route.checkout.retry_budget_retries",
        6,
    ),
    (
        "wasmcustom.btp.shop.orders.v1.btp_route.checkout.retry_budget_refused",
        1,
    ),
    (
        "wasmcustom.btp.shop.orders.v1.btp_route.checkout.retry_budget_balance",
        3,
    ),
    ("wasmcustom.btp.vm_memory_bytes.0", 4 << 20),
    ("wasmcustom.btp.vm_memory_bytes.1", 3 << 20),
    ("wasmcustom.btp.vm_memory_bytes_max", 4 << 20),
    ("wasm.envoy.wasm.runtime.v8.active", 4),
];

/// The view.
pub(super) fn view() -> View {
    with(&[])
}

/// The view with more in it.
pub(super) fn with(more: &[(&str, u64)]) -> View {
    let before = Reading::of(BEFORE);
    let mut now = Reading::of(&[NOW, more].concat());
    now.at = before.at + Duration::from_secs(1);
    now.server.version = "1.40.0".to_owned();
    now.server.state = "LIVE".to_owned();
    now.server.uptime = Duration::from_secs(3_725);
    now.server.workers = Some(2);
    View::between(Some(&before), &now)
}
