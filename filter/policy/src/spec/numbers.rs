//! Ranges of numbers that Envoy has and the API does not.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::At;
use crate::scalar::{Duration, Quantity};
use crate::schema::Check;

pub(in crate::spec) const BYTES: Check =
    |at, problems| quantity(at, 0, u64::from(u32::MAX), problems);
pub(in crate::spec) const WINDOW: Check =
    |at, problems| quantity(at, 65_535, 2_147_483_647, problems);
pub(in crate::spec) const UINT32_CHECK: Check =
    |at, problems| integer(at, 0, i64::from(u32::MAX), problems);
pub(in crate::spec) const WEIGHT: Check =
    |at, problems| integer(at, 1, i64::from(u32::MAX), problems);
pub(in crate::spec) const POSITIVE: Check = |at, problems| {
    Duration::read_positive(at, problems);
};

fn integer(at: At<'_>, least: i64, most: i64, problems: &mut Problems) {
    at.integer(least..=most, problems);
}

fn quantity(at: At<'_>, least: u64, most: u64, problems: &mut Problems) {
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
