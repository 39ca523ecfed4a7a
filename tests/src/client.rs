//! Clients: HTTP/1, HTTP/2, gRPC and raw bytes, with one request and response.
//!
//! The hyper clients say what a well-behaved client sees; [`raw`] is for what
//! such a client would never send.

pub mod grpc;
pub mod h1;
pub mod h2;
pub mod raw;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::body::{Body, HttpBody};
use crate::{Fields, field, field_values, from_header_map, to_header_map};

/// After this time a test has failed, whatever it waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request as a test writes it.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    path: String,
    host: Option<String>,
    headers: Fields,
    body: Body,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Protocol version.
    pub version: http::Version,
    /// Headers, names in lower case.
    pub headers: Fields,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Fields,
    /// Time from sending the request to the response's headers.
    pub headers_after: Duration,
    /// Time from sending the request to the response's end.
    pub elapsed: Duration,
    /// Why the response is not complete.
    pub broken: Option<String>,
}

impl Request {
    /// A request of any method.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            host: None,
            headers: Fields::new(),
            body: Body::empty(),
        }
    }

    /// A GET.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST of a body of known length.
    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", path).body(Body::sized(body))
    }

    /// Adds a header; the value may be any bytes HTTP allows.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// Sets the host, which is the peer's address otherwise.
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    fn authority(&self, peer: &str) -> String {
        self.host.clone().unwrap_or_else(|| peer.into())
    }

    fn into_http(self, uri: &str) -> Result<http::Request<HttpBody>> {
        let mut request = http::Request::builder()
            .method(self.method.as_str())
            .uri(uri)
            .body(self.body.into_http())
            .with_context(|| format!("{} {uri}", self.method))?;
        request.headers_mut().extend(to_header_map(&self.headers)?);
        Ok(request)
    }
}

impl Response {
    /// The first value of a header, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        field(&self.headers, name)
    }

    /// All values of a header.
    pub fn header_values(&self, name: &str) -> Vec<&[u8]> {
        field_values(&self.headers, name)
    }

    /// The first value of a trailer, as text.
    pub fn trailer(&self, name: &str) -> Option<String> {
        field(&self.trailers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("not JSON: {} {}", self.status, self.text()))
    }
}

/// Sends a request. The clock starts first: a sender hands its request over when it is
/// asked to, and not only when somebody waits for the answer.
async fn exchange<S>(send: impl FnOnce() -> S) -> Result<Response>
where
    S: Future<Output = hyper::Result<http::Response<Incoming>>>,
{
    let started = Instant::now();
    let sending = send();
    let whole = async {
        let response = sending.await.context("no response")?;
        Ok(receive(started, response).await)
    };
    tokio::time::timeout(PATIENCE, whole)
        .await
        .with_context(|| format!("no complete response within {PATIENCE:?}"))?
}

async fn receive(started: Instant, response: http::Response<Incoming>) -> Response {
    let (head, mut body) = response.into_parts();
    let mut received = Response {
        status: head.status.as_u16(),
        version: head.version,
        headers: from_header_map(&head.headers),
        body: Vec::new(),
        trailers: Fields::new(),
        headers_after: started.elapsed(),
        elapsed: Duration::ZERO,
        broken: None,
    };
    while let Some(frame) = body.frame().await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => received.body.extend_from_slice(&data),
            Ok(Err(frame)) => {
                if let Ok(trailers) = frame.into_trailers() {
                    received.trailers = from_header_map(&trailers);
                }
            }
            Err(error) => {
                received.broken = Some(error.to_string());
                break;
            }
        }
    }
    received.elapsed = started.elapsed();
    received
}
