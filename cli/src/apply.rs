//! Puts policies into force in a person's own Envoy configuration.
//!
//! The additions of an earlier run are removed, the policies are attached to the existing
//! routes, and each field goes to its destination: the filter or Envoy's own configuration.

pub(crate) mod attach;
pub(crate) mod buffers;
pub(crate) mod effective;
mod filter;
pub(crate) mod hcm;
mod journal;
pub(crate) mod known_routes;
mod missing;
mod needs;
pub(crate) mod options;
mod order;
pub(crate) mod overlap;
pub(crate) mod placement;
pub(crate) mod plan;
mod redirects;
pub(crate) mod selectors;
pub(crate) mod services;
pub(crate) mod standing;
pub(crate) mod status;
pub(crate) mod targets;
pub(crate) mod unwise;
mod uses;
