//! Draws the shares of a policy's faults: at random, or from a hash of the request's key,
//! so that the same key always gets the same result.
//!
//! The hash is SipHash-2-4 of `namespace/name`, a zero byte, the name of the share
//! (`delay`, `abort` or `length`), a zero byte, and the key. The first half of the hash's
//! own key is the seed, the second half is zero. This is in the documentation, and must not
//! change. An address is its 4 or 16 bytes.

use std::net::IpAddr;

use btp_policy::scalar::{ObjectName, Ppm};
use btp_policy::spec::{Sampling, SamplingKey};

use crate::definitions::Definitions;
use crate::host::metrics::{CounterId, Labels, families};
use crate::request::Request;
use crate::request::required::RequiredInputs;
use btp_policy::hash::siphash24;

/// `sampling`, compiled.
#[derive(Debug)]
pub(crate) struct Sampler {
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
pub(crate) struct Samples {
    pub(crate) delay: u64,
    pub(crate) abort: u64,
    /// How long the delay is.
    pub(crate) length: u64,
}

impl Sampler {
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
                keyless: counters.counter(
                    families::FAULT_SAMPLING_KEY_MISSING,
                    Labels::of_policy(policy),
                ),
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
    pub(crate) fn of(&self, request: &Request<'_>) -> Option<Samples> {
        let sticky = self.sticky.as_ref()?;
        match &sticky.key {
            SamplingKey::RequestId => sticky.samples_of(&request.header("x-request-id")?),
            SamplingKey::Header(name) => sticky.samples_of(&request.header(name.as_str())?),
            SamplingKey::SourceIp => match request.source()? {
                IpAddr::V4(address) => sticky.samples_of(&address.octets()),
                IpAddr::V6(address) => sticky.samples_of(&address.octets()),
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
    fn samples_of(&self, key: &[u8]) -> Option<Samples> {
        let hash = |what: &[u8]| {
            let policy = self.policy.as_bytes();
            siphash24([self.seed, 0], &[policy, b"\0", what, b"\0", key])
        };
        (!key.is_empty()).then(|| Samples {
            delay: hash(b"delay"),
            abort: hash(b"abort"),
            length: hash(b"length"),
        })
    }
}

/// Whether this request is among the `share` that is meant.
///
/// A uniform 64-bit number is scaled to 0..1,000,000, which is biased by at
/// most 2⁻⁴⁴. Never and always are exact and draw nothing.
pub(super) fn is_sampled(share: Ppm, random: impl FnOnce() -> u64) -> bool {
    match share {
        Ppm::NEVER => false,
        Ppm::ALWAYS => true,
        share => (u128::from(random()) * 1_000_000) >> 64 < u128::from(share.get()),
    }
}

#[cfg(test)]
mod tests {
    use super::is_sampled;
    use btp_policy::scalar::Ppm;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn ppm(percent: f64) -> Ppm {
        Ppm::from_percent(percent).unwrap()
    }

    #[test]
    fn never_and_always_do_not_draw() {
        let draw = || panic!("drew");
        assert!(!is_sampled(Ppm::NEVER, draw));
        assert!(is_sampled(Ppm::ALWAYS, draw));
    }

    #[test]
    fn the_smallest_share_hits_only_the_lowest_numbers() {
        let smallest = ppm(0.0001);
        let first_miss = u64::MAX / 1_000_000 + 1;
        assert!(is_sampled(smallest, || 0));
        assert!(is_sampled(smallest, || first_miss - 1));
        assert!(!is_sampled(smallest, || first_miss));
        assert!(!is_sampled(ppm(99.9999), || u64::MAX));
    }

    #[test]
    fn the_share_is_met_over_evenly_spread_numbers() {
        let step = (1 << 63) / 5_000 + 1;
        let count = (0..10_000)
            .filter(|i| is_sampled(ppm(25.0), || i * step))
            .count();
        assert_eq!(count, 2_500);
    }
}
