//! Ranges of numbers that Envoy has and the API does not.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::Quantity;
use crate::schema::Check;

pub(in crate::spec) const BYTES: Check =
    |at, problems| quantity(at, 0, u64::from(u32::MAX), problems);
/// The sizes that the operating system accepts for a socket's buffer.
pub(in crate::spec) const SOCKET_BUFFER: Check =
    |at, problems| quantity(at, 1, 2_147_483_647, problems);
pub(in crate::spec) const WINDOW: Check =
    |at, problems| quantity(at, 65_535, 2_147_483_647, problems);

fn quantity(at: Cursor<'_>, least: u64, most: u64, problems: &mut Problems) {
    if let Some(quantity) = Quantity::read(at, problems)
        && !(least..=most).contains(&quantity.get())
    {
        at.refuse(
            problems,
            Code::QuantityOutOfBounds,
            format!("must be between {least} and {most}"),
        );
    }
}
