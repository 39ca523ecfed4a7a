//! An HTTP/2 client that sends whatever frames a test gives it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::frames::{self, Frame, flag, kind};
use super::hpack::{self, Field};

/// A peer that reads nothing for so long is left alone.
const STUCK: Duration = Duration::from_secs(2);

/// Parameters by name.
pub mod setting {
    /// Bytes of the peer's dynamic table.
    pub const HEADER_TABLE_SIZE: u16 = 1;
    /// What the peer may send on a stream unasked.
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
}

/// A connection after its preface.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    next: u32,
}

impl Connection {
    /// Connects; the peer gets these parameters, and may not index headers.
    pub async fn open(peer: SocketAddr, settings: &[(u16, u32)]) -> io::Result<Self> {
        let stream = TcpStream::connect(peer).await?;
        stream.set_nodelay(true)?;
        let mut connection = Self {
            stream,
            unread: Vec::new(),
            next: 1,
        };
        let mut hello = frames::PREFACE.to_vec();
        let all = [&[(setting::HEADER_TABLE_SIZE, 0)], settings].concat();
        frames::put_settings(&mut hello, &all);
        connection.send(&hello).await?;
        Ok(connection)
    }

    /// The number of a new stream.
    pub fn stream(&mut self) -> u32 {
        self.next += 2;
        self.next - 2
    }

    /// Sends frames as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(STUCK, self.stream.write_all(bytes))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Opens a stream with these headers.
    pub async fn request(&mut self, fields: &[Field<'_>], end: bool) -> io::Result<u32> {
        let stream = self.stream();
        let mut out = Vec::new();
        frames::put_headers(&mut out, stream, &hpack::encode(fields), end);
        self.send(&out).await?;
        Ok(stream)
    }

    /// Reads until so many streams have ended, the peer closes, or time is up;
    /// gives names of what came: statuses, `reset`, `goaway`, `closed`.
    pub async fn answers(&mut self, streams: usize, time: Duration) -> Vec<String> {
        let until = Instant::now() + time;
        let (mut came, mut ended) = (Vec::new(), 0);
        while ended < streams {
            let frame = match timeout_at(until, self.frame()).await {
                Ok(Ok(frame)) => frame,
                Ok(Err(_)) => {
                    came.push("closed".to_owned());
                    break;
                }
                Err(_) => break,
            };
            ended += usize::from(frame.ends_stream());
            match frame.kind {
                kind::HEADERS => {
                    if let Some(status) = hpack::status(&frame.payload) {
                        came.push(status.to_string());
                    }
                }
                kind::RST_STREAM => {
                    ended += 1;
                    came.push("reset".to_owned());
                }
                kind::GOAWAY => came.push("goaway".to_owned()),
                kind::SETTINGS if frame.flags & flag::ACK == 0 => {
                    let mut ack = Vec::new();
                    frames::put(&mut ack, kind::SETTINGS, flag::ACK, 0, &[]);
                    // The peer may be gone; reading tells.
                    let _ = self.send(&ack).await;
                }
                _ => {}
            }
        }
        came
    }

    /// Vanishes with a TCP reset.
    pub fn vanish(self) {
        // Otherwise it closes, which is nearly the same.
        let _ = self.stream.set_zero_linger();
    }

    async fn frame(&mut self) -> io::Result<Frame> {
        loop {
            if let Some(frame) = Frame::take(&mut self.unread) {
                return Ok(frame);
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
