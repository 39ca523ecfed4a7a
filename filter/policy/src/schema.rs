//! The language of the tables: which fields an object has, what each may be, and
//! what must hold over several of them.
//!
//! The tables themselves lie beside the readers, in [`crate::spec`]. They say what
//! may be written: exactly what the CRD of Envoy Gateway v1.9 takes
//! ([`Profile::Crd`]), or that and our extensions.

#[cfg(feature = "schema")]
mod json_schema;
mod known;
pub(crate) mod shape;
#[cfg(feature = "schema")]
mod walk;

#[cfg(feature = "schema")]
pub use json_schema::{ADDRESS, Head, document};
pub use shape::{Check, Field, Form, Object, Rule, Shape};
#[cfg(feature = "schema")]
pub use walk::{Profile, check, check_fields};
#[cfg(feature = "schema")]
pub(crate) use walk::{check_further, check_rules};
