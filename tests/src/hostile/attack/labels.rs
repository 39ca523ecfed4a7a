//! HTTP/2: requests made for what policies read: gRPC's labels, the keys of
//! clients, lists in headers.

use super::messages::{INNER, MS, post, send};
use super::{Attack, Outcome, Turn, attack};
use crate::hostile::h2::Connection;
use crate::hostile::policies::BODY_LIMIT;

pub(super) const ATTACKS: &[Attack] = &[
    attack!(
        "grpc-labels",
        grpc_labels,
        "content types that look like gRPC, with every method, body and length"
    ),
    attack!(
        "distinct-flood",
        distinct_flood,
        "requests from ever new clients, so that the table of Distinct keys is full"
    ),
    attack!(
        "accept-flood",
        accept_flood,
        "Accept, Cookie and x-forwarded-for of hundreds of parts"
    ),
];

async fn grpc_labels(turn: &mut Turn) -> Outcome {
    const TYPES: &[&[u8]] = &[
        b"application/grpc",
        b"application/grpc+proto",
        b"application/grpc-web",
        b"application/grpc;x",
        b"APPLICATION/GRPC",
        b"application/grpc\xff",
        b"application/grpc+",
        b"text/plain, application/grpc",
    ];
    const METHODS: &[&[u8]] = &[
        b"POST", b"GET", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH",
    ];
    const BODIES: &[&[u8]] = &[
        b"",
        b"\0",
        b"\0\0\0\0\x05abcde",
        b"\xff\xff\xff\xff\xff",
        INNER,
    ];
    let path = turn.path();
    let mut fields = post(&path).to_vec();
    fields[0].1 = turn.dice.pick(METHODS);
    fields.push((b"content-type", turn.dice.pick(TYPES)));
    for (name, value) in [
        (&b"te"[..], &b"trailers"[..]),
        (b"grpc-timeout", b"99999999999H"),
        (b"grpc-timeout", b"1n"),
    ] {
        if turn.dice.one_in(2) {
            fields.push((name, value));
        }
    }
    let large = vec![b'x'; BODY_LIMIT + 1];
    let body = match turn.dice.below(6) {
        0 => &large,
        _ => turn.dice.pick(BODIES),
    };
    send(turn, &fields, Some(body)).await
}

async fn distinct_flood(turn: &mut Turn) -> Outcome {
    let mut connection = Connection::open(turn.peer, &[]).await?;
    for _ in 0..80 {
        let user = turn.user();
        let mut fields = post("/up/ok").to_vec();
        fields[0].1 = b"GET";
        fields.push((b"x-user", user.as_bytes()));
        connection.request(&fields, true).await?;
        turn.sent += 1;
    }
    let answers = connection.answers(80, 400 * MS).await;
    turn.note(answers);
    Ok(())
}

async fn accept_flood(turn: &mut Turn) -> Outcome {
    let many = |part: &str, count: usize| vec![part; count].join(",");
    let accept = many("text/x;q=0.5", turn.dice.between(1, 900));
    let junk = many(";;q=,/*;q=1.0001", turn.dice.between(1, 300));
    let forwarded = many("10.0.0.1", turn.dice.between(1, 900));
    let path = format!("/up/busy?{}", "q=%&".repeat(turn.dice.between(1, 2_000)));
    let mut fields = post(&path).to_vec();
    fields[0].1 = b"GET";
    fields.push((b"accept", accept.as_bytes()));
    fields.push((b"accept", junk.as_bytes()));
    fields.push((b"x-forwarded-for", forwarded.as_bytes()));
    send(turn, &fields, None).await
}
