//! HTTP/1: bodies that lie, stop, or are many.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{Attack, Outcome, Turn, attack};
use crate::hostile::policies::BODY_LIMIT;

pub(super) const MS: Duration = Duration::from_millis(1);
/// What must not become a request of its own.
pub(super) const INNER: &str = "GET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n";

pub(super) const ATTACKS: &[Attack] = &[
    attack!(
        "h1-lengths",
        lengths,
        "HTTP/1 bodies longer and shorter than content-length; lengths negative, double, vast, beside chunked"
    ),
    attack!(
        "h1-chunks",
        chunks,
        "chunk sizes that lie, overflow, have signs, blanks, extensions; no last chunk"
    ),
    attack!(
        "h1-codings",
        codings,
        "Transfer-Encoding spelled in ways that two parsers read differently"
    ),
    attack!(
        "h1-pipelining",
        pipelining,
        "64 requests at once on one connection, some with bodies, the last one cut off"
    ),
    attack!(
        "h1-vanish",
        vanish,
        "clients that go at any byte of a request, half of them by a TCP reset"
    ),
    attack!("h1-slow", slow, "heads and bodies a few bytes at a time"),
    attack!(
        "h1-large-body",
        large_body,
        "HTTP/1 bodies beyond the limit, declared or chunked, with Expect too"
    ),
    attack!(
        "h1-grpc",
        grpc,
        "gRPC content types over HTTP/1 with slow and large bodies"
    ),
    attack!(
        "h1-trailers",
        trailers,
        "trailers of any kind, and chunk extensions of kilobytes"
    ),
];

/// Sends bytes, and notes the statuses of what comes in this time.
pub(super) async fn send(turn: &mut Turn, bytes: &[u8], time: Duration) -> Outcome {
    let mut stream = TcpStream::connect(turn.peer).await?;
    stream.set_nodelay(true)?;
    turn.sent += 1;
    let sent = timeout(2_000 * MS, stream.write_all(bytes)).await;
    read(turn, &mut stream, time).await;
    sent.unwrap_or(Ok(()))
}

async fn read(turn: &mut Turn, stream: &mut TcpStream, time: Duration) {
    let mut come = Vec::new();
    let reading = async {
        while stream.read_buf(&mut come).await? > 0 && come.len() < 1 << 20 {}
        std::io::Result::Ok(())
    };
    let closed = timeout(time, reading).await.is_ok();
    let lines = come
        .windows(13)
        .filter(|it| it.starts_with(b"HTTP/1.") && it[8] == b' ');
    let statuses = lines.map(|it| String::from_utf8_lossy(&it[9..12]).into_owned());
    let statuses: Vec<String> = statuses.collect();
    turn.note(statuses);
    turn.note(closed.then(|| "closed".to_owned()));
}

async fn lengths(turn: &mut Turn) -> Outcome {
    const LENGTHS: &[&str] = &[
        "0",
        "1",
        "34",
        "36",
        "100",
        "-1",
        "+35",
        "035",
        "0x23",
        "",
        "35,35",
        "35, 36",
        "3 5",
        "1e1",
        "65537",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999",
        "\u{0663}",
    ];
    let (path, length) = (turn.path(), turn.dice.pick(LENGTHS));
    let other = match turn.dice.below(5) {
        0 => format!("content-length: {}\r\n", turn.dice.pick(LENGTHS)),
        1 => "transfer-encoding: chunked\r\n".to_owned(),
        2 => "content-length : 35\r\n".to_owned(),
        _ => String::new(),
    };
    let inner = if turn.dice.one_in(2) {
        INNER.to_owned()
    } else {
        format!("0\r\n\r\n{INNER}")
    };
    let text = format!(
        "POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n{other}\r\n{inner}"
    );
    send(turn, text.as_bytes(), 300 * MS).await
}

async fn chunks(turn: &mut Turn) -> Outcome {
    const SIZES: &[&str] = &[
        "22",
        "0022",
        "23",
        "21",
        "1",
        "0",
        "-1",
        "+22",
        "0x22",
        "22 ",
        " 22",
        "22;x=y",
        "22;\"",
        "g",
        "",
        "\t22",
        "ffffffffffffffff",
        "10000000000000022",
        "7fffffffffffffff",
        "22\n",
        "22\r\r",
    ];
    let (path, size) = (turn.path(), turn.dice.pick(SIZES));
    let end = turn.dice.pick(&[
        "\r\n0\r\n\r\n",
        "0\r\n\r\n",
        "\r\n",
        "\n0\n\n",
        "\r\n00000\r\n\r\n",
    ]);
    let text = format!(
        "POST {path} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n{size}\r\n{INNER}{end}"
    );
    send(turn, text.as_bytes(), 300 * MS).await
}

async fn codings(turn: &mut Turn) -> Outcome {
    const CODINGS: &[&str] = &[
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked, gzip",
        "transfer-encoding: identity",
        "transfer-encoding: xchunked",
        "transfer-encoding: Chunked",
        "transfer-encoding:chunked",
        "transfer-encoding : chunked",
        "transfer-encoding: \"chunked\"",
        "transfer-encoding: chunked\r\ntransfer-encoding: x",
        "transfer-encoding:\tchunked",
        "transfer-encoding:\u{b}chunked",
        "x: y\r\n transfer-encoding: chunked",
        "transfer_encoding: chunked",
    ];
    let (path, coding) = (turn.path(), turn.dice.pick(CODINGS));
    let length = if turn.dice.one_in(2) {
        "content-length: 5\r\n"
    } else {
        ""
    };
    let text =
        format!("POST {path} HTTP/1.1\r\nhost: h\r\n{length}{coding}\r\n\r\n0\r\n\r\n{INNER}");
    send(turn, text.as_bytes(), 300 * MS).await
}

async fn pipelining(turn: &mut Turn) -> Outcome {
    let mut text = String::new();
    for _ in 0..64 {
        let (path, user) = (turn.path(), turn.user());
        if turn.dice.one_in(3) {
            text.push_str(&format!(
                "POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{INNER}",
                INNER.len()
            ));
        } else {
            text.push_str(&format!(
                "GET {path} HTTP/1.1\r\nhost: h\r\nx-user: {user}\r\n\r\n"
            ));
        }
        turn.sent += 1;
    }
    let length = text.len() - turn.dice.below(40);
    text.truncate(length);
    let time = turn.dice.between(50, 800) as u32;
    send(turn, text.as_bytes(), time * MS).await
}

async fn vanish(turn: &mut Turn) -> Outcome {
    for _ in 0..10 {
        let path = turn.path();
        let body = "x".repeat(turn.dice.between(1, 5_000));
        let text = format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(turn.peer).await?;
        let cut = turn.dice.between(1, text.len());
        stream.write_all(&text.as_bytes()[..cut]).await?;
        turn.sent += 1;
        sleep(turn.dice.below(60) as u32 * MS).await;
        if turn.dice.one_in(2) {
            stream.set_zero_linger()?;
        }
    }
    Ok(())
}

async fn slow(turn: &mut Turn) -> Outcome {
    let path = turn.path();
    let text = format!(
        "POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 500\r\n\r\n{}",
        "x".repeat(500)
    );
    let mut stream = TcpStream::connect(turn.peer).await?;
    stream.set_nodelay(true)?;
    turn.sent += 1;
    let quick = if turn.dice.one_in(2) {
        0
    } else {
        text.len() - 500
    };
    stream.write_all(&text.as_bytes()[..quick]).await?;
    for piece in text.as_bytes()[quick..].chunks(20).take(20) {
        stream.write_all(piece).await?;
        sleep(50 * MS).await;
    }
    read(turn, &mut stream, 200 * MS).await;
    Ok(())
}

async fn large_body(turn: &mut Turn) -> Outcome {
    let path = turn.path();
    let length = BODY_LIMIT + turn.dice.between(1, 3 * BODY_LIMIT);
    let expect = if turn.dice.one_in(3) {
        "expect: 100-continue\r\n"
    } else {
        ""
    };
    let head = format!("POST {path} HTTP/1.1\r\nhost: h\r\n{expect}");
    let mut bytes = head.into_bytes();
    if turn.dice.one_in(2) {
        bytes.extend(format!("content-length: {length}\r\n\r\n").bytes());
        bytes.resize(bytes.len() + length, b'x');
    } else {
        bytes.extend(b"transfer-encoding: chunked\r\n\r\n");
        for _ in 0..length / 1_000 + 1 {
            bytes.extend(b"3e8\r\n");
            bytes.resize(bytes.len() + 1_000, b'x');
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
    }
    send(turn, &bytes, 300 * MS).await
}

async fn grpc(turn: &mut Turn) -> Outcome {
    let path = turn.path();
    let method = turn.dice.pick(&["POST", "PUT", "GET", "DELETE"]);
    let length = turn.dice.pick(&[
        "content-length: 70000\r\n",
        "transfer-encoding: chunked\r\n",
        "content-length: 500\r\n",
    ]);
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: h\r\ncontent-type: application/grpc\r\n{length}\r\n"
    );
    let mut stream = TcpStream::connect(turn.peer).await?;
    stream.write_all(head.as_bytes()).await?;
    turn.sent += 1;
    for _ in 0..8 {
        stream
            .write_all(&b"20\r\n0123456789abcdef0123456789abcdef\r\n".repeat(10))
            .await?;
        sleep(40 * MS).await;
    }
    read(turn, &mut stream, 200 * MS).await;
    Ok(())
}

async fn trailers(turn: &mut Turn) -> Outcome {
    let path = turn.path();
    let length = turn.dice.between(0, 4_000);
    let extension = "e".repeat(turn.dice.pick(&[&0, &5, &9_000]).to_owned());
    let mut bytes = format!(
        "POST {path} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n5;{extension}\r\nabcde\r\n0\r\n"
    )
    .into_bytes();
    match turn.dice.below(4) {
        0 => bytes.extend([b"x-t: ", turn.dice.bytes(length).as_slice()].concat()),
        1 => bytes.extend(b"content-length: 5\r\nhost: other"),
        2 => bytes.extend(b"x-t: 1\r\n".repeat(150)),
        _ => bytes.extend(b"transfer-encoding: chunked\r\n:path: /smuggled"),
    }
    bytes.extend(b"\r\n\r\n");
    bytes.extend(INNER.bytes());
    send(turn, &bytes, 300 * MS).await
}
