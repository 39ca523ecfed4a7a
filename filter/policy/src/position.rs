//! The position of an instance of the filter in Envoy: before the router or behind it.

use crate::problem::Problems;
use crate::read::Cursor;

/// Where an instance stands, or where a capability takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Position {
    /// In the HTTP connection manager: called once per request.
    #[default]
    Downstream,
    /// Behind the router, among a cluster's or the router's upstream filters:
    /// called once per attempt.
    Upstream,
}

impl Position {
    pub(crate) fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let choices = [
            ("Downstream", Self::Downstream),
            ("Upstream", Self::Upstream),
        ];
        at.choice(&choices, problems)
    }
}
