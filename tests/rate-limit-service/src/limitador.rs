//! Limitador's own library, asked as its server asks it.
//!
//! Its storage is in memory, so that Envoys share counts by asking the same process. The
//! server knows the request's number of hits only, and no headers unless it is told to.

use anyhow::{Context, Result, anyhow};
use limitador::RateLimiter;
use limitador::limit::{Context as Binding, Limit, Namespace};

use crate::rls::{Code, RateLimitDescriptor, RateLimitRequest, RateLimitResponse};

/// How many counts it keeps; the oldest go.
const COUNTERS: u64 = 10_000;

/// The name by which the server shows descriptors to conditions and variables.
const DESCRIPTORS: &str = "descriptors";

/// The limits in force, and their counts.
pub(crate) struct Limitador {
    limiter: RateLimiter,
}

impl Limitador {
    /// With a limits file.
    pub(crate) fn new(text: &str) -> Result<Self> {
        let limiter = RateLimiter::new(COUNTERS);
        let service = Self { limiter };
        service.load(text)?;
        Ok(service)
    }

    /// Takes another limits file; limits that are in both keep their counts.
    pub(crate) fn load(&self, text: &str) -> Result<()> {
        let limits: Vec<Limit> = serde_saphyr::from_str(text).context("no limits file")?;
        self.limiter
            .configure_with(limits)
            .map_err(|error| anyhow!("limits not taken: {error}"))
    }

    /// Every limit that applies is counted, and none if one is used up.
    pub(crate) fn should_rate_limit(
        &self,
        request: &RateLimitRequest,
    ) -> Result<RateLimitResponse> {
        let code = if request.domain.is_empty() {
            Code::Unknown
        } else {
            self.check(request)?
        };
        Ok(RateLimitResponse {
            overall_code: code.into(),
            statuses: Vec::new(),
        })
    }

    fn check(&self, request: &RateLimitRequest) -> Result<Code> {
        let namespace = Namespace::from(request.domain.as_str());
        let mut binding = Binding::default();
        let descriptors = request.descriptors.iter().map(entries).collect();
        binding.list_binding(DESCRIPTORS.to_owned(), descriptors);
        let hits = u64::from(request.hits_addend.max(1));
        let result = self
            .limiter
            .check_rate_limited_and_update(&namespace, &binding, hits)
            .map_err(|error| anyhow!("limits not checked: {error}"))?;
        Ok(if result.limited {
            Code::OverLimit
        } else {
            Code::Ok
        })
    }
}

/// As a map: of several entries with one key the last stays.
fn entries(descriptor: &RateLimitDescriptor) -> std::collections::HashMap<String, String> {
    let pairs = descriptor.entries.iter();
    pairs
        .map(|entry| (entry.key.clone(), entry.value.clone()))
        .collect()
}

#[cfg(test)]
mod tests;
