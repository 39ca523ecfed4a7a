//! What `btp` does, for other programs: the translation of policies into
//! Envoy's configuration.

pub mod translate;
