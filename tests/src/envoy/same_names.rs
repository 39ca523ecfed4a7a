//! Envoy's admin interface at an address of its own, with statistics under the names
//! of the .wasm in either build: for the commands that READMEs show.

use std::net::SocketAddr;

use anyhow::Result;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Envoy, admin};
use crate::client::h1;
use crate::percent;

/// Here the names differ by build.
const STATS: &str = "/stats";
/// Here the names are the same by themselves.
const PROMETHEUS: &str = "/stats/prometheus";

/// The admin interface of an Envoy; ends when dropped.
#[derive(Debug)]
pub struct SameNames {
    addr: SocketAddr,
    server: JoinHandle<()>,
}

impl SameNames {
    /// Starts on a port of its own.
    pub async fn start(envoy: &Envoy) -> Result<Self> {
        Self::of(envoy.admin_addr()).await
    }

    /// The same for an Envoy of which only the admin interface is known.
    pub async fn of(admin: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let server = tokio::spawn(serve(listener, admin));
        Ok(Self { addr, server })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for SameNames {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, admin: SocketAddr) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = service_fn(move |request| answer(admin, request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            // Who asks sees what has failed.
            let _ = connection.await;
        });
    }
}

async fn answer(
    admin: SocketAddr,
    request: http::Request<Incoming>,
) -> Result<http::Response<Full<Bytes>>> {
    let path = request.uri().path();
    if path == PROMETHEUS {
        // Pages show the module whichever build is under test.
        admin::module_shows().await;
    }
    if path != STATS {
        let target = request.uri().path_and_query();
        let text = h1::get(admin, target.map_or(path, |it| it.as_str())).await?;
        return Ok(http::Response::new(Full::from(text.text())));
    }
    let query = request.uri().query().unwrap_or_default();
    let filter = query.strip_prefix("filter=").map(percent::decode);
    let stats = admin::stats_matching(admin, &filter.unwrap_or_default()).await?;
    let lines = stats
        .iter()
        .map(|(name, value)| format!("{name}: {value}\n"));
    Ok(http::Response::new(Full::from(lines.collect::<String>())))
}
