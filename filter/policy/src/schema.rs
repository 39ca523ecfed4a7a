//! The schema of `spec`: every field of the API with its bounds, as a table.
//!
//! The table says what may be written. It decides exactly as the CRD of
//! Envoy Gateway v1.9 does ([`Profile::Crd`]), it checks the fields that
//! Envoy enforces itself, whose types the filter does not carry, and the
//! JSON Schema of the plugin configuration is made from it.

mod backends;
mod envoy;
mod faults;
mod health;
mod json_schema;
mod limits;
mod load_balancing;
mod native;
mod overrides;
mod shape;
mod spec;
mod targets;
mod telemetry;
mod upstream;
mod walk;

pub use json_schema::json_schema;
pub use native::check_native;
pub use shape::{Field, Form, Object, Rule, Shape};
pub use spec::SPEC;
pub use walk::{Profile, check, check_fields};

use crate::problem::Problems;
use crate::read::At;

/// One check of a value beyond its shape.
type Check = fn(At<'_>, &mut Problems);

/// Notes everything for which the CRD would refuse a `spec`.
pub fn check_crd(spec: At<'_>, problems: &mut Problems) {
    check(spec, &Shape::Object(&SPEC), Profile::Crd, problems);
    walk::check_rules(spec, &spec::CRD_ONLY, problems);
}

#[cfg(test)]
mod tests;
