//! gRPC for one call without streams: five bytes before each message, and the status in
//! the trailers.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::WithTrailers;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};

use crate::rls::{RateLimitRequest, SHOULD_RATE_LIMIT};
use crate::service::Service;

const OK: u32 = 0;
/// What an error without a status of its own becomes in the services that this is for.
const UNKNOWN: u32 = 2;
const UNIMPLEMENTED: u32 = 12;

const CONTENT_TYPE: &str = "application/grpc";

type Trailers = Ready<Option<Result<HeaderMap, Infallible>>>;
type Reply = Response<WithTrailers<Full<Bytes>, Trailers>>;

/// Answers whoever connects, in HTTP/2 without TLS.
pub(crate) async fn serve(listener: TcpListener, service: Arc<Service>) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(stream, Arc::clone(&service)));
    }
}

async fn connection(stream: TcpStream, service: Arc<Service>) {
    // Only slower without it.
    let _ = stream.set_nodelay(true);
    let call = service_fn(|request| answer(request, Arc::clone(&service)));
    let connection =
        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), call);
    if let Err(error) = connection.await {
        eprintln!("a connection broke: {error}");
    }
}

async fn answer(request: Request<Incoming>, service: Arc<Service>) -> Result<Reply, Infallible> {
    if request.uri().path() != SHOULD_RATE_LIMIT {
        eprintln!("no such call: {}", request.uri());
        return Ok(reply(UNIMPLEMENTED, Vec::new()));
    }
    Ok(match should_rate_limit(request, &service).await {
        Ok(message) => reply(OK, message),
        Err(error) => {
            eprintln!("no answer: {error:#}");
            reply(UNKNOWN, Vec::new())
        }
    })
}

async fn should_rate_limit(request: Request<Incoming>, service: &Service) -> Result<Vec<u8>> {
    let body = request.into_body().collect().await?.to_bytes();
    let request = RateLimitRequest::decode(unframed(&body)?)?;
    let response = service.should_rate_limit(&request).await?;
    Ok(framed(&response.encode_to_vec()))
}

fn reply(status: u32, body: Vec<u8>) -> Reply {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(status));
    let body = Full::new(Bytes::from(body)).with_trailers(ready(Some(Ok(trailers))));
    let mut reply = Response::new(body);
    *reply.status_mut() = StatusCode::OK;
    let content_type = HeaderValue::from_static(CONTENT_TYPE);
    reply.headers_mut().insert("content-type", content_type);
    reply
}

/// The one message of a body.
fn unframed(body: &[u8]) -> Result<&[u8]> {
    let (head, message) = body.split_at_checked(5).context("no message of gRPC")?;
    if head[0] != 0 {
        bail!("the message is compressed, which nobody has agreed to");
    }
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    if usize::try_from(length) != Ok(message.len()) {
        bail!("a message of {length} bytes in {}", message.len());
    }
    Ok(message)
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut body = vec![0];
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(message);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_back() {
        let body = framed(b"abc");
        assert_eq!(body[..5], [0, 0, 0, 0, 3]);
        assert_eq!(unframed(&body).unwrap(), b"abc");
        assert_eq!(unframed(&framed(b"")).unwrap(), b"");
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for body in [
            &b"\0\0\0"[..],
            b"\0\0\0\0\x01",
            b"\0\0\0\0\0x",
            b"\x01\0\0\0\0",
        ] {
            assert!(unframed(body).is_err(), "{body:?}");
        }
    }
}
