//! HTTP/2 with prior knowledge.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};

use super::{Request, Response, exchange};
use crate::body::{Body, HttpBody};

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
        exchange(sender.send_request(request)).await
    }

    /// Sends a request whose body does not end. The stream is open until the
    /// task is aborted.
    pub async fn hold_open(&self, request: Request, tasks: &mut JoinSet<()>) -> Result<()> {
        const FOR_EVER: Duration = Duration::from_secs(86_400);
        let mut sender = self.sender.clone();
        sender.ready().await.context("connection closed")?;
        let uri = format!("http://{}{}", request.authority(&self.peer), request.path);
        let endless = Body::streamed([(FOR_EVER, "x")]);
        let response = sender.send_request(request.body(endless).into_http(&uri)?);
        tasks.spawn(async move {
            // Nobody cares what came of it.
            let _ = response.await;
        });
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
