//! Whether Envoy lets the filter make its hostcalls.
//!
//! `capability_restriction_config` denies what it does not list, and a denied
//! call is found out only when it is made: a request would wait for an answer
//! that cannot be sent, or pass without its policy. So each is tried when a
//! configuration is loaded, in a way that has no effect. Callbacks that are
//! not listed cannot be seen from here, as Envoy does not make them: `btp lint
//! --bootstrap` looks for those.

use crate::abi;

/// Makes sure that every hostcall is there, or names those that are not.
pub(crate) fn hostcalls() -> Result<(), String> {
    let is_denied = |(name, status): (&'static str, u32)| abi::is_denied(status).then_some(name);
    let denied: Vec<&str> = abi::tried().into_iter().filter_map(is_denied).collect();
    if denied.is_empty() {
        return Ok(());
    }
    Err(format!(
        "capability_restriction_config.allowed_capabilities lacks {}, which the filter needs: \
         list all capabilities in docs/reference/capabilities.md, or leave \
         capability_restriction_config out",
        denied.join(", ")
    ))
}
