//! The rate limit service of tests/rate-limit-service as a child process, and the Redis
//! in which it counts.

mod redis;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::process::Process;
use crate::{repo, wait};

pub use redis::Redis;

const START: Duration = Duration::from_secs(30);

/// Whose file the service reads, and so as which service it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// envoyproxy/ratelimit.
    Envoy,
    /// Limitador, which keeps counts in its own memory.
    Limitador,
}

impl Format {
    /// Its name on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::Limitador => "limitador",
        }
    }
}

/// A running rate limit service; killed when dropped. Its log is printed then, which the
/// test runner shows for a failing test only.
#[derive(Debug)]
pub struct RateLimitService {
    process: Process,
    address: SocketAddr,
}

impl RateLimitService {
    /// Starts it with a file of limits; an error has its log if it refuses that.
    pub async fn start(format: Format, config: &Path, redis: &Redis) -> Result<Self> {
        let mut command = Command::new(repo::rate_limit_service()?);
        command.args(["--listen", "127.0.0.1:0", "--format", format.name()]);
        command.arg("--config").arg(config);
        if format == Format::Envoy {
            command.args(["--redis", &redis.address().to_string()]);
        }
        let mut process = Process::spawn("the rate limit service", command)?;
        let address = wait::until_async("the rate limit service", START, async || {
            if let Some(status) = process.exited()? {
                bail!(
                    "the rate limit service ended ({status}):\n{}",
                    process.log()
                );
            }
            Ok(process
                .printed()?
                .lines()
                .next()
                .and_then(|it| it.parse().ok()))
        })
        .await?;
        Ok(Self { process, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it: nobody answers there any more.
    pub fn stop(&mut self) -> Result<()> {
        self.process.end()
    }

    /// Writes another text into the file that it was started with, and waits until it says
    /// that it has `loaded` or `refused` it.
    pub async fn reads_again(&self, config: &Path, text: &str, verdict: &str) -> Result<()> {
        self.reads_what(verdict, || Ok(fs::write(config, text)?))
            .await
    }

    /// The same with whatever writes that file.
    pub async fn reads_what(
        &self,
        verdict: &str,
        write: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let before = self.process.log().len();
        write()?;
        wait::until(&format!("{verdict:?} in its log"), START, || {
            let log = self.process.log();
            log[before..].contains(verdict).then_some(())
        })
        .await
    }
}
