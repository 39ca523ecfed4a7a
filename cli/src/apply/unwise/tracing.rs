//! `telemetry.tracing` without effect, which Envoy does not report: no provider in the
//! connection manager, or names for the spans of tries, which Envoy does not write.

use std::collections::BTreeSet;

use btp_policy::Code;
use btp_policy::node::{Node, Value};

use super::Unwise;
use crate::apply::effective::Effective;
use crate::envoy::files::Config;
use crate::envoy::model::Model;
use crate::envoy::tree::{field, find};

/// What has no effect, once for each listener: merged policies have the field, too.
pub(super) fn untraced(config: &Config, model: &Model, effective: &[Effective]) -> Vec<Unwise> {
    let mut found = Vec::new();
    for it in effective {
        let Some(wanted) = find(&it.spec, &["telemetry", "tracing"]) else {
            continue;
        };
        let managers: BTreeSet<usize> = it.routes.iter().map(|(manager, _)| *manager).collect();
        for manager in managers.into_iter().map(|it| &model.managers[it]) {
            let tracing = config
                .at(&manager.address)
                .and_then(|it| field(it, "tracing"));
            let listener = &manager.listener_name;
            let mut add = |path: &'static str, code, reason: String| {
                if found.iter().any(|known: &Unwise| known.reason == reason) {
                    return;
                }
                found.push(Unwise {
                    policy: it.policy,
                    path: path.into(),
                    code,
                    reason,
                });
            };
            if tracing.and_then(|it| field(it, "provider")).is_none() {
                let reason = format!(
                    "traces nothing on listener {listener}: its connection manager has no \
                     tracing.provider to send spans to"
                );
                add("spec.telemetry.tracing", Code::NothingTraced, reason);
            } else if find(wanted, &["spanName", "server"]).is_some()
                && !tracing.is_some_and(spawns_upstream_spans)
            {
                let reason = format!(
                    "has no effect on listener {listener}: its connection manager writes no spans \
                     for attempts; set tracing.spawn_upstream_span: true"
                );
                add(
                    "spec.telemetry.tracing.spanName.server",
                    Code::NoUpstreamSpan,
                    reason,
                );
            }
        }
    }
    found
}

/// The flag may be wrapped.
fn spawns_upstream_spans(tracing: &Node) -> bool {
    let flag = field(tracing, "spawn_upstream_span");
    let flag = flag.map(|it| field(it, "value").unwrap_or(it));
    flag.map(|it| &it.value) == Some(&Value::Bool(true))
}
