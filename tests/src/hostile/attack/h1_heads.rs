//! HTTP/1: heads that are malformed, or request a different protocol.

use super::h1::{INNER, MS, send};
use super::{Attack, Outcome, Turn, attack};

pub(super) const ATTACKS: &[Attack] = &[
    attack!(
        "h1-header-bytes",
        header_bytes,
        "HTTP/1 header lines of any bytes, folded, without a colon, huge or many"
    ),
    attack!(
        "h1-tunnels",
        tunnels,
        "CONNECT, Upgrade (websocket, h2c, anything), with lengths, chunks and bodies"
    ),
    attack!(
        "h1-versions",
        versions,
        "HTTP/1.0, 0.9, 2.0 and others, with and without Host and keep-alive"
    ),
    attack!(
        "h1-targets",
        targets,
        "request targets and methods of every form"
    ),
];

async fn header_bytes(turn: &mut Turn) -> Outcome {
    let path = turn.path();
    let mut bytes = format!("GET {path} HTTP/1.1\r\nhost: h\r\n").into_bytes();
    for _ in 0..turn.dice.between(1, 6) {
        let length = turn.dice.between(0, 60);
        let line = match turn.dice.below(9) {
            0 => turn.dice.bytes(length),
            1 => [b"x-any: ", turn.dice.bytes(length).as_slice()].concat(),
            2 => b"x-user: \xff\xfe".to_vec(),
            3 => b"x-any: a\r\n folded".to_vec(),
            4 => b"no colon".to_vec(),
            5 => [
                b"cookie: ",
                vec![b'c'; turn.dice.between(1_000, 58_000)].as_slice(),
            ]
            .concat(),
            6 => b"x-same: 1\r\n".repeat(turn.dice.between(2, 150)),
            7 => b"x-any: a\0b".to_vec(),
            _ => b"user-agent: <script>%REQ(:path)%\"\\\xed\xa0\x80".to_vec(),
        };
        bytes.extend_from_slice(&line);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    send(turn, &bytes, 300 * MS).await
}

async fn tunnels(turn: &mut Turn) -> Outcome {
    const HEADS: &[&str] = &[
        "CONNECT h:80 HTTP/1.1\r\nhost: h:80\r\n",
        "CONNECT /up/ok HTTP/1.1\r\nhost: h\r\n",
        "GET /up/ok HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n",
        "POST /up/ok HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n",
        "POST /up/ok HTTP/1.1\r\nhost: h\r\nupgrade: anything\r\n",
        "GET /up/ok HTTP/1.1\r\nhost: h\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
        "GET /deny/x HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n",
        "POST /deny/x HTTP/1.1\r\nhost: h\r\nconnection: keep-alive, upgrade\r\nupgrade: h2c, websocket\r\n",
    ];
    const FRAMINGS: &[&str] = &[
        "",
        "content-length: 70000\r\n",
        "transfer-encoding: chunked\r\n",
        "content-length: 0\r\n",
    ];
    let (head, framing) = (turn.dice.pick(HEADS), turn.dice.pick(FRAMINGS));
    let rest = if turn.dice.one_in(2) {
        INNER.to_owned()
    } else {
        "x".repeat(70_000)
    };
    let text = format!("{head}{framing}\r\n{rest}");
    send(turn, text.as_bytes(), 300 * MS).await
}

async fn versions(turn: &mut Turn) -> Outcome {
    const VERSIONS: &[&str] = &[
        " HTTP/1.0",
        " HTTP/0.9",
        "",
        " HTTP/1.2",
        " HTTP/2.0",
        " HTTP/9",
        " http/1.1",
        " HTTP/1.1 ",
        " XTTP/1.1",
    ];
    const HOSTS: &[&str] = &[
        "",
        "host: h\r\n",
        "host: h\r\nhost: i\r\n",
        "host:\r\n",
        "host: a@b\r\n",
        "host: h/x\r\n",
    ];
    let (path, version, host) = (turn.path(), turn.dice.pick(VERSIONS), turn.dice.pick(HOSTS));
    let alive = turn.dice.pick(&[
        "",
        "connection: keep-alive\r\n",
        "connection: close, content-length\r\n",
    ]);
    let body = turn.dice.pick(&[
        "",
        "content-length: 35\r\n",
        "transfer-encoding: chunked\r\n",
    ]);
    let text = format!("POST {path}{version}\r\n{host}{alive}{body}\r\n{INNER}");
    send(turn, text.as_bytes(), 300 * MS).await
}

async fn targets(turn: &mut Turn) -> Outcome {
    const TARGETS: &[&str] = &[
        "/deny/x",
        "//deny/x",
        "/./deny/x",
        "/%64eny/x",
        "/up/../deny/x",
        "/deny/../up/ok",
        "http://h/deny/x",
        "http://a@evil.example/deny/x",
        "https://h/deny/x",
        "*",
        "deny/x",
        "/deny/x?y#z",
        "/deny%2fx",
        "/deny%00/x",
        "h:80",
        "/",
        "?",
        "/up/ok\u{e9}",
        "/deny\\x",
        "http:///deny/x",
        "ftp://h/deny/x",
    ];
    const METHODS: &[&str] = &[
        "GET",
        "get",
        "HEAD",
        "OPTIONS",
        "TRACE",
        "PRI",
        "M-SEARCH",
        "CONNECT",
        "DELETE",
        "LONGEST-METHOD-EVER",
    ];
    let (method, target) = (turn.dice.pick(METHODS), turn.dice.pick(TARGETS));
    let text = format!("{method} {target} HTTP/1.1\r\nhost: h\r\n\r\n");
    send(turn, text.as_bytes(), 200 * MS).await
}
