//! `allowOnHeadersStopIteration`: whether Envoy lets the filter hold headers
//! while a body arrives.
//!
//! It repeats Envoy's own field of that name, which a plugin cannot read.
//! With the field off, a held request gets no body at all, so that buffering
//! one would wait for ever.

use crate::code::Code;
use crate::config::Enforce;
use crate::node::Mark;
use crate::path::Path;
use crate::policy::Policy;
use crate::problem::Problems;
use crate::read::{Cursor, Object};
use crate::spec::BufferMode;

/// Whether Envoy lets the filter hold a request's headers while its body arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldHeaders {
    /// As the configuration says: a WebAssembly plugin.
    AsConfigured,
    /// It always does: a dynamic module. The configuration may say whatever it likes.
    Always,
}

/// What the configuration says; off by default, as in Envoy.
pub(super) fn read(config: &Object<'_>, problems: &mut Problems) -> Option<bool> {
    config.or_default("allowOnHeadersStopIteration", problems, Cursor::boolean)
}

/// Refuses what cannot work without it.
pub(super) fn check(policies: &[Policy], enforce: Enforce, allowed: bool, problems: &mut Problems) {
    if allowed || !enforce.request_buffer {
        return;
    }
    let root = Path::Root;
    let list = Path::Field(&root, "policies");
    for (index, policy) in policies.iter().enumerate() {
        let buffer = policy.spec.request_buffer.as_ref();
        if buffer.is_some_and(|buffer| buffer.mode == BufferMode::Buffer) {
            let item = Path::Item(&list, index);
            let spec = Path::Field(&item, "spec");
            let field = Path::Field(&spec, "requestBuffer");
            problems.note(
                &Path::Field(&field, "mode"),
                Mark::UNKNOWN,
                Code::HeadersNotHeld,
                "is Buffer, which needs allow_on_headers_stop_iteration: true in Envoy's \
                 configuration of this filter (Envoy 1.40 or later), and \
                 allowOnHeadersStopIteration: true beside the policies; mode: Stream limits \
                 bodies without either",
            );
        }
    }
}
