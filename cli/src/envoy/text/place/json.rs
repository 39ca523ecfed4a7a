//! The place of each value in a JSON text that has been read before.

use super::{Child, Children, Kind, Place};

/// The tree of places; `None` where the text is no JSON after all.
pub(crate) fn read(text: &str) -> Option<Place> {
    let mut scanner = Scanner {
        bytes: text.as_bytes(),
        at: 0,
    };
    scanner.value()
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn value(&mut self) -> Option<Place> {
        self.blanks();
        let start = self.at;
        let kind = match self.peek()? {
            b'{' => Kind::Map(self.children(b'}', true)?),
            b'[' => Kind::List(self.children(b']', false)?),
            b'"' => {
                self.string()?;
                Kind::Scalar
            }
            _ => {
                while let Some(byte) = self.peek() {
                    if b",]} \t\r\n".contains(&byte) {
                        break;
                    }
                    self.at += 1;
                }
                Kind::Scalar
            }
        };
        Some(Place {
            start,
            content: start,
            end: self.at,
            anchor: 0,
            is_tagged: false,
            kind,
        })
    }

    fn children(&mut self, close: u8, has_keys: bool) -> Option<Children> {
        let mut all = Vec::new();
        self.at += 1;
        loop {
            self.blanks();
            match self.peek()? {
                byte if byte == close => break,
                b',' => self.at += 1,
                _ => {
                    let start = self.at;
                    let mut from = start;
                    if has_keys {
                        self.string()?;
                        self.blanks();
                        self.at += 1;
                        from = self.at;
                    }
                    let place = self.value()?;
                    all.push(Child { start, from, place });
                }
            }
        }
        self.at += 1;
        Some(Children { is_flow: true, all })
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(())
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}
