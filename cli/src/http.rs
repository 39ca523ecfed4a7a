//! One GET over HTTP/1.1, as much of it as Envoy's admin interface speaks: a
//! connection for each request, and bodies in chunks. No proxy, no redirect,
//! no TLS: an address that a person named is asked, and nobody else.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::host_port::HostPort;

/// Headers of an answer that are read; Envoy sends about eight.
const MOST_HEADERS: usize = 64;

/// How much is waited for and read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How long the answer may take.
    pub(crate) patience: Duration,
    /// How large it may be, in bytes.
    pub(crate) largest: usize,
}

/// The body of what is at `path`; anything but 200 is an error.
///
/// # Errors
/// The host is not there, takes too long ([`ErrorKind::TimedOut`]) or answers with what is
/// no answer, with too much, or with another status ([`ErrorKind::InvalidData`]).
pub(crate) fn get(address: &HostPort, path: &str, bounds: Bounds) -> io::Result<Vec<u8>> {
    read(address, path, bounds).map_err(|error| match error.kind() {
        // A socket whose time is up says that it would block.
        ErrorKind::TimedOut | ErrorKind::WouldBlock => {
            let seconds = bounds.patience.as_secs_f64();
            io::Error::new(ErrorKind::TimedOut, format!("no answer within {seconds} s"))
        }
        _ => error,
    })
}

fn read(address: &HostPort, path: &str, bounds: Bounds) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + bounds.patience;
    let mut stream = connect(address, deadline)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if answer.len() > bounds.largest {
            let mebibytes = bounds.largest >> 20;
            return Err(wrong(&format!("the answer is larger than {mebibytes} MiB")));
        }
    }
    if answer.is_empty() {
        let why = "the connection was closed without an answer";
        return Err(io::Error::new(ErrorKind::UnexpectedEof, why));
    }
    body_of(&answer)
}

/// The first of the host's addresses that takes a connection.
fn connect(address: &HostPort, deadline: Instant) -> io::Result<TcpStream> {
    let mut last = wrong("the host has no address");
    for peer in (address.host(), address.port()).to_socket_addrs()? {
        match TcpStream::connect_timeout(&peer, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The time until a deadline, which is not zero.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}

fn body_of(answer: &[u8]) -> io::Result<Vec<u8>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(length)) = head.parse(answer) else {
        return Err(wrong("the answer is not HTTP/1.1"));
    };
    let rest = answer.get(length..).unwrap_or_default();
    let header = |name: &str| {
        let found = head
            .headers
            .iter()
            .find(|it| it.name.eq_ignore_ascii_case(name));
        found.and_then(|it| std::str::from_utf8(it.value).ok())
    };
    if head.code != Some(200) {
        let code = head.code.unwrap_or_default();
        return Err(wrong(&format!("the answer has status {code}")));
    }
    if header("transfer-encoding").is_some_and(|it| it.eq_ignore_ascii_case("chunked")) {
        return chunks(rest);
    }
    let length = header("content-length").and_then(|it| it.parse().ok());
    match length {
        Some(length) => rest.get(..length).map(<[u8]>::to_vec).ok_or_else(cut_off),
        None => Ok(rest.to_vec()),
    }
}

fn chunks(mut rest: &[u8]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(rest) else {
            return Err(cut_off());
        };
        if size == 0 {
            return Ok(body);
        }
        let end = usize::try_from(size)
            .ok()
            .and_then(|it| start.checked_add(it));
        let piece = end
            .and_then(|end| rest.get(start..end))
            .ok_or_else(cut_off)?;
        body.extend_from_slice(piece);
        // Behind the chunk is the end of its line.
        rest = rest.get(start + piece.len() + 2..).ok_or_else(cut_off)?;
    }
}

fn cut_off() -> io::Error {
    wrong("the answer was cut off")
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn body(answer: &str) -> Result<String, String> {
        let body = body_of(answer.as_bytes()).map_err(|error| error.to_string())?;
        String::from_utf8(body).map_err(|error| error.to_string())
    }

    #[test]
    fn bodies_are_read_however_their_length_is_said() {
        let head = "HTTP/1.1 200 OK\r\nserver: envoy\r\n";
        let chunked =
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0a;x=y\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(
            body(&format!("{head}{chunked}")),
            Ok("abc0123456789".to_owned())
        );
        let sized = format!("{head}content-length: 3\r\n\r\nabc");
        assert_eq!(body(&sized), Ok("abc".to_owned()));
        assert_eq!(body(&format!("{head}\r\nabc")), Ok("abc".to_owned()));
        assert_eq!(
            body(&format!("{head}content-length: 0\r\n\r\n")),
            Ok(String::new())
        );
    }

    /// Asks somebody who does this with a connection.
    fn ask(serve: fn(TcpStream), bounds: Bounds) -> io::Error {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("is bound").to_string();
        let served = thread::spawn(move || serve(listener.accept().expect("somebody asks").0));
        let error = get(&address.parse().expect("an address"), "/", bounds).expect_err("fails");
        served.join().expect("does not panic");
        error
    }

    #[test]
    fn who_takes_too_long_or_says_too_much_is_not_heard_to_the_end() {
        let bounds = Bounds {
            patience: Duration::from_millis(200),
            largest: 1 << 20,
        };
        // Until the other one has given up.
        let silent = |mut stream: TcpStream| {
            let _ = stream.read_to_end(&mut Vec::new());
        };
        let error = ask(silent, bounds);
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "no answer within 0.2 s");
        let endless = |mut stream: TcpStream| while stream.write_all(&[b'x'; 65536]).is_ok() {};
        let patience = Duration::from_secs(60);
        let error = ask(endless, Bounds { patience, ..bounds });
        assert_eq!(error.to_string(), "the answer is larger than 1 MiB");
        let gone = |mut stream: TcpStream| {
            let _ = stream.read(&mut [0; 1024]);
        };
        let error = ask(gone, Bounds { patience, ..bounds });
        assert_eq!(
            error.to_string(),
            "the connection was closed without an answer"
        );
    }

    #[test]
    fn what_was_cut_off_is_no_answer() {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let whole = format!("{head}3\r\nabc\r\n0\r\n\r\n");
        for length in 0..whole.len() - 2 {
            assert!(body(&whole[..length]).is_err(), "{length} bytes");
        }
        let huge = format!("{head}ffffffffffffffff\r\nabc");
        assert!(body(&huge).is_err());
        assert!(body("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").is_err());
        assert!(body("SSH-2.0-OpenSSH_9.6\r\n").is_err());
        let refused = body("HTTP/1.1 403 Forbidden\r\n\r\nno");
        assert_eq!(refused, Err("the answer has status 403".to_owned()));
    }
}
