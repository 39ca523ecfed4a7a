//! The body of a replaced response, and how long it is held.
//!
//! A body that is written over the original waits for the upstream's first
//! bytes. An upstream and its clients decide how long that takes and how many
//! wait, so what was printed for one response is held within the worker's
//! quota. A text in which nothing is printed belongs to the plan: holding it
//! takes nothing.

use std::sync::Arc;

use super::ValueLimits;
use crate::response_override::memory_quota::Reservation;

/// A new body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// The same for all.
    Shared(Arc<str>),
    /// Printed for one response.
    Printed(Vec<u8>),
}

/// A body that waits to be written.
#[derive(Debug)]
pub(crate) struct HeldBody {
    body: Body,
    /// Gives its bytes back when it is dropped.
    _reservation: Option<Reservation>,
}

impl Body {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Shared(text) => text.len(),
            Self::Printed(bytes) => bytes.len(),
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Shared(text) => text.as_bytes().to_vec(),
            Self::Printed(bytes) => bytes,
        }
    }

    /// The body again if the worker has no room for it.
    pub(super) fn hold(self, limits: ValueLimits<'_>) -> Result<HeldBody, Self> {
        let held = |body, reservation| HeldBody {
            body,
            _reservation: reservation,
        };
        let mut bytes = match self {
            Self::Shared(text) => return Ok(held(Self::Shared(text), None)),
            Self::Printed(bytes) => bytes,
        };
        let Some(reservation) = limits.quota.reserve(bytes.len(), limits.of_worker) else {
            return Err(Self::Printed(bytes));
        };
        bytes.shrink_to_fit();
        Ok(held(Self::Printed(bytes), Some(reservation)))
    }
}

impl HeldBody {
    /// The text to write.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.body.into_bytes()
    }
}
