//! What may be a `routingType`: the API has no list.

use crate::problem::Problems;
use crate::read::At;

pub(in crate::spec) fn routing_type(at: At<'_>, problems: &mut Problems) {
    at.choice(&[("Service", ()), ("Endpoint", ())], problems);
}
