//! Which build this is: what the log says of it, and the file of itself.

use btp_engine::Build;

/// The commit comes from `cargo xtask build`.
pub(crate) const BUILD: Build = Build {
    kind: "module",
    commit: option_env!("BTP_COMMIT"),
};
