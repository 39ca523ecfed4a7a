//! As much of HPACK (RFC 7541) as a liar needs: every field is written as a
//! literal without indexing, so that any bytes can be sent, and of a response
//! the status is read, which comes first. [`super::h2`] allows its peer no
//! dynamic table.

/// A header field.
pub type Field<'a> = (&'a [u8], &'a [u8]);

/// The fields as one block.
pub fn encode(fields: &[Field<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(&mut block, name);
        string(&mut block, value);
    }
    block
}

/// The status that a response's block begins with.
pub fn status(mut block: &[u8]) -> Option<u16> {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // Updates of the table's size.
    while let [first, rest @ ..] = block
        && first >> 5 == 1
    {
        block = rest;
        if first & 0x1f == 0x1f {
            let end = block.iter().position(|byte| byte & 0x80 == 0)?;
            block = &block[end + 1..];
        }
    }
    let [first, rest @ ..] = block else {
        return None;
    };
    match first {
        0x88..=0x8e => Some(INDEXED[usize::from(first - 0x88)]),
        // Literals whose name is :status.
        0x08 | 0x18 | 0x48..=0x4e => {
            let [length, rest @ ..] = rest else {
                return None;
            };
            let text = rest.get(..usize::from(length & 0x7f))?;
            if length & 0x80 == 0 {
                std::str::from_utf8(text).ok()?.parse().ok()
            } else {
                digits(text)
            }
        }
        _ => None,
    }
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    integer(block, text.len());
    block.extend_from_slice(text);
}

/// A length in seven bits and as many further bytes as it takes.
fn integer(block: &mut Vec<u8>, mut value: usize) {
    if value < 0x7f {
        block.push(value as u8);
        return;
    }
    block.push(0x7f);
    value -= 0x7f;
    while value >= 0x80 {
        block.push(value as u8 | 0x80);
        value >>= 7;
    }
    block.push(value as u8);
}

/// Three digits in Huffman's code: 0 to 2 have five bits, the others six.
fn digits(text: &[u8]) -> Option<u16> {
    let bits = |from: usize, count: usize| {
        (from..from + count).try_fold(0, |bits, index| {
            let byte = text.get(index / 8)?;
            Some(bits << 1 | (byte >> (7 - index % 8) & 1))
        })
    };
    let (mut status, mut at) = (0, 0);
    for _ in 0..3 {
        let digit = match bits(at, 5)? {
            short @ 0..=2 => {
                at += 5;
                short
            }
            _ => {
                let long = bits(at, 6)?;
                at += 6;
                (0x19..=0x1f).contains(&long).then(|| long - 0x19 + 3)?
            }
        };
        status = status * 10 + u16::from(digit);
    }
    Some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_literals_whatever_their_length() {
        assert_eq!(encode(&[(b"a", b"bc")]), b"\x00\x01a\x02bc");
        let long = encode(&[(b"", &[b'x'; 300])]);
        assert_eq!(long[..5], [0, 0, 0x7f, 0xad, 0x01]);
        assert_eq!(long.len(), 5 + 300);
    }

    #[test]
    fn a_status_is_read_in_every_form() {
        assert_eq!(status(&[0x88]), Some(200));
        assert_eq!(status(&[0x20, 0x8d]), Some(404));
        assert_eq!(status(&[0x3f, 0xe1, 0x1f, 0x8e]), Some(500));
        assert_eq!(status(b"\x08\x03429"), Some(429));
        // 302 and 307, as RFC 7541 (C.6) has them.
        assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
        assert_eq!(status(&[0x48, 0x83, 0x64, 0x0e, 0xff]), Some(307));
        assert_eq!(status(&[]), None);
        assert_eq!(status(&[0x48, 0x83, 0x64]), None);
    }
}
