//! Characters and values that a cookie, or Envoy's settings of one, cannot contain.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::Duration;

const NANOS: u64 = 1_000_000_000;

pub(in crate::spec) fn absolute_timeout(at: Cursor<'_>, problems: &mut Problems) {
    let Some(timeout) = Duration::read(at, problems) else {
        return;
    };
    if timeout.as_nanos() == 0 || timeout.as_nanos() % NANOS != 0 {
        at.refuse(
            problems,
            Code::PartOfSecond,
            "must be whole seconds, 1s or more, as Max-Age of a cookie has them",
        );
    }
}

/// It is written into `Set-Cookie` as it stands.
pub(in crate::spec) fn cookie_path(at: Cursor<'_>, problems: &mut Problems) {
    let is_fine = |it: u8| it.is_ascii_graphic() && it != b';';
    if at
        .string(problems)
        .is_some_and(|path| !path.starts_with('/') || !path.bytes().all(is_fine))
    {
        at.refuse(
            problems,
            Code::MalformedCookie,
            "must be a path: / and visible ASCII characters without ;",
        );
    }
}
