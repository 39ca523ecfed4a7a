//! HTTP/2: requests that lie or are none.

use std::time::Duration;

use tokio::time::sleep;

use super::{Attack, Outcome, Turn, attack};
use crate::hostile::frames;
use crate::hostile::h2::Connection;
use crate::hostile::hpack::{self, Field};
use crate::hostile::policies::BODY_LIMIT;

pub(super) const MS: Duration = Duration::from_millis(1);
/// What must not become a request of its own.
pub(super) const INNER: &[u8] = b"GET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n";

pub(super) const ATTACKS: &[Attack] = &[
    attack!(
        "h2-lengths",
        lengths,
        "HTTP/2 bodies longer and shorter than content-length, and lengths that are negative, double, vast or no numbers"
    ),
    attack!(
        "h2-after-the-end",
        after_the_end,
        "DATA, HEADERS and trailers behind END_STREAM, trailers with pseudo-headers or without an end"
    ),
    attack!(
        "h2-header-bytes",
        header_bytes,
        "HTTP/2 header names and values of any bytes: NUL, CR, LF, upper case, empty, not UTF-8"
    ),
    attack!(
        "h2-many-headers",
        many_headers,
        "HTTP/2 requests with up to 200 headers, or one of up to 60 kB, in each place that policies read"
    ),
    attack!(
        "h2-pseudo-headers",
        pseudo_headers,
        "pseudo-headers missing, double, late or strange; CONNECT, with :protocol too; authorities with userinfo"
    ),
    attack!("h2-slow-body", slow_body, "HTTP/2 bodies a byte at a time"),
    attack!(
        "h2-large-body",
        large_body,
        "HTTP/2 bodies beyond the limit, with and without a length, as gRPC too"
    ),
];

/// Sends one request of these headers and body; notes what comes.
pub(super) async fn send(turn: &mut Turn, fields: &[Field<'_>], body: Option<&[u8]>) -> Outcome {
    let mut connection = Connection::open(turn.peer, &[]).await?;
    let stream = connection.request(fields, body.is_none()).await?;
    turn.sent += 1;
    if let Some(body) = body {
        let mut out = Vec::new();
        frames::put_data(&mut out, stream, body, true);
        connection.send(&out).await?;
    }
    let answers = connection.answers(1, 400 * MS).await;
    turn.note(answers);
    Ok(())
}

pub(super) fn post(path: &str) -> [Field<'_>; 4] {
    head("POST", path)
}

/// The pseudo-headers of a request.
pub(super) fn head<'a>(method: &'a str, path: &'a str) -> [Field<'a>; 4] {
    [
        (b":method", method.as_bytes()),
        (b":scheme", b"http"),
        (b":authority", b"h"),
        (b":path", path.as_bytes()),
    ]
}

async fn lengths(turn: &mut Turn) -> Outcome {
    const LENGTHS: &[&[u8]] = &[
        b"0",
        b"1",
        b"34",
        b"35",
        b"36",
        b"100",
        b"65537",
        b"-1",
        b"+35",
        b"035",
        b"0x23",
        b"",
        b" 35 ",
        b"35,35",
        b"18446744073709551616",
        b"99999999999999999999999",
        b"3 5",
        b"35;",
        b"\xff",
    ];
    let (path, mut lengths) = (turn.path(), vec![turn.dice.pick(LENGTHS)]);
    if turn.dice.one_in(4) {
        lengths.push(turn.dice.pick(LENGTHS));
    }
    let mut fields = post(&path).to_vec();
    fields.extend(lengths.iter().map(|it| (&b"content-length"[..], *it)));
    if turn.dice.one_in(5) {
        fields.push((b"transfer-encoding", b"chunked"));
    }
    send(turn, &fields, Some(INNER)).await
}

async fn after_the_end(turn: &mut Turn) -> Outcome {
    let mut connection = Connection::open(turn.peer, &[]).await?;
    let path = turn.path();
    let way = turn.dice.below(6);
    let stream = connection.request(&post(&path), way < 2).await?;
    let mut out = Vec::new();
    match way {
        0 => frames::put_data(&mut out, stream, INNER, true),
        1 => frames::put_headers(&mut out, stream, &hpack::encode(&post(&path)), true),
        2 => {
            frames::put_data(&mut out, stream, INNER, true);
            frames::put_data(&mut out, stream, INNER, true);
        }
        3 => {
            frames::put_data(&mut out, stream, INNER, false);
            frames::put_headers(&mut out, stream, &hpack::encode(&post(&path)), true);
        }
        4 => {
            let trailer: &[Field<'_>] = &[(b"x-trailer", b"\xff")];
            frames::put_headers(&mut out, stream, &hpack::encode(trailer), false);
            frames::put_data(&mut out, stream, INNER, true);
        }
        _ => {
            let trailers: &[Field<'_>] = &[(b"content-length", b"9"), (b"x-user", b"late")];
            frames::put_data(&mut out, stream, INNER, false);
            frames::put_headers(&mut out, stream, &hpack::encode(trailers), true);
        }
    }
    turn.sent += 1;
    connection.send(&out).await?;
    let answers = connection.answers(1, 300 * MS).await;
    turn.note(answers);
    Ok(())
}

async fn header_bytes(turn: &mut Turn) -> Outcome {
    const NAMES: &[&[u8]] = &[
        b"x-any",
        b"X-Any",
        b"",
        b"x any",
        b"x\0any",
        b"x\r\ny",
        b"x-\xff",
        b"cookie",
        b"user-agent",
        b"accept",
        b"host",
        b"connection",
        b"te",
        b"upgrade",
        b"content-type",
        b"x-user",
        b"x-queue",
        b"x-forwarded-for",
        b"x-envoy-retry-on",
        b"x-envoy-max-retries",
        b"x-btp-retry-budget",
        b"x-envoy-expected-rq-timeout-ms",
        b"x-request-id",
        b"expect",
    ];
    let (path, count) = (turn.path(), turn.dice.between(1, 5));
    let mut extra = Vec::new();
    for _ in 0..count {
        let length = turn.dice.below(40);
        let value = match turn.dice.below(4) {
            0 => turn.dice.bytes(length),
            1 => vec![0xff; length],
            2 => b"a\r\nx-injected: 1".to_vec(),
            _ => b"1\xa1".to_vec(),
        };
        extra.push((turn.dice.pick(NAMES), value));
    }
    let mut fields = post(&path).to_vec();
    fields[0].1 = b"GET";
    fields.extend(extra.iter().map(|(name, value)| (*name, value.as_slice())));
    send(turn, &fields, None).await
}

async fn many_headers(turn: &mut Turn) -> Outcome {
    const NAMES: &[&[u8]] = &[
        b"x-any",
        b"x-user",
        b"cookie",
        b"user-agent",
        b"accept",
        b"x-queue",
    ];
    let path = turn.path();
    let mut fields = post(&path).to_vec();
    let (name, length) = (turn.dice.pick(NAMES), turn.dice.between(20_000, 60_000));
    let huge = vec![0x20 + turn.dice.below(90) as u8; length];
    if turn.dice.one_in(2) {
        fields.push((name, &huge));
    } else {
        let count = turn.dice.between(50, 200);
        fields.extend(std::iter::repeat_n((name, &huge[..20]), count));
    }
    send(turn, &fields, Some(b"")).await
}

async fn pseudo_headers(turn: &mut Turn) -> Outcome {
    const METHODS: &[&[u8]] = &[
        b"GET",
        b"get",
        b"CONNECT",
        b"",
        b"BREW",
        b"PRI",
        b"G\0T",
        b"GET /smuggled HTTP/1.1",
        b"HEAD",
        b"OPTIONS",
    ];
    const PATHS: &[&[u8]] = &[
        b"/up/ok",
        b"",
        b"*",
        b"up/ok",
        b"//deny/x",
        b"/./deny/x",
        b"/%64eny/x",
        b"/deny%2fx",
        b"/deny/../up/ok",
        b"/up/../deny/x",
        b"http://h/deny/x",
        b"/up/ok?a=%",
        b"/up/ok#f",
        b"/up/\xff",
        b"/up/ok x",
        b"/up/%00",
        b"/deny\\x",
        b"/DENY/x",
        b"/deny;a=b/x",
    ];
    const AUTHORITIES: &[&[u8]] = &[
        b"h",
        b"",
        b"a@evil.example",
        b"h:99999",
        b"[::1",
        b"h/x",
        b"h\0",
        b"\xff",
        b"h,h",
        b"evil.example:1",
    ];
    const SCHEMES: &[&[u8]] = &[b"http", b"https", b"", b"javascript", b"h\xff"];
    let mut fields: Vec<Field<'_>> = vec![
        (b":method", turn.dice.pick(METHODS)),
        (b":scheme", turn.dice.pick(SCHEMES)),
        (b":authority", turn.dice.pick(AUTHORITIES)),
        (b":path", turn.dice.pick(PATHS)),
    ];
    match turn.dice.below(8) {
        0 => {
            let left_out = turn.dice.below(4);
            fields.remove(left_out);
        }
        1 => fields.push((b":path", b"/up/ok")),
        2 => fields.insert(0, (b"x-first", b"1")),
        3 => fields.push((b":protocol", b"websocket")),
        4 => fields.push((b":status", b"200")),
        5 => fields.push((b"host", b"other")),
        _ => {}
    }
    let body = turn.dice.one_in(3).then_some(INNER);
    send(turn, &fields, body).await
}

async fn slow_body(turn: &mut Turn) -> Outcome {
    let mut connection = Connection::open(turn.peer, &[]).await?;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let path = turn.path();
        streams.push(connection.request(&post(&path), false).await?);
        turn.sent += 1;
    }
    for _ in 0..8 {
        let mut out = Vec::new();
        for stream in &streams {
            frames::put_data(&mut out, *stream, b"x", false);
        }
        connection.send(&out).await?;
        let answers = connection.answers(usize::MAX, 100 * MS).await;
        turn.note(answers);
    }
    if turn.dice.one_in(2) {
        connection.vanish();
    }
    Ok(())
}

async fn large_body(turn: &mut Turn) -> Outcome {
    let mut connection = Connection::open(turn.peer, &[]).await?;
    let path = turn.path();
    let length = BODY_LIMIT + turn.dice.between(1, 3 * BODY_LIMIT);
    let text = length.to_string();
    let mut fields = post(&path).to_vec();
    if turn.dice.one_in(3) {
        fields.push((b"content-length", text.as_bytes()));
    }
    match turn.dice.below(4) {
        0 => fields.push((b"content-type", b"application/grpc")),
        1 => fields.push((b"expect", b"100-continue")),
        _ => {}
    }
    let stream = connection.request(&fields, false).await?;
    turn.sent += 1;
    let body = vec![b'x'; length];
    for piece in body.chunks(10_000) {
        let mut out = Vec::new();
        frames::put_data(&mut out, stream, piece, false);
        connection.send(&out).await?;
        sleep(MS).await;
    }
    let answers = connection.answers(1, 300 * MS).await;
    turn.note(answers);
    Ok(())
}
