//! All headers of a message at once, borrowed from Envoy: reading one by its name costs
//! more than looking at all of them.

use std::fmt;

use super::callbacks;
use super::stream::Stream;
use super::types::{EnvoyHeader, Map};

/// Room for headers, to be used again, so that to look at them allocates nothing.
#[derive(Default)]
pub(crate) struct HeaderRoom(Vec<EnvoyHeader>);

/// The headers of a message, in their order, for as long as nothing changes them.
#[derive(Clone, Copy)]
pub(crate) struct Headers<'a>(&'a [EnvoyHeader]);

/// More are rare, and their room is given back.
const KEPT: usize = 256;

impl<'s> Stream<'s> {
    /// The headers of a map.
    pub(crate) fn headers<'a>(&'a self, map: Map, room: &'a mut HeaderRoom) -> Headers<'a> {
        let HeaderRoom(room) = room;
        room.clear();
        room.shrink_to(KEPT);
        let count = self.header_count(map);
        room.reserve(count);
        // SAFETY: the filter is alive during its hook; there is room for as many as
        // Envoy has just said, and nothing happens in between.
        let is_read = unsafe { callbacks::get_headers(self.envoy, map as u32, room.as_mut_ptr()) };
        if is_read {
            // SAFETY: Envoy has written so many.
            unsafe { room.set_len(count) }
        }
        Headers(room)
    }
}

impl<'a> Headers<'a> {
    /// No headers at all.
    pub(crate) const NONE: Self = Self(&[]);

    /// All of them: names in lower case, and values.
    pub(crate) fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        // SAFETY: Envoy has written them, and the stream is borrowed as long as `'a`, so
        // that nothing changes them.
        self.0.iter().map(|header| unsafe { header.pair() })
    }

    /// The values of a header.
    pub(crate) fn values(self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        // Nearly all names differ in their lengths.
        let long = move |it: &&EnvoyHeader| it.name_length() == name.len();
        // SAFETY: as for `iter`.
        let pairs = self.0.iter().filter(long).map(|it| unsafe { it.pair() });
        let named = pairs.filter(move |(it, _)| *it == name.as_bytes());
        named.map(|(_, value)| value)
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}
