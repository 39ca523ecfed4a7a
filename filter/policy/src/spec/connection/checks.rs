//! What Envoy refuses of a `connection`, tried on Envoy 1.40.

use crate::problem::Problems;
use crate::read::At;

pub(in crate::spec) fn predictive_percent(at: At<'_>, problems: &mut Problems) {
    at.integer(100..=300, problems);
}
