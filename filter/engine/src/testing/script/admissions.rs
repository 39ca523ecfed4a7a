//! How many requests got through limits whose numbers are the same in all
//! configurations: never more than their buckets can have held.

use super::configs::{
    Compiled, TOTAL_BURST, TOTAL_INTERVAL_NS, USER_BURST, USER_INTERVAL_NS, Watched,
};
use super::view::Headers;

/// Plain values of `x-user`; scripts use others as well.
pub(super) const USERS: [&[u8]; 4] = [b"u0", b"u1", b"u2", b"u3"];

/// The admitted requests, in all and by user.
#[derive(Debug, Default)]
pub(super) struct Admissions {
    total: u64,
    users: [u64; USERS.len()],
}

impl Admissions {
    /// Notes what a request was counted by.
    pub(super) fn note(&mut self, config: &Compiled, counted: &[u32], request: &Headers) {
        for counter in counted {
            match config.watched.get(*counter as usize) {
                Some(Watched::Total) => self.total += 1,
                Some(Watched::PerUser) => self.note_user(request),
                Some(Watched::No) | None => {}
            }
        }
    }

    fn note_user(&mut self, request: &Headers) {
        let mut values = request.iter().filter(|(name, _)| name == b"x-user");
        // Several values are another client.
        let (Some((_, user)), None) = (values.next(), values.next()) else {
            return;
        };
        for (count, _) in (self.users.iter_mut().zip(USERS)).filter(|(_, it)| *it == *user) {
            *count += 1;
        }
    }

    /// Judges the counts after so many nanoseconds.
    pub(super) fn check(&self, elapsed_ns: u64) {
        let most = TOTAL_BURST + elapsed_ns.div_ceil(TOTAL_INTERVAL_NS);
        assert!(self.total <= most, "{} of {most} got through", self.total);
        let most = USER_BURST + elapsed_ns.div_ceil(USER_INTERVAL_NS);
        for (user, count) in USERS.iter().zip(self.users) {
            let user = String::from_utf8_lossy(user);
            assert!(count <= most, "{user}: {count} of {most} got through");
        }
    }
}
