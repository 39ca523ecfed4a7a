//! A Redis of a test's own, with nothing on disk.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::envoy::free_port;
use crate::process::Process;
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

    /// What it has counted, by the names that the service gave the counts.
    pub async fn counts(&self) -> Result<BTreeMap<String, u64>> {
        let mut stream = BufReader::new(TcpStream::connect(self.address).await?);
        let names = ask(&mut stream, &["KEYS", "*"]).await?;
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut command = vec!["MGET"];
        command.extend(names.iter().map(String::as_str));
        let counts = ask(&mut stream, &command).await?;
        let counts = counts.iter().map(|it| it.parse());
        let counts = counts.collect::<Result<Vec<u64>, _>>()?;
        Ok(names.into_iter().zip(counts).collect())
    }

    /// The sum of those whose names have this in them.
    pub async fn counted(&self, part: &str) -> Result<u64> {
        let counts = self.counts().await?;
        let counts = counts.iter().filter(|(name, _)| name.contains(part));
        Ok(counts.map(|(_, count)| count).sum())
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

/// A command, and the texts that are answered; none is missing.
async fn ask(stream: &mut BufReader<TcpStream>, command: &[&str]) -> Result<Vec<String>> {
    let mut asked = format!("*{}\r\n", command.len());
    for part in command {
        asked += &format!("${}\r\n{part}\r\n", part.len());
    }
    stream.write_all(asked.as_bytes()).await?;
    let mut texts = Vec::new();
    for _ in 0..number(stream, '*').await? {
        let mut text = vec![0; number(stream, '$').await?];
        stream.read_exact(&mut text).await?;
        stream.read_exact(&mut [0; 2]).await?;
        texts.push(String::from_utf8(text)?);
    }
    Ok(texts)
}

/// The number of a line that begins with `kind`.
async fn number(stream: &mut BufReader<TcpStream>, kind: char) -> Result<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let number = line
        .strip_prefix(kind)
        .and_then(|it| it.trim().parse().ok());
    number.with_context(|| format!("Redis answers {line:?}"))
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
