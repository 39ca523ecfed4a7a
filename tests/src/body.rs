//! Scripted message bodies: chunks with pauses, trailers, an abrupt end.
//!
//! Clients and upstreams send the same kind of body, so it lives here once.

use std::io;
use std::time::Duration;

use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Bytes;

use crate::{Fields, to_header_map};

/// A body as hyper sends it.
pub type HttpBody = UnsyncBoxBody<Bytes, io::Error>;

/// One piece of a streamed body and how long to wait before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Waiting time before the piece.
    pub pause: Duration,
    /// The piece.
    pub data: Vec<u8>,
}

/// A message body, written before it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    kind: Kind,
    trailers: Fields,
    cut: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Empty,
    Sized(Vec<u8>),
    Streamed(Vec<Chunk>),
}

impl Body {
    /// No body: the message ends with its headers.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body of known length, sent at once.
    pub fn sized(data: impl Into<Vec<u8>>) -> Self {
        Self {
            kind: Kind::Sized(data.into()),
            ..Self::default()
        }
    }

    /// A body of unannounced length, in pieces. Set a `content-length` header
    /// on the message to announce the length all the same.
    pub fn streamed<D: Into<Vec<u8>>>(chunks: impl IntoIterator<Item = (Duration, D)>) -> Self {
        let chunks = chunks
            .into_iter()
            .map(|(pause, data)| Chunk {
                pause,
                data: data.into(),
            })
            .collect();
        Self {
            kind: Kind::Streamed(chunks),
            ..Self::default()
        }
    }

    /// A body of unannounced length without pauses.
    pub fn chunked<D: Into<Vec<u8>>>(chunks: impl IntoIterator<Item = D>) -> Self {
        Self::streamed(chunks.into_iter().map(|data| (Duration::ZERO, data)))
    }

    /// Adds a trailer.
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.into(), value.into()));
        self
    }

    /// Breaks off after the last piece instead of ending properly: HTTP/1
    /// closes the connection, HTTP/2 resets the stream.
    pub fn cut(mut self) -> Self {
        self.cut = true;
        self
    }

    /// Number of bytes in all pieces.
    pub fn len(&self) -> usize {
        match &self.kind {
            Kind::Empty => 0,
            Kind::Sized(data) => data.len(),
            Kind::Streamed(chunks) => chunks.iter().map(|c| c.data.len()).sum(),
        }
    }

    /// Whether there is not a single byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length that HTTP announces, if the body has one.
    pub fn announced_len(&self) -> Option<usize> {
        match self.kind {
            Kind::Empty | Kind::Sized(_) if self.trailers.is_empty() && !self.cut => {
                Some(self.len())
            }
            _ => None,
        }
    }

    /// Starts sending: needs a running tokio runtime.
    pub fn into_http(self) -> HttpBody {
        if self.announced_len().is_some() {
            return match self.kind {
                Kind::Sized(data) => Full::from(data).map_err(|e| match e {}).boxed_unsync(),
                _ => Empty::new().map_err(|e| match e {}).boxed_unsync(),
            };
        }
        let (sender, channel) = Channel::new(1);
        tokio::spawn(feed(self, sender));
        channel.boxed_unsync()
    }
}

/// Ends early when the other side went away.
async fn feed(body: Body, mut sender: Sender<Bytes, io::Error>) {
    let chunks = match body.kind {
        Kind::Empty => Vec::new(),
        Kind::Sized(data) => vec![Chunk {
            pause: Duration::ZERO,
            data,
        }],
        Kind::Streamed(chunks) => chunks,
    };
    for chunk in chunks {
        tokio::time::sleep(chunk.pause).await;
        if sender.send_data(chunk.data.into()).await.is_err() {
            return;
        }
    }
    if body.cut {
        // What was queued must reach the wire before the error does.
        tokio::time::sleep(Duration::from_millis(20)).await;
        sender.abort(io::Error::other("the script cuts the body here"));
        return;
    }
    if !body.trailers.is_empty()
        && let Ok(trailers) = to_header_map(&body.trailers)
    {
        let _ = sender.send_trailers(trailers).await;
    }
}
