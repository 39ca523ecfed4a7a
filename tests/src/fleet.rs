//! Two Envoys on what `btp apply` writes of global limits, and the service that reads
//! what it writes beside that.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::rate_limit_service::Format;
use crate::{Bootstrap, Build, Envoy, RateLimitService, Redis, Request, Response, repo, wait};

const BASE: &str = "envoy.json";
const OUT: &str = "out.json";
const POLICIES: &str = "policies.yaml";
const LIMITS: &str = "limits.yaml";

/// How long the rest of a window may be that is too short.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nobody answers there.
const NOBODY: &str = "127.0.0.1:1";

/// A configuration that policies are applied to, each time from its beginning.
#[derive(Debug)]
pub struct Applying {
    dir: TempDir,
    format: Format,
    options: Vec<String>,
}

/// The Envoys, the service, and the Redis in which it counts.
#[derive(Debug)]
pub struct Fleet {
    /// Both have the same configuration.
    pub envoys: [Envoy; 2],
    /// Counts for both.
    pub service: RateLimitService,
    /// Limitador does not need it.
    pub redis: Redis,
    applying: Applying,
    sent: AtomicUsize,
}

impl Applying {
    /// To this configuration, with further options.
    pub fn new(bootstrap: &Bootstrap, format: Format, options: &[&str]) -> Result<Self> {
        let dir = TempDir::new()?;
        fs::write(dir.path().join(BASE), bootstrap.config().to_string())?;
        Ok(Self {
            dir,
            format,
            options: options.iter().map(|&it| it.to_owned()).collect(),
        })
    }

    /// Runs `btp apply` for a service at this address.
    pub fn run(&self, policies: &[Value], service: &str) -> Result<Output> {
        let documents: Vec<String> = policies.iter().map(Value::to_string).collect();
        fs::write(self.dir.path().join(POLICIES), documents.join("\n---\n"))?;
        Ok(Command::new(repo::cli()?)
            .args(["apply", "--bootstrap", BASE, "-f", POLICIES, "-o", OUT])
            .args(Build::under_test()?.apply_option()?)
            .args(["--rate-limit-service", service])
            .args(["--rate-limit-config", LIMITS])
            .args(["--rate-limit-format", self.format.name()])
            // Long enough for a machine that has other things to do.
            .args(["--rate-limit-timeout", "20s"])
            .args(&self.options)
            .current_dir(self.dir.path())
            .output()?)
    }

    /// The same, which must succeed; yields its report.
    pub fn succeed(&self, policies: &[Value], service: &str) -> Result<String> {
        let output = self.run(policies, service)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{said}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What it has written for Envoy.
    pub fn written(&self) -> Result<Bootstrap> {
        Bootstrap::load(self.dir.path().join(OUT))
    }

    /// The file that the service reads.
    pub fn limits(&self) -> PathBuf {
        self.dir.path().join(LIMITS)
    }
}

impl Fleet {
    /// Applies the policies, starts the service with what is written for it, and two
    /// Envoys.
    pub async fn start(applying: Applying, policies: &[Value]) -> Result<Self> {
        applying.succeed(policies, NOBODY)?;
        let limits = fs::read_to_string(applying.limits())?;
        let redis = Redis::start().await?;
        let service = RateLimitService::start(applying.format, &applying.limits(), &redis).await?;
        applying.succeed(policies, &service.address().to_string())?;
        let again = fs::read_to_string(applying.limits())?;
        ensure!(again == limits, "not a function of the policies:\n{again}");
        let bootstrap = applying.written()?;
        Ok(Self {
            envoys: [
                Envoy::start(&bootstrap).await?,
                Envoy::start(&bootstrap).await?,
            ],
            service,
            redis,
            applying,
            sent: AtomicUsize::new(0),
        })
    }

    /// Applies other policies, of which the service alone learns.
    pub async fn limits_change(&self, policies: &[Value]) -> Result<()> {
        let address = self.service.address().to_string();
        let write = || self.applying.succeed(policies, &address).map(drop);
        self.service.reads_what("loaded", write).await
    }

    /// Sends a request to the Envoy whose turn it is.
    pub async fn send(&self, request: Request) -> Result<Response> {
        let turn = self.sent.fetch_add(1, Ordering::Relaxed);
        self.envoys[turn % self.envoys.len()].send(request).await
    }

    /// Sends a request again and again and compares statuses; yields the last answer.
    pub async fn answers(&self, request: &Request, wanted: &[u16]) -> Result<Option<Response>> {
        let mut statuses = Vec::new();
        let mut last = None;
        for _ in wanted {
            let response = self.send(request.clone()).await?;
            statuses.push(response.status);
            last = Some(response);
        }
        ensure!(
            statuses == wanted,
            "{request:?}: {statuses:?}, not {wanted:?}"
        );
        Ok(last)
    }
}

/// Waits until a window of so many seconds is not over for a while: those of ratelimit
/// begin at multiples of their length since 1970.
pub async fn begin_in_window(unit_s: u64, rest: Duration) -> Result<()> {
    wait::until_async("a window", PATIENCE, async || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let gone = Duration::from_secs(now.as_secs() % unit_s);
        let has_rest = gone + rest < Duration::from_secs(unit_s);
        Ok(has_rest.then_some(()))
    })
    .await
}
