//! In which format a client is told what the proxy has to say.
//!
//! A client of gRPC or gRPC-Web looks for `grpc-status` and `grpc-message`. Envoy
//! writes them into its own replies only if the request said gRPC when it came:
//! never for gRPC-Web, and not behind its `grpc_web` filter, which turns one into
//! the other on the way. So they are written here.
//!
//! For gRPC they are headers of a response without a body ("trailers-only"), which
//! `grpc_web` passes on as it is. For gRPC-Web they are the frame at the end of a
//! body: every client reads it, also one that may read the body and, for want of
//! `access-control-expose-headers`, not these headers.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;

use crate::action::{Fields, Reply, Response};
use crate::grpc::status_of_http;
use crate::host::Host;

/// The format that a client understands, by the content type of its request. It is a label
/// that anybody can write, so nothing but the format of replies may depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReplyFormat {
    /// HTTP.
    #[default]
    Http,
    /// gRPC, or gRPC-Web behind Envoy's `grpc_web` filter.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
    /// gRPC-Web in base64.
    GrpcWebText,
}

/// The most bytes of a body that become a `grpc-message`: libraries refuse answers
/// whose headers are longer than 8 KiB.
const LONGEST_MESSAGE: usize = 4096;

impl ReplyFormat {
    /// The format for a request with this content type: one of these names, alone or
    /// followed by `+` and a message format, which is Envoy's rule for gRPC.
    pub(crate) fn of(content_type: &[u8]) -> Self {
        let is_plain = |rest: &[u8]| matches!(rest.first(), None | Some(b'+'));
        let Some(rest) = content_type.strip_prefix(b"application/grpc") else {
            return Self::Http;
        };
        if is_plain(rest) {
            return Self::Grpc;
        }
        match rest.strip_prefix(b"-web") {
            Some(rest) if is_plain(rest) => Self::GrpcWeb,
            Some(rest) if rest.strip_prefix(b"-text").is_some_and(is_plain) => Self::GrpcWebText,
            _ => Self::Http,
        }
    }

    /// The format for a request with this format and method. gRPC-Web requires POST: a
    /// response that a cache may keep must not have status 200 for an error.
    pub(crate) fn for_method(self, is_post: bool) -> Self {
        match self {
            Self::GrpcWeb | Self::GrpcWebText if !is_post => Self::Http,
            format => format,
        }
    }

    /// The format for the current request.
    pub(crate) fn of_request<H: Host>(host: &H) -> Self {
        match Self::of(&host.request_header("content-type").unwrap_or_default()) {
            format @ (Self::GrpcWeb | Self::GrpcWebText) => {
                format.for_method(host.request_header(":method").as_deref() == Some(b"POST"))
            }
            format => format,
        }
    }

    /// The response as such a client reads it.
    pub(crate) fn encode(self, response: Response) -> Response {
        match self {
            Self::Http => response,
            Self::Grpc => self.encode_in_headers(response),
            Self::GrpcWeb | Self::GrpcWebText => {
                let status = response.grpc_code();
                let frame = frame(status, &response.body);
                let body = match self {
                    Self::GrpcWebText => STANDARD.encode(frame).into_bytes(),
                    _ => frame,
                };
                self.fill(status, response, body)
            }
        }
    }

    /// The same without a body. A reply of the proxy's own must not be told so to
    /// gRPC-Web: without a body Envoy takes away its content type.
    pub(crate) fn encode_in_headers(self, response: Response) -> Response {
        if self == Self::Http {
            return response;
        }
        let status = response.grpc_code();
        let message = message(&response.body);
        let mut told = self.fill(status, response, Vec::new());
        let mut add = |name: &[u8], value| told.headers.push((name.to_vec(), value));
        add(STATUS, status.to_string().into_bytes());
        if !message.is_empty() {
            add(MESSAGE, message);
        }
        told
    }

    fn fill(self, status: u8, response: Response, body: Vec<u8>) -> Response {
        let content_type: &[u8] = match self {
            Self::Http | Self::Grpc => b"application/grpc",
            Self::GrpcWeb => b"application/grpc-web+proto",
            Self::GrpcWebText => b"application/grpc-web-text+proto",
        };
        let mut headers = response.headers;
        headers.retain(|(name, _)| !REPLACED.contains(&name.as_slice()));
        headers.push((CONTENT_TYPE.to_vec(), content_type.to_vec()));
        Response {
            status: 200,
            headers,
            body,
            grpc_status: Some(status),
            details: response.details,
        }
    }
}

impl From<&Reply> for Response {
    fn from(reply: &Reply) -> Self {
        let bytes = |text: &String| text.clone().into_bytes();
        let headers = reply.headers.iter();
        let headers: Fields = headers
            .map(|(name, value)| (bytes(name), bytes(value)))
            .collect();
        Self {
            status: reply.status,
            headers,
            body: bytes(&reply.body),
            grpc_status: reply.grpc_status,
            details: reply.details,
        }
    }
}

impl Response {
    /// As the client reads it whose request has this content type and method.
    #[must_use]
    pub fn encoded_for(self, content_type: &[u8], method: &[u8]) -> Self {
        ReplyFormat::of(content_type)
            .for_method(method == b"POST")
            .encode(self)
    }

    fn grpc_code(&self) -> u8 {
        self.grpc_status
            .unwrap_or_else(|| status_of_http(self.status))
    }
}

/// The frame that ends a gRPC-Web body: what gRPC says in trailers.
fn frame(status: u8, body: &[u8]) -> Vec<u8> {
    let mut trailers = format!("grpc-status:{status}\r\n").into_bytes();
    let message = message(body);
    if !message.is_empty() {
        trailers.extend_from_slice(b"grpc-message:");
        trailers.extend_from_slice(&message);
        trailers.extend_from_slice(b"\r\n");
    }
    let length = u32::try_from(trailers.len()).unwrap_or(u32::MAX);
    let mut frame = vec![TRAILERS];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.append(&mut trailers);
    frame
}

/// A body as the value of a header, percent-encoded by gRPC's rule as Envoy does it.
fn message(body: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(body.len().min(LONGEST_MESSAGE));
    for byte in body.iter().take(LONGEST_MESSAGE) {
        match byte {
            b'%' | 0..=0x1f | 0x7e.. => value.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            _ => value.push(*byte),
        }
    }
    value
}

/// Marks the frame of trailers (PROTOCOL-WEB of gRPC).
const TRAILERS: u8 = 0x80;
const CONTENT_TYPE: &[u8] = b"content-type";
const STATUS: &[u8] = b"grpc-status";
const MESSAGE: &[u8] = b"grpc-message";
const REPLACED: [&[u8]; 3] = [CONTENT_TYPE, STATUS, MESSAGE];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn forms_are_told_from_their_relatives() {
        for (content_type, format) in [
            ("application/grpc", ReplyFormat::Grpc),
            ("application/grpc+proto", ReplyFormat::Grpc),
            ("application/grpc-web", ReplyFormat::GrpcWeb),
            ("application/grpc-web+proto", ReplyFormat::GrpcWeb),
            ("application/grpc-web-text", ReplyFormat::GrpcWebText),
            ("application/grpc-web-text+proto", ReplyFormat::GrpcWebText),
            ("application/grpc-website", ReplyFormat::Http),
            ("application/grpc-web-texts", ReplyFormat::Http),
            ("application/grpc-", ReplyFormat::Http),
            ("application/grpcx", ReplyFormat::Http),
            ("application/json", ReplyFormat::Http),
            ("", ReplyFormat::Http),
        ] {
            assert_eq!(
                ReplyFormat::of(content_type.as_bytes()),
                format,
                "{content_type}"
            );
        }
        assert_eq!(ReplyFormat::of(b"\xff"), ReplyFormat::Http);
    }

    #[test]
    fn grpc_web_is_a_post_and_grpc_goes_by_its_label() {
        for (content_type, method, format) in [
            ("application/grpc-web", "POST", ReplyFormat::GrpcWeb),
            (
                "application/grpc-web-text",
                "POST",
                ReplyFormat::GrpcWebText,
            ),
            ("application/grpc-web", "GET", ReplyFormat::Http),
            ("application/grpc-web-text", "HEAD", ReplyFormat::Http),
            ("application/grpc", "GET", ReplyFormat::Grpc),
        ] {
            let mut host = FakeHost::default();
            let headers = [("content-type", content_type), (":method", method)];
            let owned = |(name, value): (&str, &str)| (name.into(), value.into());
            host.request_headers = headers.map(owned).to_vec();
            assert_eq!(
                ReplyFormat::of_request(&host),
                format,
                "{content_type} {method}"
            );
            let told =
                response(404, None, b"").encoded_for(content_type.as_bytes(), method.as_bytes());
            assert_eq!(told.status == 404, format == ReplyFormat::Http);
        }
    }

    fn response(status: u16, grpc_status: Option<u8>, body: &[u8]) -> Response {
        let header = |(name, value): (&str, &str)| (name.into(), value.into());
        Response {
            status,
            headers: [("content-type", "text/html"), ("retry-after", "1")]
                .map(header)
                .to_vec(),
            body: body.to_vec(),
            grpc_status,
            details: "why",
        }
    }

    /// Status, headers and body.
    fn parts(told: Response) -> (u16, Vec<(String, String)>, String) {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let headers = told.headers.iter();
        let headers = headers.map(|(name, value)| (text(name), text(value)));
        (told.status, headers.collect(), text(&told.body))
    }

    fn owned<const N: usize>(headers: [(&str, &str); N]) -> Vec<(String, String)> {
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        headers.to_vec()
    }

    #[test]
    fn grpc_has_status_and_message_in_headers() {
        let told = parts(ReplyFormat::Grpc.encode(response(429, None, b"busy")));
        let wanted = owned([
            ("retry-after", "1"),
            ("content-type", "application/grpc"),
            ("grpc-status", "14"),
            ("grpc-message", "busy"),
        ]);
        assert_eq!(told, (200, wanted, String::new()));
    }

    #[test]
    fn grpc_web_has_them_in_a_frame_or_in_headers() {
        for (format, content_type, body) in [
            (
                ReplyFormat::GrpcWeb,
                "application/grpc-web+proto",
                "\u{fffd}\0\0\0#grpc-status:14\r\ngrpc-message:busy\r\n",
            ),
            (
                ReplyFormat::GrpcWebText,
                "application/grpc-web-text+proto",
                "gAAAACNncnBjLXN0YXR1czoxNA0KZ3JwYy1tZXNzYWdlOmJ1c3kNCg==",
            ),
        ] {
            let of = [("retry-after", "1"), ("content-type", content_type)];
            let told = parts(format.encode(response(429, None, b"busy")));
            assert_eq!(told, (200, owned(of), body.to_owned()));
            let told = parts(format.encode_in_headers(response(429, None, b"busy")));
            let mut wanted = owned(of);
            wanted.extend(owned([("grpc-status", "14"), ("grpc-message", "busy")]));
            assert_eq!(told, (200, wanted, String::new()));
        }
    }

    #[test]
    fn others_are_told_nothing_new() {
        let http = response(429, Some(8), b"busy");
        assert_eq!(ReplyFormat::Http.encode(http.clone()), http);
        assert_eq!(ReplyFormat::Http.encode_in_headers(http.clone()), http);
    }

    #[test]
    fn a_status_that_was_given_goes_before_the_one_that_http_maps_to() {
        for (status, given, wanted) in [(413, Some(8), "8"), (200, Some(0), "0"), (302, None, "2")]
        {
            let (_, headers, _) =
                parts(ReplyFormat::GrpcWeb.encode_in_headers(response(status, given, b"")));
            let wanted = ("grpc-status".to_owned(), wanted.to_owned());
            assert_eq!(headers.last(), Some(&wanted));
        }
    }

    #[test]
    fn a_message_is_one_line_of_printable_characters() {
        assert_eq!(message(b"a b"), b"a b");
        assert_eq!(message(b"50%\r\n~\x7f\xc3\xa4"), b"50%25%0D%0A%7E%7F%C3%A4");
        assert_eq!(message(&[b'x'; 5000]).len(), LONGEST_MESSAGE);
    }
}
