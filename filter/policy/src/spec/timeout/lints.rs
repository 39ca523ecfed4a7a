//! Advice on timeouts.

use crate::code::Code;
use crate::linter::Linter;
use crate::scalar::Duration;

/// An idle time that most servers do not reach: they close first, and the
/// next request meets a closed connection.
const USUAL_IDLE: Duration = Duration::from_millis(60_000);

impl Linter<'_, '_> {
    pub(in crate::spec) fn on_timeouts(&mut self) {
        let idle = ["timeout", "http", "connectionIdleTimeout"];
        if self.duration(&idle).is_some_and(|time| time > USUAL_IDLE) {
            self.warn(
                &idle,
                Code::LongIdleTimeout,
                "is longer than many servers keep idle connections (60s or less): requests will \
                 meet connections that the server is closing",
            );
        }
        let endless = |time: Option<Duration>| time.is_some_and(|time| time.as_nanos() == 0);
        let is_long_lived = !self.items(&["httpUpgrade"]).is_empty()
            || endless(self.duration(&["timeout", "http", "streamIdleTimeout"]))
            || endless(self.duration(&["timeout", "http", "requestTimeout"]));
        if is_long_lived && self.get(&["tcpKeepalive"]).is_none() {
            self.warn(
                &[],
                Code::NoKeepalive,
                "has long-lived connections but no tcpKeepalive: a peer that is gone is not \
                 noticed",
            );
        }
    }
}
