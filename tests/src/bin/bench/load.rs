//! Requests on kept-alive connections, as fast as they are answered, with little work of
//! its own: the generator may share Envoy's core.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::traffic::Request;

/// How often which status came.
pub(crate) type Statuses = BTreeMap<u16, usize>;

/// Connections that stay between loads.
pub(crate) struct Connections {
    all: Vec<Connection>,
    /// Which request comes next, of several that are sent in turn.
    next: usize,
}

/// One of them.
pub(crate) struct Connection {
    peer: SocketAddr,
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connections {
    pub(crate) async fn open(peer: SocketAddr, count: usize) -> Result<Self> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(Connection::open(peer).await?);
        }
        Ok(Self::from_parts(all))
    }

    /// Sends so many requests, each of these in its turn.
    pub(crate) async fn send(
        &mut self,
        requests: &Arc<[Request]>,
        times: usize,
    ) -> Result<Statuses> {
        let share = times / self.all.len();
        let mut clients = JoinSet::new();
        for mut connection in self.all.drain(..) {
            let (requests, first) = (Arc::clone(requests), self.next);
            self.next += share;
            clients.spawn(async move {
                let mut statuses = Statuses::new();
                for number in first..first + share {
                    let Request(bytes) = &requests[number % requests.len()];
                    let status = connection.exchange(bytes).await?;
                    *statuses.entry(status).or_default() += 1;
                }
                anyhow::Ok((connection, statuses))
            });
        }
        let mut statuses = Statuses::new();
        while let Some(client) = clients.join_next().await {
            let (connection, own) = client??;
            self.all.push(connection);
            for (status, count) in own {
                *statuses.entry(status).or_default() += count;
            }
        }
        Ok(statuses)
    }

    /// These connections.
    pub(crate) fn from_parts(all: Vec<Connection>) -> Self {
        Self { all, next: 0 }
    }

    /// The connections themselves.
    pub(crate) fn into_parts(self) -> Vec<Connection> {
        self.all
    }
}

impl Connection {
    pub(crate) async fn open(peer: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(peer).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            peer,
            stream,
            received: Vec::with_capacity(4096),
        })
    }

    /// Sends a request, and reads its response to the end: its status.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.received.clear();
        let head = loop {
            if let Some(head) = end_of_head(&self.received) {
                break head;
            }
            self.read().await?;
        };
        let text = &self.received[..head];
        let status = std::str::from_utf8(text.get(9..12).context("no status")?)?.parse()?;
        let closes = value(text, "connection")? == Some("close");
        let body = content_length(text)?.context("no content-length")?;
        while self.received.len() < head + body {
            self.read().await?;
        }
        if closes {
            *self = Self::open(self.peer).await?;
        }
        Ok(status)
    }

    async fn read(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.received).await? == 0 {
            bail!("closed after {:?}", String::from_utf8_lossy(&self.received));
        }
        Ok(())
    }
}

/// How long the head of a message is that begins here.
pub(crate) fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n")?;
    Some(end + 4)
}

/// How long the body of a message with this head is.
pub(crate) fn content_length(head: &[u8]) -> Result<Option<usize>> {
    let value = value(head, "content-length")?;
    Ok(value.map(str::parse).transpose()?)
}

fn value<'a>(head: &'a [u8], name: &str) -> Result<Option<&'a str>> {
    let lines = std::str::from_utf8(head)?.lines();
    let mut fields = lines.filter_map(|line| line.split_once(": "));
    Ok(fields.find(|(it, _)| *it == name).map(|(_, value)| value))
}
