//! Counts in Redis: INCRBY and EXPIRE, as many as a request needs in one go.
//!
//! By hand, as the crate `redis` would bring thirty others (the tables of
//! internationalized domain names among them) for two commands.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::verdict::Increment;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// One connection, which is made when it is needed.
pub(super) struct Redis {
    address: SocketAddr,
    connection: Mutex<Option<Connection>>,
}

struct Connection {
    stream: BufReader<TcpStream>,
}

impl Redis {
    /// Nobody needs to be there yet.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            connection: Mutex::new(None),
        }
    }

    /// Adds to counts, and yields what they are then.
    pub(super) async fn add(&self, increments: &[&Increment]) -> Result<Vec<u64>> {
        if increments.is_empty() {
            return Ok(Vec::new());
        }
        let counting = timeout(PATIENCE, self.count(increments));
        let counts = counting.await.unwrap_or_else(|late| Err(late.into()));
        counts.with_context(|| format!("Redis at {}", self.address))
    }

    async fn count(&self, increments: &[&Increment]) -> io::Result<Vec<u64>> {
        let mut kept = self.connection.lock().await;
        let mut connection = match kept.take() {
            Some(connection) if connection.is_open() => connection,
            _ => Connection::open(self.address).await?,
        };
        let counts = connection.count(increments).await?;
        // Only here: after an error, answers to earlier questions may be on their way.
        *kept = Some(connection);
        Ok(counts)
    }
}

impl Connection {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Whether the other side has not closed it since: nothing is sent twice, as it may
    /// have been counted.
    fn is_open(&self) -> bool {
        let read = self.stream.get_ref().try_read(&mut [0]);
        read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    async fn count(&mut self, increments: &[&Increment]) -> io::Result<Vec<u64>> {
        let commands: Vec<u8> = increments.iter().flat_map(|it| commands(it)).collect();
        self.stream.write_all(&commands).await?;
        let mut counts = Vec::with_capacity(increments.len());
        for _ in increments {
            counts.push(self.number().await?);
            self.number().await?;
        }
        Ok(counts)
    }

    async fn number(&mut self) -> io::Result<u64> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        number(&line).ok_or_else(|| io::Error::other(format!("it answers {line:?}")))
    }
}

fn commands(increment: &Increment) -> Vec<u8> {
    let Increment { key, .. } = increment;
    let (hits, seconds) = (increment.hits, increment.expires_after_s);
    [
        command(["INCRBY", key, &hits.to_string()]),
        command(["EXPIRE", key, &seconds.to_string()]),
    ]
    .concat()
}

fn command(words: [&str; 3]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

fn number(line: &str) -> Option<u64> {
    line.strip_prefix(':')?.strip_suffix("\r\n")?.parse().ok()
}

#[cfg(test)]
mod tests;
