//! The exchanges of this VM, by Envoy's number, in room that is used again.
//!
//! An exchange is large: in the table itself it would be copied on its way in and on
//! its way out, and each copy of this size is a call out of the VM's code.

use hashbrown::HashMap;

use crate::stream::Stream;

/// Room for an exchange, and the exchange that is in it.
type Room = Box<Option<Stream>>;

/// The exchanges that are not forgotten yet.
#[derive(Default)]
pub(crate) struct Streams {
    by_context: HashMap<u32, Room>,
    free: Vec<Room>,
}

/// The most room that is kept for exchanges to come. What a burst has taken beyond that
/// goes back to the allocator when its exchanges end.
const KEPT: usize = 256;

impl Streams {
    /// An exchange begins; `begin` makes it where it stays.
    #[inline]
    pub(crate) fn begin(&mut self, context: u32, begin: impl FnOnce() -> Stream) {
        let mut room = self.free.pop().unwrap_or_default();
        *room = Some(begin());
        if let Some(before) = self.by_context.insert(context, room) {
            self.give_back(before);
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, context: u32) -> Option<&mut Stream> {
        self.by_context.get_mut(&context)?.as_mut().as_mut()
    }

    /// Forgets an exchange, after it has done `last`; `None` if there is none.
    #[inline]
    pub(crate) fn end<R>(
        &mut self,
        context: u32,
        last: impl FnOnce(&mut Stream) -> R,
    ) -> Option<R> {
        let mut room = self.by_context.remove(&context)?;
        let result = room.as_mut().as_mut().map(last);
        self.give_back(room);
        result
    }

    fn give_back(&mut self, mut room: Room) {
        // What it holds is dropped now, not when the room is used again.
        *room = None;
        if self.free.len() < KEPT {
            self.free.push(room);
        }
    }
}
