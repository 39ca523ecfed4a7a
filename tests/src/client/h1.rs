//! HTTP/1.1: one connection per request, or one kept alive.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{Request, Response, exchange};
use crate::body::HttpBody;

/// A connection that stays open between requests.
#[derive(Debug)]
pub struct Connection {
    peer: String,
    sender: http1::SendRequest<HttpBody>,
    driver: JoinHandle<()>,
}

/// Sends one request on a connection of its own.
pub async fn send(peer: SocketAddr, request: Request) -> Result<Response> {
    Connection::open(peer).await?.send(request).await
}

/// GETs one path on a connection of its own.
pub async fn get(peer: SocketAddr, path: &str) -> Result<Response> {
    send(peer, Request::get(path)).await
}

impl Connection {
    /// Connects.
    pub async fn open(peer: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(peer)
            .await
            .with_context(|| format!("connecting to {peer}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move {
            // Its error also ends the request it concerns.
            let _ = connection.await;
        });
        Ok(Self {
            peer: peer.to_string(),
            sender,
            driver,
        })
    }

    /// Sends a request and reads the whole response.
    pub async fn send(&mut self, request: Request) -> Result<Response> {
        self.sender.ready().await.context("connection closed")?;
        let host = request.authority(&self.peer);
        let uri = request.path.clone();
        let request = request.header("host", host).into_http(&uri)?;
        exchange(|| self.sender.send_request(request)).await
    }

    /// Whether the peer has closed the connection.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
