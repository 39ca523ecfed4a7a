//! A Redis of a test's own, with nothing on disk.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::process::Process;
use crate::envoy::free_port;
use crate::{repo, wait};

const START: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 3;

/// A running Redis; killed when dropped.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    address: SocketAddr,
}

impl Redis {
    /// Starts it and waits until it answers.
    pub async fn start() -> Result<Self> {
        let mut attempt = 1;
        loop {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
            match serving(address).await {
                Ok(process) => return Ok(Self { process, address }),
                // Somebody else may have taken the port meanwhile.
                Err(_) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, with all that it has counted.
    pub fn stop(&mut self) -> Result<()> {
        self.process.end()
    }

    /// Starts it anew, where it was and empty.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.process = serving(self.address).await?;
        Ok(())
    }
}

async fn serving(address: SocketAddr) -> Result<Process> {
    let mut command = Command::new(repo::redis_server()?);
    command
        .args(["--bind", &address.ip().to_string()])
        .args(["--port", &address.port().to_string()])
        .args(["--save", "", "--appendonly", "no"]);
    let mut process = Process::spawn("Redis", command)?;
    wait::until_async("Redis", START, async || {
        if let Some(status) = process.exited()? {
            let printed = process.printed()?;
            bail!("Redis ended ({status}):\n{printed}{}", process.log());
        }
        Ok(answers(address).await.then_some(()))
    })
    .await?;
    Ok(process)
}

async fn answers(address: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer == *b"+PONG\r\n")
    };
    asked.await.unwrap_or(false)
}
