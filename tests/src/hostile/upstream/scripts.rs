//! What the bad upstream can do with a request, as a table.

/// One thing it does.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Reads the request's body to its end; the other steps do not wait for it.
    ReadBody,
    /// Sends bytes as they are.
    Send(&'static [u8]),
    /// Sends the same bytes so often.
    Repeat(&'static [u8], usize),
    /// Sends the same bytes until the peer goes, some seconds at most.
    Endless(&'static [u8]),
    /// Waits so many milliseconds.
    Pause(u64),
    /// Closes with a TCP reset.
    Reset,
    /// Closes.
    Close,
    /// Says nothing more and waits until the peer goes, some seconds at most.
    Hang,
}

/// Steps that have a name. Without `Close`, `Reset` and the like the connection
/// serves the next request.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// Its name in the path.
    pub name: &'static str,
    /// What is done.
    pub steps: &'static [Step],
}

use Step::{Close, Endless, Hang, Pause, ReadBody, Repeat, Reset, Send};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BUSY: &[u8] = b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy";
const CHUNK: &[u8] = b"10\r\n0123456789abcdef\r\n";

/// For requests of a tunnel: there is none.
pub const NO_TUNNEL: Script = Script {
    name: "no-tunnel",
    steps: &[
        Send(b"HTTP/1.1 403 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"),
        Close,
    ],
};

/// The script of this name, or the one that just answers.
pub fn named(name: &str) -> &'static Script {
    let found = SCRIPTS.iter().find(|script| script.name == name);
    found.unwrap_or(&SCRIPTS[0])
}

const fn script(name: &'static str, steps: &'static [Step]) -> Script {
    Script { name, steps }
}

/// All of them; the first is the good one.
pub const SCRIPTS: &[Script] = &[
    script("ok", &[ReadBody, Send(OK)]),
    script("busy", &[ReadBody, Send(BUSY)]),
    script(
        "not-found",
        &[
            ReadBody,
            Send(b"HTTP/1.1 404 No\r\ncontent-length: 4\r\netag: \"\xfe\"\r\n\r\nnone"),
        ],
    ),
    // Resets and closes, at every point.
    script("reset", &[Reset]),
    script("close", &[Close]),
    script("reset-after-body", &[ReadBody, Reset]),
    script("half-status-line", &[ReadBody, Send(b"HTTP/1.1 20"), Reset]),
    script("half-headers", &[ReadBody, Send(b"HTTP/1.1 500 X\r\na: b\r\nc"), Close]),
    script(
        "half-body",
        &[ReadBody, Send(b"HTTP/1.1 500 X\r\ncontent-length: 100\r\n\r\n12345"), Pause(10), Reset],
    ),
    script(
        "half-chunk",
        &[ReadBody, Send(b"HTTP/1.1 503 X\r\ntransfer-encoding: chunked\r\n\r\nff\r\nabc"), Close],
    ),
    script(
        "no-last-chunk",
        &[ReadBody, Send(b"HTTP/1.1 502 X\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"), Pause(20), Close],
    ),
    script("close-between", &[ReadBody, Send(OK), Pause(1), Close]),
    // Too early, too late, never.
    script("early", &[Send(OK)]),
    script("early-busy", &[Send(BUSY), Pause(5)]),
    script("early-close", &[Send(BUSY), Close]),
    script("slow", &[ReadBody, Pause(300), Send(OK)]),
    script("hang", &[Hang]),
    script(
        "hang-in-body",
        &[ReadBody, Send(b"HTTP/1.1 503 X\r\ncontent-length: 10\r\n\r\n1"), Hang],
    ),
    // More answers than were asked for.
    script(
        "informational",
        &[
            ReadBody,
            Send(b"HTTP/1.1 100 Continue\r\n\r\n"),
            Repeat(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", 20),
            Send(b"HTTP/1.1 102 Processing\r\n\r\n"),
            Send(BUSY),
        ],
    ),
    script(
        "informational-only",
        &[Repeat(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", 200), Close],
    ),
    script("switch", &[Send(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"), Send(OK), Close]),
    script("two-answers", &[ReadBody, Send(OK), Send(BUSY), Close]),
    script("answer-before-the-next", &[ReadBody, Send(OK), Pause(2), Send(BUSY)]),
    // Without an end.
    script(
        "endless",
        &[ReadBody, Send(b"HTTP/1.1 500 X\r\ntransfer-encoding: chunked\r\n\r\n"), Endless(CHUNK)],
    ),
    script("endless-until-close", &[ReadBody, Send(b"HTTP/1.1 503 X\r\n\r\n"), Endless(b"more and more and more ")]),
    script("endless-headers", &[ReadBody, Send(b"HTTP/1.1 503 X\r\n"), Endless(b"x-more: and more\r\n")]),
    script("huge-body", &[ReadBody, Send(b"HTTP/1.1 500 X\r\ncontent-length: 1048576\r\n\r\n"), Repeat(b"0123456789abcdef", 65_536)]),
    // Lies about lengths.
    script("longer-than-said", &[ReadBody, Send(b"HTTP/1.1 500 X\r\ncontent-length: 2\r\n\r\nlonger than said"), Close]),
    script("shorter-than-said", &[ReadBody, Send(b"HTTP/1.1 500 X\r\ncontent-length: 60000\r\n\r\nshort"), Close]),
    script("two-lengths", &[ReadBody, Send(b"HTTP/1.1 500 X\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc"), Close]),
    script("negative-length", &[ReadBody, Send(b"HTTP/1.1 500 X\r\ncontent-length: -1\r\n\r\n"), Close]),
    script("vast-length", &[ReadBody, Send(b"HTTP/1.1 500 X\r\ncontent-length: 18446744073709551616\r\n\r\n"), Close]),
    script("length-and-chunks", &[ReadBody, Send(b"HTTP/1.1 500 X\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), Close]),
    script("wrong-chunks", &[ReadBody, Send(b"HTTP/1.1 500 X\r\ntransfer-encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n"), Close]),
    script("body-of-204", &[ReadBody, Send(b"HTTP/1.1 204 X\r\ncontent-length: 5\r\n\r\nabcde"), Close]),
    script("body-of-304", &[ReadBody, Send(b"HTTP/1.1 304 X\r\ncontent-length: 5\r\n\r\nabcde"), Close]),
    // Headers.
    script("any-bytes", &[ReadBody, Send(b"HTTP/1.1 500 X\xff\r\nx-\xa1: \xfe\xff\r\ncontent-type: \xc3\x28\r\nx-tab: \t\r\ncontent-length: 1\r\n\r\n\x00")]),
    script("control-bytes", &[ReadBody, Send(b"HTTP/1.1 500 X\r\nx: a\x00b\x01\r\ncontent-length: 0\r\n\r\n"), Close]),
    script("huge-header", &[ReadBody, Send(b"HTTP/1.1 500 X\r\nx-huge: "), Repeat(b"0123456789abcdef", 3_600), Send(b"\r\ncontent-length: 0\r\n\r\n")]),
    script("too-huge-header", &[ReadBody, Send(b"HTTP/1.1 500 X\r\nx-huge: "), Repeat(b"0123456789abcdef", 6_000), Send(b"\r\ncontent-length: 0\r\n\r\n"), Close]),
    script("many-headers", &[ReadBody, Send(b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n"), Repeat(b"x-same: value\r\n", 95), Send(b"\r\n")]),
    script("too-many-headers", &[ReadBody, Send(b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n"), Repeat(b"x-same: value\r\n", 300), Send(b"\r\n"), Close]),
    script("our-own-headers", &[ReadBody, Send(b"HTTP/1.1 503 X\r\nx-envoy-ratelimited: true\r\nx-btp-retry-budget: exhausted\r\nx-envoy-attempt-count: 4294967296\r\nretry-after: -1\r\nx-ratelimit-limit: \xff\r\ncontent-length: 0\r\n\r\n")]),
    script("grpc-trailers-only", &[ReadBody, Send(b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 14\r\ngrpc-message: %00%ff%\r\ncontent-length: 0\r\n\r\n")]),
    script("wrong-grpc-status", &[ReadBody, Send(b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 99999999999999999999\r\ncontent-length: 0\r\n\r\n")]),
    script("trailers", &[ReadBody, Send(b"HTTP/1.1 500 X\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n1\r\na\r\n0\r\nx: \xff\r\ngrpc-status: 3\r\n\r\n")]),
    // Hardly HTTP.
    script("http10", &[ReadBody, Send(b"HTTP/1.0 500 X\r\n\r\nuntil the end"), Close]),
    script("http09", &[ReadBody, Send(b"no head at all"), Close]),
    script("status-999", &[ReadBody, Send(b"HTTP/1.1 999 X\r\ncontent-length: 0\r\n\r\n"), Close]),
    script("status-0", &[ReadBody, Send(b"HTTP/1.1 000 X\r\ncontent-length: 0\r\n\r\n"), Close]),
    script("garbage", &[ReadBody, Send(b"\x00\x01\x02\xff\xfe\r\n\r\n\r\n"), Close]),
    script("http2", &[ReadBody, Send(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"), Close]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_different_and_found() {
        let names: BTreeSet<_> = SCRIPTS.iter().map(|script| script.name).collect();
        assert_eq!(names.len(), SCRIPTS.len());
        assert_eq!(named("garbage").name, "garbage");
        assert_eq!(named("").name, "ok");
    }
}
