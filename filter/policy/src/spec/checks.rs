//! The fields that Envoy enforces itself: their table, and what the CRD
//! lets through and Envoy Gateway or Envoy refuses later.

use super::rate_limit::GlobalRule;
use super::rate_limit::schema::GLOBAL;
use super::schema::{SPEC, owner_of};
use crate::owner::Owner;
use crate::path::Path;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::regex::Regexes;
use crate::schema::{Profile, Shape, check, check_fields, check_further, check_rules};

/// Notes everything that is wrong with the native fields of a `spec`.
pub fn check_native(spec: Cursor<'_>, problems: &mut Problems) {
    let native = |name: &str| owner_of(name).is_some_and(Owner::is_native);
    check_fields(spec, &SPEC, Profile::Btp, |it| native(it.name), problems);
    check_rules(spec, &SPEC, problems);
    check_global_limits(spec, problems);
}

/// `rateLimit.global`, of which the CRD sees the shape only.
fn check_global_limits(spec: Cursor<'_>, problems: &mut Problems) {
    let Some(limits) = spec.node.field("rateLimit") else {
        return;
    };
    let Some(node) = limits.field("global") else {
        return;
    };
    let limits = Path::Field(&spec.path, "rateLimit");
    let path = Path::Field(&limits, "global");
    let at = Cursor { node, path };
    check(at, &Shape::Object(&GLOBAL), Profile::Btp, problems);
    let read = |at: Cursor<'_>, problems: &mut Problems| {
        GlobalRule::read_all(at, &Regexes::default(), problems);
    };
    check_further(at, read, problems);
}

#[cfg(test)]
mod tests;
