//! What answers in the scenario tables: the request's path says what.

use crate::host::VIA_UPSTREAM;
use crate::testing::Message;

/// The upstream of the scenario tables: what it answers is written in the
/// request's path (see the head of `tests/src/upstream.rs`).
#[must_use]
pub fn demo_upstream(request: &Message) -> (Message, &'static str) {
    let full = request.get(":path").unwrap_or_default();
    let (path, query) = full.split_once('?').unwrap_or((full, ""));
    let status = match path.rsplit_once("/status/") {
        Some((_, code)) => code.parse().unwrap_or(200),
        None => 200,
    };
    if let Some((_, code)) = path.rsplit_once("/grpc/") {
        let message = format!("upstream says {code}");
        let headers = [
            ("content-type", "application/grpc"),
            ("grpc-status", code),
            ("grpc-message", message.as_str()),
        ];
        return (Message::response(200, &headers, b""), VIA_UPSTREAM);
    }
    if path.ends_with("/grpc-stream") {
        let mut response = Message::response(200, &[("content-type", "application/grpc")], b"");
        response.body = request.body.clone();
        response.body.push(0);
        let trailer = ("grpc-status".to_owned(), b"0".to_vec());
        response.trailers.push(trailer);
        return (response, VIA_UPSTREAM);
    }
    let mut body = format!("upstream says {status}\n").into_bytes();
    let mut response = Message::response(status, &[("x-upstream", "yes")], b"");
    let mut content_type = "text/plain";
    let mut chunked = false;
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "bytes" => body = vec![b'x'; value.parse().unwrap_or(0)],
            "chunked" => chunked = true,
            "empty" => body.clear(),
            "ct" => content_type = value,
            "trailers" => {
                chunked = true;
                response
                    .trailers
                    .push(("x-trailer".to_owned(), b"yes".to_vec()));
            }
            "h" => {
                if let Some((name, value)) = value.split_once(':') {
                    let header = (name.to_owned(), value.as_bytes().to_vec());
                    response.headers.push(header);
                }
            }
            _ => {}
        }
    }
    response.set("content-type", content_type);
    if matches!(status, 204 | 304) {
        body.clear();
    } else if !chunked {
        response.set("content-length", &body.len().to_string());
    }
    if request.get(":method") != Some("HEAD") {
        response.body = body;
    }
    (response, VIA_UPSTREAM)
}
