//! Requests on kept-alive connections, as fast as they are answered, with little work of
//! its own: the generator may share Envoy's core.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 8;

/// A request as it goes over the wire.
#[derive(Clone)]
pub(crate) struct Request(Vec<u8>);

impl Request {
    pub(crate) fn get(path: &str) -> Self {
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\nuser-agent: bench\r\n\r\n");
        Self(head.into_bytes())
    }

    pub(crate) fn post(path: &str, bytes: usize) -> Self {
        let body = "x".repeat(bytes);
        Self(format!("POST {path} HTTP/1.1\r\nhost: shop.example\r\nuser-agent: bench\r\ncontent-length: {bytes}\r\n\r\n{body}").into_bytes())
    }
}

/// Sends a request so many times; how often which status came.
pub(crate) async fn send(
    peer: SocketAddr,
    request: &Request,
    times: usize,
) -> Result<BTreeMap<u16, usize>> {
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        clients.spawn(client(peer, request.clone(), times / CONNECTIONS));
    }
    let mut statuses = BTreeMap::new();
    while let Some(client) = clients.join_next().await {
        for (status, count) in client?? {
            *statuses.entry(status).or_default() += count;
        }
    }
    Ok(statuses)
}

async fn client(peer: SocketAddr, request: Request, times: usize) -> Result<BTreeMap<u16, usize>> {
    let mut stream = TcpStream::connect(peer).await?;
    stream.set_nodelay(true)?;
    let mut statuses = BTreeMap::new();
    let mut received = Vec::new();
    for _ in 0..times {
        if received.is_empty() && statuses.is_empty() {
            received.reserve(4096);
        }
        stream.write_all(&request.0).await?;
        received.clear();
        let (status, length, closes) = loop {
            if stream.read_buf(&mut received).await? == 0 {
                bail!("closed after {:?}", String::from_utf8_lossy(&received));
            }
            if let Some(end) = received.windows(4).position(|it| it == b"\r\n\r\n") {
                let (status, body, closes) = head(&received[..end])?;
                break (status, end + 4 + body, closes);
            }
        };
        while received.len() < length {
            if stream.read_buf(&mut received).await? == 0 {
                bail!("closed within a body");
            }
        }
        *statuses.entry(status).or_default() += 1;
        if closes {
            stream = TcpStream::connect(peer).await?;
        }
    }
    Ok(statuses)
}

/// Status, length of the body, and whether the connection ends then.
fn head(bytes: &[u8]) -> Result<(u16, usize, bool)> {
    let text = std::str::from_utf8(bytes)?;
    let status = text.get(9..12).context("no status")?.parse()?;
    let mut length = None;
    let mut closes = false;
    for line in text.lines().skip(1) {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        match name {
            "content-length" => length = Some(value.parse()?),
            "connection" => closes = value == "close",
            _ => {}
        }
    }
    Ok((status, length.context("no content-length")?, closes))
}
