//! `spec.requestBuffer`: the whole body first, up to a limit.

use crate::problem::Problems;
use crate::read::At;
use crate::scalar::Quantity;

/// `requestBuffer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestBuffer {
    /// The most bytes of a body; at least one, less than 4 Gi.
    pub limit: Quantity,
}

impl RequestBuffer {
    /// Reads `requestBuffer`. Envoy refuses a limit of zero, and counts in
    /// 32 bits.
    pub fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object(&["limit"], problems)?;
        let at = object.required("limit", problems)?;
        let limit = Quantity::read(at, problems)?;
        if !(1..=u64::from(u32::MAX)).contains(&limit.get()) {
            at.refuse(problems, "must be between 1 and 4294967295");
            return None;
        }
        Some(Self { limit })
    }
}
