//! Raw TCP: exactly the bytes that a test puts on the wire.
//!
//! For malformed and non-UTF-8 headers, HTTP/1.0, pipelining, half-sent bodies
//! and clients that vanish.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::PATIENCE;
use crate::{Fields, field};

/// A TCP connection and what it has read ahead.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// An HTTP/1 response as it was on the wire.
#[derive(Clone, Debug)]
pub struct RawResponse {
    /// The status line.
    pub status_line: String,
    /// Status code.
    pub status: u16,
    /// Headers, names as sent.
    pub headers: Fields,
    /// Body without its chunked framing.
    pub body: Vec<u8>,
}

impl RawResponse {
    /// The first value of a header, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        field(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Connection {
    /// Connects.
    pub async fn open(peer: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(peer)
            .await
            .with_context(|| format!("connecting to {peer}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        Ok(self.stream.write_all(bytes.as_ref()).await?)
    }

    /// Ends our direction; the peer may still answer.
    pub async fn finish_sending(&mut self) -> Result<()> {
        Ok(self.stream.shutdown().await?)
    }

    /// Vanishes with a TCP reset.
    pub fn reset(self) -> Result<()> {
        self.stream.set_zero_linger()?;
        Ok(())
    }

    /// Reads until the peer closes; an error when it does not within `timeout`.
    pub async fn read_until_closed(&mut self, timeout: Duration) -> Result<Vec<u8>> {
        if !self.read_for(timeout).await? {
            bail!(
                "not closed within {timeout:?}; read so far: {}",
                self.peek()
            );
        }
        Ok(std::mem::take(&mut self.unread))
    }

    /// Reads whatever comes within `timeout` or until the peer closes.
    pub async fn read_within(&mut self, timeout: Duration) -> Result<Vec<u8>> {
        self.read_for(timeout).await?;
        Ok(std::mem::take(&mut self.unread))
    }

    /// Reads one complete response; what follows it stays for the next call.
    /// Not for answers to HEAD: use [`Self::read_head`].
    pub async fn read_response(&mut self) -> Result<RawResponse> {
        let mut response = self.read_head().await?;
        let chunked = response.header("transfer-encoding").as_deref() == Some("chunked");
        let length = response.header("content-length");
        response.body = match (chunked, length) {
            (true, _) => self.read_chunks().await?,
            (false, Some(length)) => self.read_exactly(length.parse()?).await?,
            (false, None) if matches!(response.status, 100..200 | 204 | 304) => Vec::new(),
            (false, None) => self.read_until_closed(PATIENCE).await?,
        };
        Ok(response)
    }

    /// Reads status line and headers only.
    pub async fn read_head(&mut self) -> Result<RawResponse> {
        let status_line = self.read_line().await?;
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .with_context(|| format!("not a status line: {status_line:?}"))?;
        let mut headers = Fields::new();
        loop {
            let line = self.read_line_bytes().await?;
            if line.is_empty() {
                break;
            }
            let colon = line
                .iter()
                .position(|b| *b == b':')
                .with_context(|| format!("not a header: {}", String::from_utf8_lossy(&line)))?;
            let name = String::from_utf8_lossy(&line[..colon]).into_owned();
            headers.push((name, line[colon + 1..].trim_ascii().to_vec()));
        }
        Ok(RawResponse {
            status_line,
            status,
            headers,
            body: Vec::new(),
        })
    }

    async fn read_chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.read_line().await?;
            let size = usize::from_str_radix(size.trim(), 16)
                .with_context(|| format!("not a chunk size: {size:?}"))?;
            if size == 0 {
                while !self.read_line_bytes().await?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.read_exactly(size).await?);
            self.read_line_bytes().await?;
        }
    }

    async fn read_line(&mut self) -> Result<String> {
        let line = self.read_line_bytes().await?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    async fn read_line_bytes(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|w| w == b"\r\n") {
                let line = self.unread.drain(..end).collect();
                self.unread.drain(..2);
                return Ok(line);
            }
            self.require_more().await?;
        }
    }

    async fn read_exactly(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.unread.len() < count {
            self.require_more().await?;
        }
        Ok(self.unread.drain(..count).collect())
    }

    async fn require_more(&mut self) -> Result<()> {
        let more = tokio::time::timeout(PATIENCE, self.read_more())
            .await
            .with_context(|| format!("no complete response within {PATIENCE:?}"))??;
        if !more {
            bail!(
                "closed in the middle of a response; unread: {}",
                self.peek()
            );
        }
        Ok(())
    }

    /// Whether the peer closed in this time.
    async fn read_for(&mut self, timeout: Duration) -> Result<bool> {
        let reading = async {
            while self.read_more().await? {}
            Ok(true)
        };
        tokio::time::timeout(timeout, reading)
            .await
            .unwrap_or(Ok(false))
    }

    async fn read_more(&mut self) -> Result<bool> {
        Ok(self.stream.read_buf(&mut self.unread).await? > 0)
    }

    fn peek(&self) -> String {
        format!("{:?}", String::from_utf8_lossy(&self.unread))
    }
}
