//! HTTP/2 frames (RFC 9113) as bytes: written whatever they say, and read as
//! far as type, flags and stream.

/// What a client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes in front of a payload.
pub const HEAD: usize = 9;
/// The largest payload that a peer takes by default.
pub const LARGEST: usize = 16_384;

/// Types of frames.
pub mod kind {
    /// A part of a body.
    pub const DATA: u8 = 0;
    /// Headers or trailers.
    pub const HEADERS: u8 = 1;
    /// Advice that nobody heeds.
    pub const PRIORITY: u8 = 2;
    /// The end of a stream.
    pub const RST_STREAM: u8 = 3;
    /// Parameters.
    pub const SETTINGS: u8 = 4;
    /// A response unasked for.
    pub const PUSH_PROMISE: u8 = 5;
    /// Are you there?
    pub const PING: u8 = 6;
    /// The end of a connection.
    pub const GOAWAY: u8 = 7;
    /// Leave to send more.
    pub const WINDOW_UPDATE: u8 = 8;
    /// More headers.
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub mod flag {
    /// Nothing follows on this stream; of SETTINGS and PING: the answer to one.
    pub const END_STREAM: u8 = 1;
    /// The answer to SETTINGS or PING.
    pub const ACK: u8 = 1;
    /// No CONTINUATION follows.
    pub const END_HEADERS: u8 = 4;
}

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream, 0 for the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Whether it ends its stream.
    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & flag::END_STREAM != 0
    }

    /// Takes the first frame off what was read, if it is there as a whole.
    pub fn take(unread: &mut Vec<u8>) -> Option<Self> {
        let [a, b, c, kind, flags, s, t, u, v, ..] = unread[..] else {
            return None;
        };
        let end = HEAD + u32::from_be_bytes([0, a, b, c]) as usize;
        let payload = unread.get(HEAD..end)?.to_vec();
        unread.drain(..end);
        let stream = u32::from_be_bytes([s & 0x7f, t, u, v]);
        Some(Self {
            kind,
            flags,
            stream,
            payload,
        })
    }
}

/// Writes a frame, whatever it says.
pub fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Writes a block of headers, in CONTINUATION where it is long.
pub fn put_headers(out: &mut Vec<u8>, stream: u32, block: &[u8], end: bool) {
    let mut rest = block;
    let mut kind = kind::HEADERS;
    let mut flags = if end { flag::END_STREAM } else { 0 };
    while rest.len() > LARGEST {
        let (first, more) = rest.split_at(LARGEST);
        put(out, kind, flags, stream, first);
        (rest, kind, flags) = (more, kind::CONTINUATION, 0);
    }
    put(out, kind, flags | flag::END_HEADERS, stream, rest);
}

/// Writes a body, in as many frames as it takes.
pub fn put_data(out: &mut Vec<u8>, stream: u32, body: &[u8], end: bool) {
    let mut rest = body;
    while rest.len() > LARGEST {
        let (first, more) = rest.split_at(LARGEST);
        put(out, kind::DATA, 0, stream, first);
        rest = more;
    }
    let flags = if end { flag::END_STREAM } else { 0 };
    put(out, kind::DATA, flags, stream, rest);
}

/// Writes parameters.
pub fn put_settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    let mut payload = Vec::new();
    for (id, value) in settings {
        payload.extend_from_slice(&id.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    put(out, kind::SETTINGS, 0, 0, &payload);
}

/// Writes the end of a stream.
pub fn put_reset(out: &mut Vec<u8>, stream: u32, code: u32) {
    put(out, kind::RST_STREAM, 0, stream, &code.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        put_headers(&mut bytes, 3, &[7; LARGEST + 1], true);
        put_data(&mut bytes, 5, b"x", true);
        let first = Frame::take(&mut bytes).unwrap();
        assert_eq!((first.kind, first.flags, first.stream), (1, 1, 3));
        assert_eq!(first.payload.len(), LARGEST);
        let more = Frame::take(&mut bytes).unwrap();
        assert_eq!((more.kind, more.flags), (9, 4));
        assert_eq!(more.payload, [7]);
        let mut half = bytes[..9].to_vec();
        assert_eq!(Frame::take(&mut half), None);
        let data = Frame::take(&mut bytes).unwrap();
        assert!(data.ends_stream() && data.payload == b"x" && bytes.is_empty());
    }
}
