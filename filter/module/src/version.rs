//! Which build this is, for the log and for the module's file.

use btp_engine::Build;

/// The commit comes from `cargo xtask build`.
pub(crate) const BUILD: Build = Build {
    kind: "module",
    commit: option_env!("BTP_COMMIT"),
};
