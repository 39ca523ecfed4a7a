//! An upstream that answers badly on purpose, and counts what reaches it.
//!
//! It speaks HTTP/1 by hand. The path of a request, `/up/SCRIPT`, selects one of
//! [`scripts`]. [`h2`] is the same for HTTP/2.

pub mod h2;
pub mod scripts;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use scripts::{Script, Step};

/// What only a client writes into bodies: a request for it that arrives here
/// was smuggled, as Envoy answers such a path itself.
pub const SMUGGLED: &str = "/smuggled";
/// Nothing under this path may arrive.
pub const DENIED: &str = "/deny";

/// So long an endless answer is, and so long waits who does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// Requests, each try counted.
    pub requests: u64,
    /// The longest body, in bytes.
    pub largest_body: usize,
    /// Requests that were hidden in a body.
    pub smuggled: u64,
    /// Requests of a route that refuses all.
    pub denied: u64,
    /// What is no request at all: the end of the one before was elsewhere.
    pub torn: u64,
}

/// A running upstream; stops when dropped.
#[derive(Debug)]
pub struct BadUpstream {
    addr: SocketAddr,
    seen: Arc<Mutex<Arrivals>>,
    server: JoinHandle<()>,
}

impl BadUpstream {
    /// One that speaks HTTP/1.
    pub async fn start() -> io::Result<Self> {
        Self::serve(|stream, seen| async move {
            Peer {
                stream,
                unread: Vec::new(),
                seen,
            }
            .run()
            .await
        })
        .await
    }

    /// One that speaks HTTP/2 and draws its scripts.
    pub async fn start_h2(seed: u64) -> io::Result<Self> {
        Self::serve(move |stream, seen| h2::run(stream, seen, seed)).await
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What arrived so far.
    pub fn seen(&self) -> Arrivals {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn serve<F>(run: impl Fn(TcpStream, Record) -> F + Send + 'static) -> io::Result<Self>
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let seen = Arc::new(Mutex::new(Arrivals::default()));
        let record = Record(Arc::clone(&seen));
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(run(stream, record.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { addr, seen, server })
    }
}

impl Drop for BadUpstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Where connections note what arrived.
#[derive(Clone, Debug)]
pub(crate) struct Record(Arc<Mutex<Arrivals>>);

impl Record {
    fn note(&self, note: impl FnOnce(&mut Arrivals)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn body(&self, bytes: usize) {
        self.note(|seen| seen.largest_body = seen.largest_body.max(bytes));
    }
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

struct Request {
    script: &'static Script,
    framing: Framing,
}

/// A connection.
struct Peer {
    stream: TcpStream,
    unread: Vec<u8>,
    seen: Record,
}

impl Peer {
    async fn run(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        while let Some(request) = self.request().await? {
            if !self.perform(&request).await? {
                break;
            }
        }
        Ok(())
    }

    /// The next request's head; none when the peer closes.
    async fn request(&mut self) -> io::Result<Option<Request>> {
        let head = loop {
            if let Some(end) = self.unread.windows(4).position(|it| it == b"\r\n\r\n") {
                let head: Vec<u8> = self.unread.drain(..end + 4).collect();
                break String::from_utf8_lossy(&head).into_owned();
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Ok(None);
            }
        };
        let request = parse(&head);
        self.seen.note(|seen| match &request {
            Some((path, _)) => {
                seen.requests += 1;
                seen.smuggled += u64::from(path.contains(SMUGGLED));
                seen.denied += u64::from(path.starts_with(DENIED));
            }
            None => seen.torn += 1,
        });
        Ok(request.map(|(_, request)| request))
    }

    /// Whether the connection serves another request.
    async fn perform(&mut self, request: &Request) -> io::Result<bool> {
        let mut has_body = false;
        for step in request.script.steps {
            match step {
                Step::ReadBody => {
                    self.body(request.framing).await?;
                    has_body = true;
                }
                Step::Send(bytes) => self.stream.write_all(bytes).await?,
                Step::Repeat(bytes, count) => {
                    self.stream.write_all(&bytes.repeat(*count)).await?;
                }
                Step::Endless(bytes) => {
                    let endless = async {
                        loop {
                            self.stream.write_all(bytes).await?;
                            sleep(Duration::from_millis(2)).await;
                        }
                    };
                    return match timeout(PATIENCE, endless).await {
                        Ok(failed) => failed,
                        Err(_) => Ok(false),
                    };
                }
                Step::Pause(millis) => sleep(Duration::from_millis(*millis)).await,
                Step::Reset => {
                    self.stream.set_zero_linger()?;
                    return Ok(false);
                }
                Step::Close => return Ok(false),
                Step::Hang => {
                    // Until the peer has had enough.
                    let closed = async {
                        while self.stream.read_buf(&mut self.unread).await? > 0 {
                            self.unread.clear();
                        }
                        io::Result::Ok(())
                    };
                    let _ = timeout(PATIENCE, closed).await;
                    return Ok(false);
                }
            }
        }
        if !has_body {
            self.body(request.framing).await?;
        }
        Ok(true)
    }

    async fn body(&mut self, framing: Framing) -> io::Result<()> {
        match framing {
            Framing::Length(length) => self.take(length, 0).await,
            Framing::Chunked => {
                let mut before = 0;
                loop {
                    let line = self.line().await?;
                    let Ok(size) = usize::from_str_radix(line.trim(), 16) else {
                        self.seen.note(|seen| seen.torn += 1);
                        return Err(io::ErrorKind::InvalidData.into());
                    };
                    if size == 0 {
                        while !self.line().await?.is_empty() {}
                        return Ok(());
                    }
                    self.take(size, before).await?;
                    before += size;
                    self.line().await?;
                }
            }
        }
    }

    /// Counts bytes of a body as they come.
    async fn take(&mut self, mut count: usize, mut before: usize) -> io::Result<()> {
        while count > 0 {
            if self.unread.is_empty() {
                self.more().await?;
            }
            let come = count.min(self.unread.len());
            self.unread.drain(..come);
            (count, before) = (count - come, before + come);
            self.seen.body(before);
        }
        Ok(())
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|it| it == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.unread).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// Path and the rest of a head that is one.
fn parse(head: &str) -> Option<(String, Request)> {
    let mut lines = head.split("\r\n");
    let mut line = lines.next()?.split(' ');
    let (_method, path, version) = (line.next()?, line.next()?, line.next()?);
    if line.next().is_some() || !version.starts_with("HTTP/1.") || !path.starts_with('/') {
        return None;
    }
    let mut framing = Framing::Length(0);
    let mut script = scripts::named(path.split(['/', '?']).nth(2).unwrap_or_default());
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => framing = Framing::Length(value.parse().ok()?),
            "transfer-encoding" if value.contains("chunked") => framing = Framing::Chunked,
            // What follows is no body but waits for a tunnel.
            "upgrade" => script = &scripts::NO_TUNNEL,
            _ => {}
        }
    }
    Some((path.to_owned(), Request { script, framing }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_script_and_framing() {
        let head = "POST /up/reset/x HTTP/1.1\r\nhost: h\r\nContent-Length: 12\r\n\r\n";
        let (path, request) = parse(head).unwrap();
        assert_eq!(path, "/up/reset/x");
        assert_eq!(request.script.name, "reset");
        assert_eq!(request.framing, Framing::Length(12));
        let head = "GET /other HTTP/1.1\r\nupgrade: websocket\r\n\r\n";
        assert_eq!(parse(head).unwrap().1.script.name, "no-tunnel");
    }

    #[test]
    fn the_rest_of_a_body_is_no_request() {
        assert!(parse("xxxxGET / HTTP/1.1\r\n\r\n").is_some());
        assert!(parse("12345\r\n\r\n").is_none());
        assert!(parse("GET /a b HTTP/1.1\r\n\r\n").is_none());
    }

    #[tokio::test]
    async fn what_arrives_is_counted() {
        let upstream = BadUpstream::start().await.unwrap();
        let mut client = TcpStream::connect(upstream.addr()).await.unwrap();
        let two = b"POST /up/ok HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n\
                    GET /smuggled HTTP/1.1\r\n\r\nwhat\r\n\r\n";
        client.write_all(two).await.unwrap();
        let mut answers = Vec::new();
        client.read_to_end(&mut answers).await.unwrap();
        let expected = Arrivals {
            requests: 2,
            largest_body: 5,
            smuggled: 1,
            denied: 0,
            torn: 1,
        };
        assert_eq!(upstream.seen(), expected);
    }
}
