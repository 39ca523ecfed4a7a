//! What one instance of the filter enforces, and whether the rest is enforced elsewhere.

use crate::code::Code;
use crate::position::Position;
use crate::problem::Problems;
use crate::read::{Cursor, Object};
use crate::spec::Capability;

/// The capabilities one instance of the filter enforces; all by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in `spec`")]
pub struct Enforce {
    pub fault_injection: bool,
    pub response_override: bool,
    pub rate_limit: bool,
    pub request_buffer: bool,
    pub retry: bool,
}

/// How to treat fields that Envoy enforces by its own configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeFields {
    /// They are an error.
    Refuse,
    /// They are left out, with a warning.
    Ignore,
    /// `btp apply` has put them into force.
    Applied,
}

impl Enforce {
    /// Everything.
    pub const ALL: Self = Self {
        fault_injection: true,
        response_override: true,
        rate_limit: true,
        request_buffer: true,
        retry: true,
    };
    const NOTHING: Self = Self {
        fault_injection: false,
        response_override: false,
        rate_limit: false,
        request_buffer: false,
        retry: false,
    };

    /// What can be enforced behind the router.
    const UPSTREAM: Self = Self {
        fault_injection: true,
        retry: true,
        ..Self::NOTHING
    };

    /// Whether this instance enforces `capability`.
    #[must_use]
    pub fn has(self, capability: Capability) -> bool {
        match capability {
            Capability::FaultInjection => self.fault_injection,
            Capability::ResponseOverride => self.response_override,
            Capability::RateLimit => self.rate_limit,
            Capability::RequestBuffer => self.request_buffer,
            Capability::Retry => self.retry,
        }
    }

    pub(super) fn read(
        config: &Object<'_>,
        position: Position,
        problems: &mut Problems,
    ) -> Option<Self> {
        let possible = match position {
            Position::Downstream => Self::ALL,
            Position::Upstream => Self::UPSTREAM,
        };
        config.or("enforce", possible, problems, |at, problems| {
            Self::read_list(at, possible, problems)
        })
    }

    /// The capabilities that are listed, all of which must be `possible`.
    fn read_list(at: Cursor<'_>, possible: Self, problems: &mut Problems) -> Option<Self> {
        let mut enforce = Self::NOTHING;
        at.list(0..=Capability::ALL.len(), problems, |at, problems| {
            let capability = at.choice(&Capability::ALL, problems)?;
            if !possible.has(capability) {
                let reason = "cannot be enforced with position Upstream, only faultInjection and \
                    retry can: move it to a downstream instance";
                at.refuse(problems, Code::DownstreamOnly, reason);
            }
            match capability {
                Capability::FaultInjection => enforce.fault_injection = true,
                Capability::ResponseOverride => enforce.response_override = true,
                Capability::RateLimit => enforce.rate_limit = true,
                Capability::RequestBuffer => enforce.request_buffer = true,
                Capability::Retry => enforce.retry = true,
            }
            Some(())
        })?;
        Some(enforce)
    }
}

impl NativeFields {
    pub(super) fn read(config: &Object<'_>, problems: &mut Problems) -> Option<Self> {
        let choices = [
            ("Refuse", Self::Refuse),
            ("Ignore", Self::Ignore),
            ("Applied", Self::Applied),
        ];
        config.or("nativeFields", Self::Refuse, problems, |at, problems| {
            at.choice(&choices, problems)
        })
    }
}
