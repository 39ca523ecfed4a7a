//! Unary gRPC calls over HTTP/2, by hand: five bytes of framing and two
//! header fields are all of gRPC that a proxy's test needs.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Request, Response, h2};
use crate::{Body, Fields, field, percent};

const FRAME_HEAD: usize = 5;

/// How a call ended.
#[derive(Clone, Debug)]
pub struct GrpcReply {
    /// HTTP status, 200 for every proper gRPC reply.
    pub status: u16,
    /// Headers.
    pub headers: Fields,
    /// Trailers, empty when the reply was trailers-only.
    pub trailers: Fields,
    /// Messages.
    pub messages: Vec<Vec<u8>>,
    /// `grpc-status`, from the trailers or the headers.
    pub grpc_status: Option<u32>,
    /// `grpc-message`, percent signs decoded.
    pub grpc_message: Option<String>,
    /// Whether the reply was one header block and nothing else.
    pub trailers_only: bool,
    /// Time to the headers.
    pub headers_after: Duration,
    /// Time to the end.
    pub elapsed: Duration,
}

/// Calls `path` with one message.
pub async fn call(peer: SocketAddr, path: &str, message: &[u8]) -> Result<GrpcReply> {
    send(peer, request(path, message)).await
}

/// A gRPC request, to which headers may be added.
pub fn request(path: &str, message: &[u8]) -> Request {
    Request::new("POST", path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::chunked([frame(message)]))
}

/// Sends what [`request`] made.
pub async fn send(peer: SocketAddr, request: Request) -> Result<GrpcReply> {
    let response = h2::send(peer, request).await?;
    if let Some(reason) = &response.broken {
        bail!("the reply broke off: {reason}");
    }
    read(response)
}

fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut framed = vec![0];
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

fn read(response: Response) -> Result<GrpcReply> {
    let source = if field(&response.trailers, "grpc-status").is_some() {
        &response.trailers
    } else {
        &response.headers
    };
    let grpc_status = field(source, "grpc-status")
        .map(|text| text.parse())
        .transpose()
        .context("grpc-status is not a number")?;
    let grpc_message = field(source, "grpc-message").map(|text| percent::decode(&text));
    let is_grpc = response
        .header("content-type")
        .is_some_and(|t| t.starts_with("application/grpc"));
    let messages = if is_grpc {
        unframe(&response.body)?
    } else {
        Vec::new()
    };
    Ok(GrpcReply {
        status: response.status,
        trailers_only: response.body.is_empty() && response.trailers.is_empty(),
        messages,
        grpc_status,
        grpc_message,
        headers: response.headers,
        trailers: response.trailers,
        headers_after: response.headers_after,
        elapsed: response.elapsed,
    })
}

fn unframe(mut body: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    while !body.is_empty() {
        let [_, a, b, c, d, rest @ ..] = body else {
            bail!("{} bytes after the last gRPC message", body.len());
        };
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let message = rest.get(..length).with_context(|| {
            format!("a gRPC message of {length} bytes ends after {}", rest.len())
        })?;
        messages.push(message.to_vec());
        body = &body[FRAME_HEAD + length..];
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_back() {
        let two = [frame(b"one"), frame(b"")].concat();
        assert_eq!(unframe(&two).unwrap(), [b"one".to_vec(), Vec::new()]);
        assert!(unframe(&two[..4]).is_err());
        assert!(unframe(&two[..6]).is_err());
    }
}
