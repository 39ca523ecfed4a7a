//! Either service: what it answers, and how it takes a file.

use std::net::SocketAddr;

use anyhow::Result;

use crate::limitador::Limitador;
use crate::ratelimit::Ratelimit;
use crate::rls::{RateLimitRequest, RateLimitResponse};

/// One of the two that read files which this project writes.
pub(crate) enum Service {
    Envoy(Ratelimit),
    Limitador(Limitador),
}

impl Service {
    /// Answers as envoyproxy/ratelimit.
    pub(crate) fn envoy(text: &str, redis: SocketAddr) -> Result<Self> {
        Ok(Self::Envoy(Ratelimit::new(text, redis)?))
    }

    /// Answers as Limitador.
    pub(crate) fn limitador(text: &str) -> Result<Self> {
        Ok(Self::Limitador(Limitador::new(text)?))
    }

    /// Puts another text of the file in force, unless it is wrong.
    pub(crate) fn load(&self, text: &str) -> Result<()> {
        match self {
            Self::Envoy(service) => service.load(text),
            Self::Limitador(service) => service.load(text),
        }
    }

    /// An error is one of gRPC for Envoy, which then does what `failure_mode_deny` says.
    pub(crate) async fn should_rate_limit(
        &self,
        request: &RateLimitRequest,
    ) -> Result<RateLimitResponse> {
        match self {
            Self::Envoy(service) => service.should_rate_limit(request).await,
            Self::Limitador(service) => service.should_rate_limit(request),
        }
    }
}
