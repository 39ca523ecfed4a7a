//! `headerControl`: faults that a request's headers request, within bounds.
//!
//! The headers are those of Envoy's fault filter (`x-envoy-fault-…`).

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::{Duration, Ppm};

/// What a request may request; at least one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderControl {
    /// The longest delay, and the largest share of requests with it.
    pub delay: Option<(Duration, Ppm)>,
    /// The largest share of requests that are aborted.
    pub abort: Option<Ppm>,
}

impl HeaderControl {
    pub(super) fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&super::schema::HEADER_CONTROL, problems)?;
        if !object.has("delay") && !object.has("abort") {
            at.refuse(
                problems,
                Code::NoneOfFields,
                "must have delay, abort or both",
            );
        }
        let delay = object.optional("delay", problems, |at, problems| {
            let object = at.object_of(&super::schema::DELAY_CONTROL, problems)?;
            let longest = object
                .required("max", problems)
                .and_then(|at| Duration::read_positive(at, problems));
            let share = super::read_share(&object, problems);
            Some((longest?, share?))
        });
        let abort = object.optional("abort", problems, |at, problems| {
            let object = at.object_of(&super::schema::ABORT_CONTROL, problems)?;
            super::read_share(&object, problems)
        });
        Some(Self {
            delay: delay?,
            abort: abort?,
        })
    }
}
