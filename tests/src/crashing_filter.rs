//! A copy of the filter whose VMs a test can kill, and keep short of memory.
//!
//! No request can kill the filter as it ships, and it contains no code for tests. But tests
//! must show what Envoy does with a plugin that crashes, and what survives the crash. So a
//! built filter gets another `proxy_on_request_headers`. It takes a command from the number
//! of a request's headers, if there are very many, and then calls the filter's own
//! function. A command applies to the worker whose connection brings the request. To keep
//! memory short, all `memory.grow` of the filter are answered as the host answers when
//! there is none.

mod surgery;

use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::client::h1;
use crate::{Bootstrap, Request, Response, repo};
use surgery::{Command, instrument};

/// The filter that can be killed; its file is gone when dropped.
#[derive(Debug)]
pub struct CrashingFilter {
    dir: TempDir,
}

impl CrashingFilter {
    /// Makes the copy.
    pub fn new() -> Result<Self> {
        Self::make(i32::MAX, None)
    }

    /// Makes a copy of which each VM gets so many pages (64 KiB) at most, in the
    /// place of Envoy's 16,384.
    pub fn rationed(pages: i32) -> Result<Self> {
        Self::make(pages, None)
    }

    /// Makes a copy of which the VMs with these numbers are short of memory from
    /// the start. Numbers are from 1, in the order in which Envoy configures VMs
    /// first: a canary, the main thread and the workers, and so on.
    pub fn starving(numbers: RangeInclusive<u32>) -> Result<Self> {
        Self::make(i32::MAX, Some(numbers))
    }

    fn make(most_pages: i32, starving: Option<RangeInclusive<u32>>) -> Result<Self> {
        let healthy = fs::read(repo::wasm()?)?;
        let dir = TempDir::new()?;
        let changed = instrument(&healthy, most_pages, starving)?;
        fs::write(dir.path().join("crashing.wasm"), changed)?;
        Ok(Self { dir })
    }

    /// Puts it in the filter's place, at every position.
    pub fn replace_in(&self, bootstrap: &mut Bootstrap) -> Result<()> {
        let healthy = repo::wasm()?.display().to_string();
        bootstrap.replace_text(&healthy, &self.path().display().to_string());
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("crashing.wasm")
    }
}

/// The request, which kills the VM that reads it.
pub fn deadly(request: Request) -> Request {
    commanding(request, Command::Die)
}

/// Kills the VM of the worker that has this connection.
pub async fn kill(worker: &mut h1::Connection, path: &str) -> Result<()> {
    let killed = worker.send(deadly(Request::get(path))).await?;
    ensure!(is_of_a_dead_vm(&killed), "{killed:?}");
    Ok(())
}

/// The request, after which the next configuration kills the VM.
pub fn dooming(request: Request) -> Request {
    commanding(request, Command::Doom)
}

/// The request, after which the VM gets no more memory.
pub fn starving(request: Request) -> Request {
    commanding(request, Command::Starve)
}

/// The request, after which the VM gets memory again.
pub fn feeding(request: Request) -> Request {
    commanding(request, Command::Feed)
}

fn commanding(request: Request, command: Command) -> Request {
    (0..command as i32).fold(request, |request, index| {
        request.header(&format!("x-command-{index}"), "1")
    })
}

/// Whether this is what Envoy answers in place of a plugin that has crashed.
pub fn is_of_a_dead_vm(response: &Response) -> bool {
    response.status == 503 && response.body.is_empty()
}
