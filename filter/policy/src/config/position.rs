//! `position`: where in Envoy an instance stands.

use crate::problem::Problems;
use crate::read::Object;

/// Where in Envoy an instance stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Position {
    /// In the HTTP connection manager: called once per request.
    #[default]
    Downstream,
    /// Among the upstream filters of a cluster or of the router: called once
    /// per try.
    Upstream,
}

impl Position {
    pub(super) fn read(config: &Object<'_>, problems: &mut Problems) -> Option<Self> {
        let choices = [
            ("Downstream", Self::Downstream),
            ("Upstream", Self::Upstream),
        ];
        match config.get("position") {
            Some(at) => at.choice(&choices, problems),
            None => Some(Self::Downstream),
        }
    }
}
