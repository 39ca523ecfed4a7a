//! The clocks.

#![expect(
    clippy::disallowed_types,
    reason = "the engine asks for wall time where a policy does"
)]

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Monotonic time in nanoseconds, from a point that all threads share.
pub(crate) fn monotonic_ns() -> u64 {
    // The point is later than the times of all that begins with it, and 0 has a
    // meaning of its own.
    u64::try_from(START.elapsed().as_nanos())
        .unwrap_or(u64::MAX)
        .saturating_add(1)
}

/// Wall-clock time in nanoseconds since 1970. Envoy does not say when a request began,
/// nor what time it has.
pub(crate) fn wall_ns() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
