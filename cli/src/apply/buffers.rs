//! How large a request body Envoy holds. The filter cannot buffer a larger one, and Envoy's
//! router cannot send it again.

use btp_policy::Code;
use btp_policy::node::{Node, Value};
use btp_policy::path::FieldPath;
use btp_policy::scalar::Quantity;

use super::effective::Effective;
use super::needs::Needs;
use super::unwise::Unwise;
use crate::envoy::files::Config;
use crate::envoy::model::Model;
use crate::envoy::plugin::build_in;
use crate::envoy::tree::field;

/// The field of a route.
pub(crate) const LIMIT: &str = "request_body_buffer_limit";
/// Envoy's `per_connection_buffer_limit_bytes`, where nothing else is said.
const USUAL: u64 = 1 << 20;

/// The bytes that Envoy holds of a request on this route, over HTTP/1, and what says so.
pub(crate) fn held(route: Option<&Node>, listener: Option<&Node>) -> (u64, &'static str) {
    let number = |node: Option<&Node>, name| match field(node?, name)?.value {
        Value::Int(number) => u64::try_from(number).ok(),
        _ => None,
    };
    if let Some(bytes) = number(route, LIMIT) {
        return (bytes, LIMIT);
    }
    match number(listener, "per_connection_buffer_limit_bytes") {
        Some(bytes) => (bytes, "per_connection_buffer_limit_bytes, over HTTP/1"),
        None => (USUAL, "Envoy's default over HTTP/1"),
    }
}

/// Policies that let pass larger bodies than Envoy holds, where the filter is set up.
/// Where it is not yet, `btp apply` changes it.
pub(crate) fn too_small(config: &Config, model: &Model, effective: &[Effective]) -> Vec<Unwise> {
    let mut found = Vec::new();
    for it in effective {
        let needs = Needs::of(&it.spec);
        let (Some(body), what) = (match needs.gathers {
            Some(body) => (Some(body), "buffers"),
            None => (needs.resends, "retries a request only if its body has"),
        }) else {
            continue;
        };
        let small = it.routes.iter().find_map(|(manager, id)| {
            let manager = &model.managers[*manager];
            build_in(config.at(&manager.address)?)?;
            let entry = model.route(*id);
            let (held, _) = held(config.at(&entry.address), config.at(&manager.listener));
            (held < body.bytes).then_some((entry.title(), held))
        });
        if let Some((route, held)) = small {
            let (most, held) = (Quantity::new(body.bytes), Quantity::new(held));
            found.push(Unwise {
                policy: it.policy,
                path: FieldPath::written(&format!("spec.{}", body.field)),
                code: Code::BodyAboveBuffer,
                reason: format!(
                    "lets bodies of {most} pass, but over HTTP/1 Envoy {what} at most {held} on \
                     route {route}: set its {LIMIT} to {}, as btp apply does",
                    body.bytes
                ),
            });
        }
    }
    found
}
