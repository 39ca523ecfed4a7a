//! How large a body Envoy holds of a request: what is larger is neither gathered by the
//! filter nor sent again by Envoy's router.

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
const USUAL: i64 = 1 << 20;

/// The bytes that Envoy holds of a request on this route, over HTTP/1.
pub(crate) fn held(route: Option<&Node>, listener: Option<&Node>) -> i64 {
    let number = |node: Option<&Node>, name| match field(node?, name)?.value {
        Value::Int(number) => Some(number),
        _ => None,
    };
    number(route, LIMIT)
        .or_else(|| number(listener, "per_connection_buffer_limit_bytes"))
        .unwrap_or(USUAL)
}

/// Policies that let pass larger bodies than Envoy holds, where the filter is set up.
/// Where it is not yet, `btp apply` sees to it.
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
            let held = held(config.at(&entry.address), config.at(&manager.listener));
            let held = u64::try_from(held).unwrap_or(0);
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
