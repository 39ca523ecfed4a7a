//! An origin that is nothing but a socket: for what HTTP does not show of
//! Envoy's connections, and for what no server would answer.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::SOON;
use crate::hostile::frames::{self, Frame, flag, kind};
use crate::hostile::hpack::{self, Field};
use crate::{Builder, Envoy, Route, client::h1};

const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// A listener of the test's own, and an Envoy that sends everything to it, by
/// a cluster that is governed by `spec`.
pub async fn before_socket(
    spec: &Value,
    edit: impl FnOnce(&mut Value),
) -> Result<(TcpListener, Envoy)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut bootstrap = Builder::new()
        .cluster("backend", listener.local_addr()?)
        .route(Route::cluster("/", "backend"))
        .build()?;
    bootstrap.edit(|config| edit(&mut config["static_resources"]["clusters"][0]));
    bootstrap.govern("backend", spec)?;
    Ok((listener, Envoy::start(&bootstrap).await?))
}

/// Makes a cluster speak HTTP/2.
pub fn speak_http2(cluster: &mut Value) {
    cluster["typed_extension_protocol_options"] = json!({OPTIONS: {
        "@type": format!("type.googleapis.com/{OPTIONS}"),
        "explicit_http_config": {"http2_protocol_options": {}},
    }});
}

/// The first connection that comes, and the request that makes it come.
pub async fn connection(listener: &TcpListener, envoy: &Envoy) -> Result<TcpStream> {
    let address = envoy.addr();
    tokio::spawn(async move { h1::get(address, "/").await });
    accept(listener).await
}

/// The next connection.
pub async fn accept(listener: &TcpListener) -> Result<TcpStream> {
    let accepted = tokio::time::timeout(SOON, listener.accept()).await;
    Ok(accepted.context("nobody connected")??.0)
}

/// So many bytes.
pub async fn read(stream: &mut TcpStream, bytes: usize) -> Result<Vec<u8>> {
    let mut buffer = vec![0; bytes];
    tokio::time::timeout(SOON, stream.read_exact(&mut buffer)).await??;
    Ok(buffer)
}

/// A connection of HTTP/2, frame by frame, from the origin's side.
#[derive(Debug)]
pub struct Http2 {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Http2 {
    /// Reads the preface, and sends our settings.
    pub async fn begin(mut stream: TcpStream) -> Result<Self> {
        let preface = read(&mut stream, frames::PREFACE.len()).await?;
        ensure!(preface == frames::PREFACE, "{preface:?}");
        let mut connection = Self {
            stream,
            unread: Vec::new(),
        };
        let mut hello = Vec::new();
        frames::put_settings(&mut hello, &[]);
        frames::put(&mut hello, kind::SETTINGS, flag::ACK, 0, &[]);
        connection.send(&hello).await?;
        Ok(connection)
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// The next frame; none if Envoy closes the connection.
    pub async fn frame(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(frame) = Frame::take(&mut self.unread) {
                return Ok(Some(frame));
            }
            let reading = self.stream.read_buf(&mut self.unread);
            let read = tokio::time::timeout(SOON, reading).await;
            if read.context("nothing comes")?? == 0 {
                return Ok(None);
            }
        }
    }

    /// The next frame of a kind; what comes before it counts for nothing.
    pub async fn frame_of(&mut self, kind: u8) -> Result<Frame> {
        loop {
            let frame = self.frame().await?.context("Envoy has closed")?;
            if frame.kind == kind {
                return Ok(frame);
            }
        }
    }

    /// Answers a stream without a body.
    pub async fn answer(&mut self, stream: u32, fields: &[Field<'_>]) -> Result<()> {
        let mut out = Vec::new();
        frames::put_headers(&mut out, stream, &hpack::encode(fields), true);
        self.send(&out).await
    }
}

/// The address of a listener that reads nothing: what is sent to it stays
/// where it is. Ends with the test.
pub async fn deaf() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    Ok(address)
}
