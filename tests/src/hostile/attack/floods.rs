//! HTTP/2: too many of anything, and connections that end or stall.

use std::time::Duration;

use super::messages::head;
use super::{Attack, Outcome, Turn, attack};
use crate::hostile::frames::{self, flag, kind};
use crate::hostile::h2::{Connection, setting};
use crate::hostile::hpack;

const CANCEL: u32 = 8;
const MS: Duration = Duration::from_millis(1);

pub(super) const ATTACKS: &[Attack] = &[
    attack!(
        "rapid-reset",
        rapid_reset,
        "HTTP/2 streams opened and reset at once, 200 in a burst"
    ),
    attack!(
        "late-reset",
        late_reset,
        "HTTP/2 streams reset after 0 to 100 ms, in any order, while delays, queues and bodies are under way"
    ),
    attack!(
        "half-open",
        half_open,
        "50 HTTP/2 uploads with paths up to 56 kB that never send a body, then the connection vanishes"
    ),
    attack!(
        "zero-window",
        zero_window,
        "HTTP/2 clients that let nothing be sent to them"
    ),
    attack!(
        "continuation-flood",
        continuation_flood,
        "headers without an end in CONTINUATION frames, empty ones among them"
    ),
    attack!(
        "settings-flood",
        settings_flood,
        "SETTINGS by the thousand, with changing windows"
    ),
    attack!(
        "ping-flood",
        ping_flood,
        "PING by the thousand, answers unread"
    ),
    attack!(
        "window-flood",
        window_flood,
        "WINDOW_UPDATE by the thousand: 0, 1 and beyond the maximum"
    ),
    attack!(
        "reset-flood",
        reset_flood,
        "RST_STREAM for streams that are idle, open, closed"
    ),
    attack!(
        "empty-data-flood",
        empty_data_flood,
        "a body of thousands of empty DATA frames"
    ),
    attack!("priority-flood", priority_flood, "PRIORITY by the thousand"),
    attack!(
        "frame-garbage",
        frame_garbage,
        "frames of any type, flags, stream and payload"
    ),
    attack!(
        "hpack-garbage",
        hpack_garbage,
        "header blocks of random bytes, and resizes of the table"
    ),
];

async fn open(turn: &Turn) -> std::io::Result<Connection> {
    Connection::open(turn.peer, &[]).await
}

async fn rapid_reset(turn: &mut Turn) -> Outcome {
    let mut connection = open(turn).await?;
    let mut out = Vec::new();
    for _ in 0..200 {
        let (stream, path) = (connection.stream(), turn.path());
        let (user, end) = (turn.user(), turn.dice.one_in(2));
        let block = hpack::encode(&[
            (b":method", if end { b"GET" } else { b"POST" }),
            (b":scheme", b"http"),
            (b":authority", b"h"),
            (b":path", path.as_bytes()),
            (b"x-user", user.as_bytes()),
        ]);
        frames::put_headers(&mut out, stream, &block, end);
        frames::put_reset(&mut out, stream, CANCEL);
        turn.sent += 1;
    }
    connection.send(&out).await?;
    let answers = connection.answers(200, 100 * MS).await;
    turn.note(answers);
    Ok(())
}

async fn late_reset(turn: &mut Turn) -> Outcome {
    let mut connection = open(turn).await?;
    let mut streams = Vec::new();
    for _ in 0..40 {
        let (path, user) = (turn.path(), turn.user());
        let queue: &[u8] = if turn.dice.one_in(3) { b"yes" } else { b"no" };
        let end = turn.dice.one_in(2);
        let stream = connection
            .request(
                &[
                    (b":method", if end { b"GET" } else { b"POST" }),
                    (b":scheme", b"http"),
                    (b":authority", b"h"),
                    (b":path", path.as_bytes()),
                    (b"x-user", user.as_bytes()),
                    (b"x-queue", queue),
                ],
                end,
            )
            .await?;
        turn.sent += 1;
        streams.push((stream, end));
    }
    turn.dice.shuffle(&mut streams);
    for (stream, ended) in streams {
        let mut out = Vec::new();
        if !ended && turn.dice.one_in(2) {
            let body = vec![b'x'; turn.dice.between(0, 3_000)];
            frames::put_data(&mut out, stream, &body, turn.dice.one_in(3));
        }
        frames::put_reset(&mut out, stream, turn.dice.below(20) as u32);
        connection.send(&out).await?;
        let pause = turn.dice.below(6) as u32;
        let answers = connection.answers(usize::MAX, pause * MS).await;
        turn.note(answers);
    }
    Ok(())
}

async fn half_open(turn: &mut Turn) -> Outcome {
    let mut connection = open(turn).await?;
    for _ in 0..50 {
        let length = turn.dice.between(10, 56_000);
        let path = format!("/up/ok?q={}", "q".repeat(length));
        let fields = head("POST", &path);
        connection.request(&fields, false).await?;
        turn.sent += 1;
    }
    let time = turn.dice.between(50, 600) as u32;
    let answers = connection.answers(50, time * MS).await;
    turn.note(answers);
    connection.vanish();
    Ok(())
}

async fn zero_window(turn: &mut Turn) -> Outcome {
    let settings = [(setting::INITIAL_WINDOW_SIZE, 0)];
    let mut connection = Connection::open(turn.peer, &settings).await?;
    for _ in 0..30 {
        let path = if turn.dice.one_in(2) {
            "/up/huge-body"
        } else {
            "/up/endless"
        };
        let fields = head("GET", path);
        connection.request(&fields, true).await?;
        turn.sent += 1;
    }
    let answers = connection.answers(usize::MAX, 500 * MS).await;
    turn.note(answers);
    connection.vanish();
    Ok(())
}

async fn continuation_flood(turn: &mut Turn) -> Outcome {
    let mut connection = open(turn).await?;
    let path = turn.path();
    let block = hpack::encode(&head("GET", &path));
    let stream = connection.stream();
    let mut out = Vec::new();
    frames::put(&mut out, kind::HEADERS, flag::END_STREAM, stream, &block);
    for index in 0..2_000 {
        let more = match index % 3 {
            0 => Vec::new(),
            1 => hpack::encode(&[(b"x-more", b"and more")]),
            _ => hpack::encode(&[(b"x-other", &[b'y'; 200])]),
        };
        frames::put(&mut out, kind::CONTINUATION, 0, stream, &more);
        turn.sent += 1;
    }
    if turn.dice.one_in(2) {
        frames::put(&mut out, kind::CONTINUATION, flag::END_HEADERS, stream, &[]);
    }
    let sent = connection.send(&out).await;
    let answers = connection.answers(1, 300 * MS).await;
    turn.note(answers);
    sent
}

/// A request, so many frames that `put` writes, and another request.
async fn flood(
    turn: &mut Turn,
    count: usize,
    mut put: impl FnMut(&mut Vec<u8>, &mut Turn, usize),
) -> Outcome {
    let mut connection = open(turn).await?;
    for _ in 0..2 {
        let path = turn.path();
        let fields = head("GET", &path);
        connection.request(&fields, true).await?;
        let mut out = Vec::new();
        for index in 0..count {
            put(&mut out, turn, index);
            turn.sent += 1;
        }
        connection.send(&out).await?;
    }
    let answers = connection.answers(2, 300 * MS).await;
    turn.note(answers);
    Ok(())
}

async fn settings_flood(turn: &mut Turn) -> Outcome {
    flood(turn, 2_000, |out, turn, _| {
        let id = turn.dice.between(1, 10) as u16;
        let value = match id {
            // Keeps the table empty, and frames of a size that is allowed.
            setting::HEADER_TABLE_SIZE => 0,
            5 => 16_384,
            _ => turn.dice.below(65_535) as u32,
        };
        frames::put_settings(out, &[(id, value)]);
    })
    .await
}

async fn ping_flood(turn: &mut Turn) -> Outcome {
    flood(turn, 5_000, |out, _, index| {
        let flags = if index % 7 == 0 { flag::ACK } else { 0 };
        frames::put(out, kind::PING, flags, 0, &[1; 8]);
    })
    .await
}

async fn window_flood(turn: &mut Turn) -> Outcome {
    flood(turn, 2_000, |out, turn, index| {
        let increment = match turn.dice.below(500) {
            0 => 0,
            1 => 0x7fff_ffff_u32,
            _ => 1,
        };
        let stream = if index % 2 == 0 { 0 } else { 1 };
        frames::put(
            out,
            kind::WINDOW_UPDATE,
            0,
            stream,
            &increment.to_be_bytes(),
        );
    })
    .await
}

async fn reset_flood(turn: &mut Turn) -> Outcome {
    flood(turn, 1_000, |out, turn, _| {
        let stream = turn.dice.below(4) as u32;
        frames::put_reset(out, stream, CANCEL);
    })
    .await
}

async fn empty_data_flood(turn: &mut Turn) -> Outcome {
    let mut connection = open(turn).await?;
    let path = turn.path();
    let fields = head("POST", &path);
    let stream = connection.request(&fields, false).await?;
    let mut out = Vec::new();
    for index in 0..3_000 {
        // A byte now and then is below the proxy's own notice.
        let body: &[u8] = if index % 2 == 0 { b"" } else { b"x" };
        frames::put_data(&mut out, stream, body, false);
        turn.sent += 1;
    }
    frames::put_data(&mut out, stream, b"", true);
    let sent = connection.send(&out).await;
    let answers = connection.answers(1, 300 * MS).await;
    turn.note(answers);
    sent
}

async fn priority_flood(turn: &mut Turn) -> Outcome {
    flood(turn, 2_000, |out, turn, _| {
        let stream = turn.dice.below(400) as u32 * 2 + 1;
        frames::put(out, kind::PRIORITY, 0, stream, &[0, 0, 0, 1, 7]);
    })
    .await
}

async fn frame_garbage(turn: &mut Turn) -> Outcome {
    flood(turn, 3, |out, turn, _| {
        let (kind, flags) = (turn.dice.below(14) as u8, turn.dice.draw() as u8);
        let stream = turn.dice.below(6) as u32;
        let length = turn.dice.below(64);
        let payload = turn.dice.bytes(length);
        frames::put(out, kind, flags, stream, &payload);
    })
    .await
}

async fn hpack_garbage(turn: &mut Turn) -> Outcome {
    let mut connection = open(turn).await?;
    let stream = connection.stream();
    let length = turn.dice.between(1, 300);
    let mut block = match turn.dice.below(3) {
        0 => turn.dice.bytes(length),
        // The table beyond what was allowed, and an index beyond the table.
        1 => vec![0x3f, 0xff, 0xff, 0xff, 0x07],
        _ => vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    };
    block.extend(hpack::encode(&[
        (b":method", b"GET"),
        (b":path", b"/up/ok"),
    ]));
    let mut out = Vec::new();
    frames::put_headers(&mut out, stream, &block, true);
    turn.sent += 1;
    let sent = connection.send(&out).await;
    let answers = connection.answers(1, 200 * MS).await;
    turn.note(answers);
    sent
}
