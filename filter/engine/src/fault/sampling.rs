//! How the shares of a policy's faults are drawn: at random, or from a hash
//! of the request's key, so that the same key always fares the same.
//!
//! The hash is SipHash-2-4 of `namespace/name`, a zero byte, what is drawn
//! (`delay`, `abort` or `length`), a zero byte, and the key. The first half
//! of the hash's own key is the seed, the second half is zero. This is in
//! the documentation, and must not change. An address is its 4 or 16 bytes.

use std::net::IpAddr;

use btp_policy::scalar::ObjectName;
use btp_policy::spec::{Sampling, SamplingKey};

use crate::definitions::Definitions;
use crate::host::metrics::CounterId;
use crate::request::Request;
use crate::request::required::RequiredInputs;
use crate::siphash::siphash24;

/// `sampling`, compiled.
#[derive(Debug)]
pub(crate) struct Draws {
    sticky: Option<Sticky>,
}

#[derive(Debug)]
struct Sticky {
    seed: u64,
    key: SamplingKey,
    policy: String,
    /// Counts requests without a key.
    keyless: CounterId,
}

/// Three independent numbers, uniform over 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drawn {
    pub(crate) delay: u64,
    pub(crate) abort: u64,
    /// How long the delay is.
    pub(crate) length: u64,
}

impl Draws {
    pub(crate) fn compile(
        policy: &ObjectName,
        sampling: &Sampling,
        counters: &mut Definitions,
    ) -> Self {
        let sticky = match sampling {
            Sampling::Random => None,
            Sampling::Sticky { seed, key } => Some(Sticky {
                seed: *seed,
                key: key.clone(),
                policy: policy.to_string(),
                keyless: counters.define(policy, "fault_sampling_key_missing"),
            }),
        };
        Self { sticky }
    }

    /// What must be known of a request.
    pub(crate) fn requires(&self) -> RequiredInputs {
        let key = self.sticky.as_ref().map(|sticky| &sticky.key);
        RequiredInputs {
            headers: key.is_some(),
            source: key == Some(&SamplingKey::SourceIp),
            ..RequiredInputs::default()
        }
    }

    /// The numbers of a request; `None` if it has no key, or needs none.
    pub(crate) fn of(&self, request: &Request<'_>) -> Option<Drawn> {
        let sticky = self.sticky.as_ref()?;
        match &sticky.key {
            SamplingKey::RequestId => sticky.drawn(&request.header("x-request-id")?),
            SamplingKey::Header(name) => sticky.drawn(&request.header(name.as_str())?),
            SamplingKey::SourceIp => match request.source()? {
                IpAddr::V4(address) => sticky.drawn(&address.octets()),
                IpAddr::V6(address) => sticky.drawn(&address.octets()),
            },
        }
    }

    /// What counts a request without a key, if requests should have one.
    pub(crate) fn keyless(&self) -> Option<CounterId> {
        self.sticky.as_ref().map(|sticky| sticky.keyless)
    }
}

impl Sticky {
    /// An empty key is none.
    fn drawn(&self, key: &[u8]) -> Option<Drawn> {
        let hash = |what: &[u8]| {
            let policy = self.policy.as_bytes();
            siphash24([self.seed, 0], &[policy, b"\0", what, b"\0", key])
        };
        (!key.is_empty()).then(|| Drawn {
            delay: hash(b"delay"),
            abort: hash(b"abort"),
            length: hash(b"length"),
        })
    }
}
