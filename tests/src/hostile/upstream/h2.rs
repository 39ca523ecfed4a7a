//! The bad upstream in HTTP/2: what it does with a stream is drawn.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Record;
use crate::hostile::dice::Dice;
use crate::hostile::frames::{self, Frame, flag, kind};
use crate::hostile::hpack::{self, Field};

const REFUSED_STREAM: u32 = 7;
const INTERNAL_ERROR: u32 = 2;

/// A stream that is answered when its request is complete, or at once.
#[derive(Clone, Copy, Debug)]
struct Open {
    script: usize,
    body: usize,
    answered: bool,
}

/// How many scripts [`answer`] has.
const SCRIPTS: usize = 16;
/// Those up to here answer before the body has come.
const EARLY: usize = 3;

/// Serves one connection.
pub(super) async fn run(mut stream: TcpStream, seen: Record, seed: u64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut unread = Vec::new();
    let port = stream.peer_addr()?.port();
    let mut dice = Dice::new(&[seed, u64::from(port)]);
    let mut open: BTreeMap<u32, Open> = BTreeMap::new();
    let mut hello = Vec::new();
    frames::put_settings(&mut hello, &[]);
    stream.write_all(&hello).await?;
    while unread.len() < frames::PREFACE.len() {
        if stream.read_buf(&mut unread).await? == 0 {
            return Ok(());
        }
    }
    unread.drain(..frames::PREFACE.len());
    loop {
        let Some(frame) = Frame::take(&mut unread) else {
            if stream.read_buf(&mut unread).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let mut out = Vec::new();
        match frame.kind {
            kind::SETTINGS if frame.flags & flag::ACK == 0 => {
                frames::put(&mut out, kind::SETTINGS, flag::ACK, 0, &[]);
            }
            kind::PING if frame.flags & flag::ACK == 0 => {
                frames::put(&mut out, kind::PING, flag::ACK, 0, &frame.payload);
            }
            // Trailers come on a stream that is open.
            kind::HEADERS if !open.contains_key(&frame.stream) => {
                seen.note(|seen| seen.requests += 1);
                let script = dice.below(SCRIPTS);
                let answered = script < EARLY;
                if answered {
                    answer(&mut out, frame.stream, script, &mut dice);
                }
                open.insert(
                    frame.stream,
                    Open {
                        script,
                        body: 0,
                        answered,
                    },
                );
            }
            kind::DATA => {
                if let Some(it) = open.get_mut(&frame.stream) {
                    it.body += frame.payload.len();
                    seen.body(it.body);
                }
                credit(&mut out, &frame);
            }
            kind::RST_STREAM => {
                open.remove(&frame.stream);
            }
            kind::GOAWAY => return Ok(()),
            _ => {}
        }
        if frame.ends_stream()
            && let Some(it) = open.remove(&frame.stream)
            && !it.answered
        {
            answer(&mut out, frame.stream, it.script, &mut dice);
            if it.script == SCRIPTS - 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                stream.set_zero_linger()?;
                return Ok(());
            }
        }
        stream.write_all(&out).await?;
    }
}

/// Gives back the room that a frame took.
fn credit(out: &mut Vec<u8>, frame: &Frame) {
    let bytes = u32::try_from(frame.payload.len()).unwrap_or(0);
    if bytes > 0 {
        for stream in [0, frame.stream] {
            frames::put(out, kind::WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes());
        }
    }
}

fn answer(out: &mut Vec<u8>, stream: u32, script: usize, dice: &mut Dice) {
    let mut headers = |fields: &[Field<'_>], end: bool| {
        frames::put_headers(out, stream, &hpack::encode(fields), end);
    };
    let status = |text: &'static [u8]| -> Field<'static> { (b":status", text) };
    let grpc: Field<'_> = (b"content-type", b"application/grpc");
    match script {
        0 => headers(&[status(b"503")], true),
        1 => {
            headers(&[status(b"200"), (b"content-length", b"2")], false);
            frames::put_data(out, stream, b"ok", true);
        }
        2 => frames::put_reset(out, stream, REFUSED_STREAM),
        3 => headers(
            &[
                status(b"200"),
                grpc,
                (b"grpc-status", b"14"),
                (b"grpc-message", b"%\xff"),
            ],
            true,
        ),
        4 => headers(&[status(b"200"), grpc, (b"grpc-status", b"x")], true),
        5 => {
            headers(&[status(b"200"), grpc], false);
            frames::put_data(out, stream, b"\0\0\0\0\x01x", false);
            let trailers: &[Field<'_>] = &[(b"grpc-status", b"0")];
            frames::put_headers(out, stream, &hpack::encode(trailers), true);
        }
        6 => frames::put_reset(out, stream, INTERNAL_ERROR),
        7 => {
            headers(&[status(b"500")], false);
            frames::put_data(out, stream, b"half", false);
            frames::put_reset(out, stream, INTERNAL_ERROR);
        }
        8 => {
            for _ in 0..5 {
                headers(&[status(b"103"), (b"link", b"</x>")], false);
            }
            headers(&[status(b"503")], true);
        }
        9 => {
            headers(&[status(b"500"), (b"content-length", b"2")], false);
            frames::put_data(out, stream, b"longer than said", true);
        }
        10 => {
            headers(&[status(b"500"), (b"content-length", b"2000")], false);
            frames::put_data(out, stream, b"short", true);
        }
        11 => {
            let bytes = dice.bytes(200);
            headers(
                &[status(b"503"), (b"x-any", &bytes), (b"x-\xff", b"")],
                true,
            );
        }
        12 => headers(&[(b"x-no-status", b"")], true),
        13 => {
            headers(&[status(b"500")], false);
            // Trailers that do not end the stream, then nothing.
            let trailers: &[Field<'_>] = &[(b"x-trailer", b"1")];
            frames::put_headers(out, stream, &hpack::encode(trailers), false);
        }
        14 => {
            headers(&[status(b"502")], false);
            for _ in 0..50 {
                frames::put_data(out, stream, b"", false);
            }
            frames::put_data(out, stream, &[b'x'; 40_000], true);
        }
        _ => frames::put(out, kind::GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 2]),
    }
}
