//! What exchanges look like: some as clients send them, some as none does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cursor::Cursor;
use super::view::{Facts, Headers};

const ROUTES: [&[u8]; 8] = [
    b"all",
    b"all",
    b"all",
    b"reserve",
    b"rest",
    b"default/all/x",
    b"httproute/default/all/rule/0/match/0/x",
    b"//\xff/\0/",
];
const METHODS: [&[u8]; 6] = [b"GET", b"GET", b"POST", b"PUT", b"CONNECT", b"b\xff"];
const PATHS: [&[u8]; 6] = [
    b"/",
    b"/a?q=1",
    b"/<p>?q=%0d%0ax%00:%20y&q=2",
    b"?#%%%",
    b"/\xc3\x28\"\\",
    b"",
];
const HEADERS: [(&[u8], &[u8]); 16] = [
    (b"x-few", b"yes"),
    (b"x-few", b"yes"),
    (b"x-free", b"yes"),
    (b"x-user", b"u0"),
    (b"x-user", b"u1"),
    (b"x-user", b"u2"),
    (b"x-user", b"\xff\"<"),
    (b"content-type", b"application/grpc"),
    (b"content-length", b"400"),
    (b"content-length", b"99999999999999999999"),
    (b"upgrade", b"websocket"),
    (b"expect", b"100-continue"),
    (b"accept", b"application/json;q=0.5, */*;q=x"),
    (b"x-envoy-fault-delay-request", b"5"),
    (b"x-envoy-fault-abort-request", b"418"),
    (b"x-envoy-max-retries", b"9"),
];
const STATUSES: [&[u8]; 8] = [
    b"200", b"404", b"418", b"429", b"500", b"503", b"99999", b"\xff",
];
const ANSWERS: [(&[u8], &[u8]); 8] = [
    (b"content-length", b"5"),
    (b"content-length", b"99999999"),
    (b"content-type", b"application/grpc"),
    (b"grpc-status", b"14"),
    (b"grpc-status", b"\xff"),
    (b"x-envoy-ratelimited", b"true"),
    (b"x-a", b"\xc3\x28 <b>"),
    (b"retry-after", b"1"),
];

/// A request as the script says.
pub(super) fn of_request(cursor: &mut Cursor<'_>) -> Facts {
    let mut request: Headers = vec![
        field((b":method", cursor.pick(&METHODS, b"GET"))),
        field((b":path", cursor.pick(&PATHS, b"/"))),
        field((
            b":authority",
            cursor.pick(&[b"a:1", b"a@b", b"[::1"], b"a:1"),
        )),
        field((b":scheme", b"https")),
    ];
    headers(&mut request, &HEADERS, cursor);
    Facts {
        route: (!cursor.once_in(16)).then(|| cursor.pick(&ROUTES, b"all").to_vec()),
        resource: cursor.once_in(8).then(|| {
            let text = String::from_utf8_lossy(cursor.bytes()).into_owned();
            ["HTTPRoute".to_owned(), text, "all".to_owned()]
        }),
        request,
        metadata: cursor.bytes().to_vec(),
        cluster: (!cursor.once_in(8)).then(|| cursor.bytes().to_vec()),
        source: match cursor.below(4) {
            0 => None,
            1 => Some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            _ => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        },
        ..Facts::default()
    }
}

/// A response as the script says.
pub(super) fn respond(facts: &mut Facts, cursor: &mut Cursor<'_>) {
    facts.response = vec![field((b":status", cursor.pick(&STATUSES, b"200")))];
    facts.via_upstream = !cursor.once_in(4);
    headers(&mut facts.response, &ANSWERS, cursor);
}

/// One of many clients.
pub(super) fn of_crowd(client: usize) -> Facts {
    let name = format!("crowd {client}");
    of_client(&[(b"x-user", name.as_bytes())])
}

/// A client without a known limit, of the class with a reserve or of none.
pub(super) fn of_guest(is_first: bool) -> Facts {
    let both: [(&[u8], &[u8]); 2] = [(b"x-few", b"yes"), (b"x-user", b"u0")];
    of_client(if is_first { &both } else { &both[..1] })
}

fn of_client(extra: &[(&[u8], &[u8])]) -> Facts {
    let mut request = vec![field((b":method", b"GET")), field((b":path", b"/"))];
    request.extend(extra.iter().copied().map(field));
    Facts {
        route: Some(b"all".to_vec()),
        request,
        ..Facts::default()
    }
}

/// Up to three of the usual headers, and now and then any bytes at all.
fn headers(headers: &mut Headers, usual: &[(&[u8], &[u8])], cursor: &mut Cursor<'_>) {
    for _ in 0..cursor.below(4) {
        let picked = cursor.pick(usual, (b"x", b""));
        headers.push(field(picked));
    }
    if cursor.once_in(8) {
        let name = cursor.pick(&[b"x-user".as_slice(), b"accept", b"x-a"], b"x");
        headers.push((name.to_vec(), value(cursor)));
    }
}

/// Any bytes that a codec accepts in a value.
fn value(cursor: &mut Cursor<'_>) -> Vec<u8> {
    let mut bytes = cursor.bytes().to_vec();
    bytes.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
    bytes
}

fn field((name, value): (&[u8], &[u8])) -> (Vec<u8>, Vec<u8>) {
    (name.to_vec(), value.to_vec())
}
