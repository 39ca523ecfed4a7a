//! HTTP/2 with prior knowledge.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{Request, Response, exchange};
use crate::body::HttpBody;

/// A connection; requests on it may run side by side.
#[derive(Debug)]
pub struct Connection {
    peer: String,
    sender: http2::SendRequest<HttpBody>,
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
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move {
            // Its error also ends the requests it concerns.
            let _ = connection.await;
        });
        Ok(Self {
            peer: peer.to_string(),
            sender,
            driver,
        })
    }

    /// Sends a request and reads the whole response. Dropping the future
    /// resets the stream.
    pub async fn send(&self, request: Request) -> Result<Response> {
        let mut sender = self.sender.clone();
        sender.ready().await.context("connection closed")?;
        let uri = format!("http://{}{}", request.authority(&self.peer), request.path);
        let request = request.into_http(&uri)?;
        exchange(|| sender.send_request(request)).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
