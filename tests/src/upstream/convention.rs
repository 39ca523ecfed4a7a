//! What the upstream replies when nothing was scripted: the path says it.
//!
//! `/status/<code>` replies that status, any other path 200, with the body
//! `upstream says <code>`. `/echo` replies what it was sent, as JSON.
//! `/grpc/<code>` and `/grpc-stream` are gRPC replies. Query flags: `bytes=N`,
//! `chunked`, `delay=MS`, `trailers`, `empty`, `ct=TYPE`, `h=name:value`.
//!
//! Trailers need an HTTP/2 upstream: hyper sends HTTP/1 trailers only to a client that
//! requests them, and Envoy does not.

use std::time::Duration;

use serde_json::json;

use super::{RecordedRequest, Reply};
use crate::Body;
use crate::percent::decode;

/// The reply that the request's path selects.
pub fn reply(seen: &RecordedRequest) -> Reply {
    let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
    let mut parts = path.rsplit('/');
    match (parts.next(), parts.next()) {
        (Some("echo"), _) => echo(seen),
        (Some("grpc-stream"), _) => grpc_stream(seen),
        (Some(code), Some("grpc")) => grpc_status(code),
        (Some(code), Some("status")) => plain(code.parse().unwrap_or(200), query),
        _ => plain(200, query),
    }
}

fn plain(status: u16, query: &str) -> Reply {
    let mut data = format!("upstream says {status}\n").into_bytes();
    let mut content_type = "text/plain".to_string();
    let mut reply = Reply::status(status).header("x-upstream", "yes");
    let (mut chunked, mut empty, mut trailers) = (false, false, false);

    for flag in query.split('&') {
        let (key, value) = flag.split_once('=').unwrap_or((flag, ""));
        let value = decode(value);
        match key {
            "bytes" => data = vec![b'x'; value.parse().unwrap_or(0)],
            "chunked" => chunked = true,
            "empty" => empty = true,
            "trailers" => trailers = true,
            "delay" => reply = reply.after(Duration::from_millis(value.parse().unwrap_or(0))),
            "ct" => content_type = value,
            "h" => {
                let (name, value) = value.split_once(':').unwrap_or((&value, ""));
                reply = reply.header(name, value);
            }
            _ => {}
        }
    }

    let mut body = match (empty, chunked) {
        (true, _) => Body::empty(),
        (false, true) => Body::chunked(data.chunks(16 * 1024)),
        (false, false) => Body::sized(data),
    };
    if trailers {
        body = body.trailer("x-trailer", "yes");
    }
    if !empty {
        reply = reply.header("content-type", content_type);
    }
    reply.body(body)
}

fn echo(seen: &RecordedRequest) -> Reply {
    let headers: Vec<_> = seen
        .headers
        .iter()
        .map(|(name, value)| json!([name, String::from_utf8_lossy(value)]))
        .collect();
    let echo = json!({
        "method": seen.method,
        "path": seen.path,
        "headers": headers,
        "body": seen.text(),
    });
    Reply::status(200)
        .header("content-type", "application/json")
        .header("x-upstream", "yes")
        .text(&echo.to_string())
}

/// Trailers-only: the status is in the one and only header block.
fn grpc_status(code: &str) -> Reply {
    Reply::status(200)
        .header("content-type", "application/grpc")
        .header("grpc-status", code)
        .header("grpc-message", format!("upstream says {code}"))
}

/// One message, the request's own, and trailers.
fn grpc_stream(seen: &RecordedRequest) -> Reply {
    let body = Body::chunked([seen.body.clone()])
        .trailer("grpc-status", "0")
        .trailer("x-trailer", "yes");
    Reply::status(200)
        .header("content-type", "application/grpc")
        .body(body)
}
