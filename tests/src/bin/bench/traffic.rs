//! Requests as they go over the wire, and which of them a variant is asked.

/// A kind of exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Traffic {
    /// A GET that Envoy answers itself.
    Direct,
    /// A GET that the backend answers.
    Proxied,
    /// The same, and a filter answers it.
    Refused,
    /// A POST of 20 bytes to the backend.
    Upload,
    /// A GET that the backend answers 404.
    Absent,
}

/// A request's bytes.
#[derive(Clone, Debug)]
pub(crate) struct Request(pub(crate) Vec<u8>);

impl Traffic {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Proxied => "proxied",
            Self::Refused => "refused",
            Self::Upload => "upload",
            Self::Absent => "absent",
        }
    }

    pub(crate) fn request(self) -> Request {
        match self {
            Self::Direct => Request::get("shop.example", "/direct"),
            Self::Proxied | Self::Refused => Request::get("shop.example", "/proxied"),
            Self::Upload => Request::post("/proxied", 20),
            Self::Absent => Request::get("shop.example", "/absent"),
        }
    }
}

impl Request {
    pub(crate) fn get(host: &str, path: &str) -> Self {
        let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: bench\r\n\r\n");
        Self(head.into_bytes())
    }

    fn post(path: &str, bytes: usize) -> Self {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: shop.example\r\nuser-agent: bench\r\n\
             content-length: {bytes}\r\n\r\n"
        );
        Self((head + &"x".repeat(bytes)).into_bytes())
    }
}
