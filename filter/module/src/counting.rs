//! Who shows what an exchange counts: its own stream at a listener, and streams at
//! listeners for those at the upstream position, if there are any.

use crate::abi::Stream;
use crate::filter_config::FilterConfig;
use crate::listeners;
use crate::metrics::Shown;

/// Settled when an exchange begins: what goes up in one place must go down there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counting {
    AtListener,
    /// At the upstream position.
    ForListeners,
    /// The same, and there is no listener with the filter.
    Alone,
}

impl Counting {
    pub(crate) fn under(config: &FilterConfig) -> Self {
        match (config.plan.is_upstream(), listeners::are_there()) {
            (false, _) => Self::AtListener,
            (true, true) => Self::ForListeners,
            (true, false) => Self::Alone,
        }
    }

    /// Where changes go while there is this stream, or none any more.
    pub(crate) fn shown<'a, 's>(self, stream: Option<&'a Stream<'s>>) -> Shown<'a, 's> {
        match (self, stream) {
            (Self::AtListener, Some(stream)) => Shown::By(stream),
            (Self::AtListener, None) | (Self::ForListeners, _) => Shown::AtListeners,
            (Self::Alone, Some(stream)) => Shown::By(stream),
            (Self::Alone, None) => Shown::ByTheNext,
        }
    }

    /// Shows what others have left to this stream.
    pub(crate) fn settle(self, config: &FilterConfig, stream: &Stream<'_>) {
        match self {
            Self::AtListener => config.metrics.settle_for_others(stream),
            Self::ForListeners => {}
            Self::Alone => config.metrics.settle(stream),
        }
    }
}
