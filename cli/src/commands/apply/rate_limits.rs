//! The service that counts `rateLimit.global`: the options, and the file that the service
//! reads.

use std::path::PathBuf;

use btp_policy::scalar::Duration;
use clap::{Args, ValueEnum};

use super::changes::{Before, Change};
use crate::envoy::files::{Kind, Syntax};
use crate::host_port::HostPort;
use crate::output::Output;
use crate::translate::{Domain, Format, Service};

/// The options.
#[derive(Args, Debug)]
pub(super) struct RateLimits {
    /// The service that counts rateLimit.global for all Envoys, by Envoy's rate limit
    /// protocol (gRPC); without it global limits are refused
    #[arg(long, value_name = "HOST:PORT", requires = "rate_limit_config")]
    rate_limit_service: Option<HostPort>,
    /// The file to write the limits to, in the service's format
    #[arg(long, value_name = "FILE", requires = "rate_limit_service")]
    rate_limit_config: Option<PathBuf>,
    /// The kind of service
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Written::Envoy,
        requires = "rate_limit_service")]
    rate_limit_format: Written,
    /// The domain of the limits in the service; Envoys that count together use the same
    /// domain
    #[arg(
        long,
        value_name = "NAME",
        default_value = "btp",
        requires = "rate_limit_service"
    )]
    rate_limit_domain: Domain,
    /// How long a request waits for the service
    #[arg(long, value_name = "DURATION", value_parser = timeout, default_value = "100ms",
        requires = "rate_limit_service")]
    rate_limit_timeout: Duration,
    /// Answer requests 503 if the service does not answer; without this they pass
    #[arg(long, requires = "rate_limit_service")]
    rate_limit_fail_closed: bool,
}

/// What a service is.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Written {
    /// envoyproxy/ratelimit
    Envoy,
    /// Limitador, as in Kuadrant
    Limitador,
}

impl RateLimits {
    pub(super) fn service(&self) -> Option<Service> {
        let endpoint = self.rate_limit_service.clone()?;
        Some(Service {
            endpoint,
            format: match self.rate_limit_format {
                Written::Envoy => Format::Envoy,
                Written::Limitador => Format::Limitador,
            },
            domain: self.rate_limit_domain.clone(),
            timeout: self.rate_limit_timeout,
            fail_closed: self.rate_limit_fail_closed,
        })
    }

    /// The file that the service reads, with this text.
    pub(super) fn change(&self, text: Option<&str>) -> Option<Change> {
        let path = self.rate_limit_config.clone()?;
        Some(Change {
            kind: Kind::RateLimits,
            syntax: Syntax::Yaml,
            before: Before::of_result(&path, Syntax::Yaml),
            name: path.clone(),
            output: Output {
                text: text?.to_owned(),
                path,
                // Limitador does not see that another file has its name.
                in_place: matches!(self.rate_limit_format, Written::Limitador),
            },
        })
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    let duration = Duration::parse(text).filter(|it| it.as_nanos() > 0);
    duration.ok_or_else(|| "must be a duration longer than zero such as 100ms or 1s".to_owned())
}
