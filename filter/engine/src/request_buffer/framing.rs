//! What the headers of a request tell about its body.

use crate::request::Request;

/// How a body is framed, and how long it may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BodyFraming {
    /// The length that the client declared.
    pub(crate) length: Option<u64>,
    /// The most bytes that it may have.
    pub(crate) limit: u64,
    /// It follows a request for a tunnel.
    pub(crate) tunnel: Option<Tunnel>,
    /// The client sends it only when it is told to.
    pub(crate) expects_continue: bool,
}

/// What a request asks to become, in both directions and without end. Until
/// the upstream accepts, what comes is a body, which Envoy keeps to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tunnel {
    /// Another protocol, such as WebSocket. (Envoy answers upgrades that it is
    /// not to accept before any filter sees them, takes the header away where
    /// `connection` does not name it, and shows an extended CONNECT of HTTP/2
    /// in this form, too.)
    Upgrade,
    /// A connection of its own (CONNECT).
    Connect,
}

impl BodyFraming {
    #[inline(never)]
    pub(crate) fn of(request: &Request<'_>, limit: u64) -> Self {
        let is = |name, wanted: &[u8]| {
            let value = request.header(name);
            value.is_some_and(|value| value.eq_ignore_ascii_case(wanted))
        };
        Self {
            length: request
                .header("content-length")
                .and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok()),
            limit,
            tunnel: Tunnel::requested_by(request),
            expects_continue: is("expect", b"100-continue"),
        }
    }
}

impl Tunnel {
    fn requested_by(request: &Request<'_>) -> Option<Self> {
        if request.method() == b"CONNECT" {
            return Some(Self::Connect);
        }
        request.header("upgrade").map(|_| Self::Upgrade)
    }

    /// Whether a response with this status turns the exchange into a tunnel.
    pub(crate) fn is_accepted_by(self, status: u16) -> bool {
        match self {
            Self::Upgrade => status == 101,
            Self::Connect => matches!(status, 200..=299),
        }
    }
}
