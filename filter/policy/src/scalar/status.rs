//! HTTP status codes a policy may send or match.

use std::ops::RangeInclusive;

use crate::problem::Problems;
use crate::read::Cursor;

/// A final status that Envoy accepts in a local reply: 200 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpStatus(u16);

/// Statuses from first to last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl HttpStatus {
    /// 200 OK.
    pub const OK: Self = Self(200);

    /// The code.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether a response with this status never has a body (RFC 9110
    /// §15.3.5, §15.3.6 and §15.4.5).
    #[must_use]
    pub const fn forbids_body(self) -> bool {
        matches!(self.0, 204 | 205 | 304)
    }

    /// A status, or `None` outside 200..=599.
    #[must_use]
    pub fn new(code: u16) -> Option<Self> {
        (200..=599).contains(&code).then_some(Self(code))
    }

    /// Reads a status.
    pub fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        at.integer(200..=599, problems)
            .and_then(|code| u16::try_from(code).ok())
            .and_then(Self::new)
    }
}

impl StatusRange {
    /// One status.
    #[must_use]
    pub fn one(status: HttpStatus) -> Self {
        Self {
            first: status.get(),
            last: status.get(),
        }
    }

    /// From `first` to `last`; `None` if that is empty.
    #[must_use]
    pub fn new(range: RangeInclusive<HttpStatus>) -> Option<Self> {
        let (first, last) = (range.start().get(), range.end().get());
        (first <= last).then_some(Self { first, last })
    }

    /// Whether `code` lies within.
    #[must_use]
    pub fn contains(self, code: u16) -> bool {
        (self.first..=self.last).contains(&code)
    }
}
