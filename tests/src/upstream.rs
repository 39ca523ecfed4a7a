//! A scripted upstream that records what it saw.
//!
//! It speaks HTTP/1 and HTTP/2 (prior knowledge) on one port. What it replies
//! is decided by the request's path ([`convention`]), or, where a test needs
//! more, by a script of replies for a path prefix.

pub mod convention;
pub mod reply;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::body::HttpBody;
use crate::{Fields, field, from_header_map, wait};
pub use reply::Reply;

/// One request as it arrived. Recorded when its headers arrive and completed
/// while its body does.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// Number of the connection it came on, from 0.
    pub connection: u64,
    /// Method.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Protocol version.
    pub version: http::Version,
    /// The host of the request: `Host` or `:authority`.
    pub authority: String,
    /// Headers.
    pub headers: Fields,
    /// What has come of the body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Fields,
    /// When the headers were complete.
    pub headers_at: Instant,
    /// When the first byte of the body came.
    pub body_at: Option<Instant>,
    /// When the request was complete.
    pub complete_at: Option<Instant>,
    /// Why the request was never complete.
    pub broken: Option<String>,
}

/// A running upstream; stops when dropped.
#[derive(Debug)]
pub struct Upstream {
    addr: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    is_strict: bool,
    seen: Mutex<Log>,
    scripts: Mutex<Vec<Script>>,
}

/// `clear` forgets the requests but not how many there were: a request that is
/// still arriving must not be taken for a newer one.
#[derive(Debug, Default)]
struct Log {
    forgotten: usize,
    requests: Vec<RecordedRequest>,
}

#[derive(Debug)]
struct Script {
    prefix: String,
    replies: VecDeque<Reply>,
}

impl RecordedRequest {
    /// The first value of a header, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        field(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Upstream {
    /// Starts on a port of its own.
    pub async fn start() -> Result<Self> {
        Self::with(State::default()).await
    }

    /// The same, and as strict as nginx about hosts: what is none, such as
    /// `shop@default`, is answered 400.
    pub async fn strict() -> Result<Self> {
        let is_strict = true;
        Self::with(State {
            is_strict,
            ..State::default()
        })
        .await
    }

    async fn with(state: State) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let state = Arc::new(state);
        let server = tokio::spawn(accept(listener, state.clone()));
        Ok(Self {
            addr,
            state,
            server,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The k-th request whose path starts with `prefix` gets the k-th reply;
    /// after the last one the path convention holds again. A later script of
    /// the same prefix replaces an earlier one.
    pub fn script(&self, prefix: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut scripts = lock(&self.state.scripts);
        scripts.retain(|script| script.prefix != prefix);
        scripts.push(Script {
            prefix: prefix.into(),
            replies: replies.into_iter().collect(),
        });
    }

    /// Every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.state.seen).requests.clone()
    }

    /// The requests whose path starts with `prefix`.
    pub fn requests_under(&self, prefix: &str) -> Vec<RecordedRequest> {
        let mut requests = self.requests();
        requests.retain(|seen| seen.path.starts_with(prefix));
        requests
    }

    /// Waits until `count` requests have come, complete or not.
    pub async fn wait_for_requests(
        &self,
        count: usize,
        timeout: Duration,
    ) -> Result<Vec<RecordedRequest>> {
        wait::until(&format!("{count} upstream requests"), timeout, || {
            Some(self.requests()).filter(|seen| seen.len() >= count)
        })
        .await
    }

    /// Forgets the requests seen so far.
    pub fn clear(&self) {
        let mut log = lock(&self.state.seen);
        log.forgotten += log.requests.len();
        log.requests.clear();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl State {
    fn record(&self, seen: RecordedRequest) -> usize {
        let mut log = lock(&self.seen);
        log.requests.push(seen);
        log.forgotten + log.requests.len() - 1
    }

    fn update(&self, number: usize, change: impl FnOnce(&mut RecordedRequest)) {
        let mut log = lock(&self.seen);
        let index = number.checked_sub(log.forgotten);
        if let Some(seen) = index.and_then(|i| log.requests.get_mut(i)) {
            change(seen);
        }
    }

    fn scripted(&self, path: &str) -> Option<Reply> {
        lock(&self.scripts)
            .iter_mut()
            .filter(|script| path.starts_with(&script.prefix))
            .max_by_key(|script| script.prefix.len())
            .and_then(|script| script.replies.pop_front())
    }
}

/// Connections end with the accept loop, which owns them.
async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, number, state.clone()));
        number += 1;
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(mut stream: TcpStream, number: u64, state: Arc<State>) {
    let _ = stream.set_nodelay(true);
    if skip_proxy_header(&mut stream).await.is_err() {
        return;
    }
    let service = service_fn(|request| serve(state.clone(), number, request));
    // An error here is a connection that a client or a script broke off; the
    // request it concerns says so in `RecordedRequest::broken` or in the client's result.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Takes a header of the PROXY protocol off a connection, if there is one.
async fn skip_proxy_header(stream: &mut TcpStream) -> io::Result<()> {
    const V1: &[u8] = b"PROXY ";
    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    let mut start = [0; V2.len()];
    let seen = stream.peek(&mut start).await?;
    if start[..seen].starts_with(V1) {
        while stream.read_u8().await? != b'\n' {}
    } else if start[..seen] == *V2 {
        let mut head = [0; V2.len() + 4];
        stream.read_exact(&mut head).await?;
        let rest = u16::from_be_bytes([head[V2.len() + 2], head[V2.len() + 3]]);
        stream.read_exact(&mut vec![0; usize::from(rest)]).await?;
    }
    Ok(())
}

async fn serve(
    state: Arc<State>,
    connection: u64,
    request: http::Request<Incoming>,
) -> io::Result<http::Response<HttpBody>> {
    let (head, body) = request.into_parts();
    let path = head
        .uri
        .path_and_query()
        .map_or_else(|| head.uri.to_string(), ToString::to_string);
    let host = head.headers.get(http::header::HOST);
    let authority = match (head.uri.authority(), host) {
        (Some(authority), _) => authority.to_string(),
        (None, Some(host)) => String::from_utf8_lossy(host.as_bytes()).into_owned(),
        (None, None) => String::new(),
    };
    let seen = RecordedRequest {
        connection,
        method: head.method.to_string(),
        path: path.clone(),
        version: head.version,
        authority,
        headers: from_header_map(&head.headers),
        body: Vec::new(),
        trailers: Fields::new(),
        headers_at: Instant::now(),
        body_at: None,
        complete_at: None,
        broken: None,
    };
    let number = state.record(seen.clone());
    let script = if state.is_strict && !is_host(&seen.authority) {
        Some(Reply::status(400).text("this is no host\n"))
    } else {
        state.scripted(&path)
    };

    let reading = tokio::spawn(receive(state, number, seen, body));
    let reply = match script {
        Some(reply) if reply.is_early() => reply,
        script => {
            let seen = reading.await.map_err(io::Error::other)?;
            if let Some(reason) = seen.broken {
                return Err(io::Error::other(reason));
            }
            script.unwrap_or_else(|| convention::reply(&seen))
        }
    };
    reply.perform(head.method == http::Method::HEAD).await
}

/// Whether a text can be a host and a port; absence is fine.
fn is_host(text: &str) -> bool {
    let is_fine = |it: char| it.is_ascii_alphanumeric() || "-_.:[]".contains(it);
    text.chars().all(is_fine)
}

async fn receive(
    state: Arc<State>,
    number: usize,
    mut seen: RecordedRequest,
    mut body: Incoming,
) -> RecordedRequest {
    while let Some(frame) = body.frame().await {
        let now = Instant::now();
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => {
                seen.body_at.get_or_insert(now);
                seen.body.extend_from_slice(&data);
                state.update(number, |s| {
                    s.body_at.get_or_insert(now);
                    s.body.extend_from_slice(&data);
                });
            }
            Ok(Err(frame)) => {
                if let Ok(trailers) = frame.into_trailers() {
                    seen.trailers = from_header_map(&trailers);
                    state.update(number, |s| s.trailers.clone_from(&seen.trailers));
                }
            }
            Err(error) => {
                seen.broken = Some(error.to_string());
                state.update(number, |s| s.broken.clone_from(&seen.broken));
                return seen;
            }
        }
    }
    seen.complete_at = Some(Instant::now());
    state.update(number, |s| s.complete_at = seen.complete_at);
    seen
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
