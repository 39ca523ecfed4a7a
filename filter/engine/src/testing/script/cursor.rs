//! Reads a script: bytes that say what happens next. Whatever they are, they
//! mean something; behind the end everything is zero.

/// The unread rest of a script.
#[derive(Debug)]
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn new(script: &'a [u8]) -> Self {
        Self(script)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// A number below `bound`, or 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()).checked_rem(bound).unwrap_or(0)
    }

    /// One of these.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T], otherwise: T) -> T {
        let index = self.below(items.len());
        items.get(index).copied().unwrap_or(otherwise)
    }

    /// True once in so many times.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 1
    }

    /// Up to 15 bytes as they are.
    pub(super) fn bytes(&mut self) -> &'a [u8] {
        let size = self.below(16).min(self.0.len());
        let (bytes, rest) = self.0.split_at_checked(size).unwrap_or((self.0, &[]));
        self.0 = rest;
        bytes
    }
}
