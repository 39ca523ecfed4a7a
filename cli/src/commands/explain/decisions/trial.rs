//! The engine itself, with one policy and the request to explain, on a proxy in memory.

use std::time::{SystemTime, UNIX_EPOCH};

use btp_engine::Plan;
use btp_engine::testing::{Message, Outcome, Proxy};
use btp_policy::attach::{Attachments, Environment};
use btp_policy::config::{Enforce, Footprint, Limits, NativeFields};
use btp_policy::spec::Spec;
use btp_policy::{PluginConfig, Policy, Position};

use super::asked::Asked;

/// What is tried: a policy that governs, and the request.
#[derive(Clone, Copy)]
pub(super) struct Trial<'a> {
    pub(super) policy: &'a Policy,
    pub(super) asked: &'a Asked,
}

/// The default status of an upstream's response.
const OK: u16 = 200;

/// How often a request is sent to find out how many pass.
pub(super) const MOST: usize = 20_000;

impl Trial<'_> {
    /// A proxy with this much of the policy, and with its overrides where the filter's own
    /// replies may be overridden.
    pub(super) fn proxy(&self, spec: Spec, position: Position) -> Proxy {
        let overrides = self.policy.spec.response_override.clone();
        let spec = match position {
            Position::Downstream => Spec {
                response_override: overrides,
                ..spec
            },
            Position::Upstream => spec,
        };
        let policy = Policy {
            targets: Vec::new(),
            selectors: Vec::new(),
            merge: None,
            spec,
            ..self.policy.clone()
        };
        let policies = vec![policy];
        let mut proxy = Proxy::new(Plan::compile(PluginConfig {
            attachments: Attachments::resolve(&policies, &Environment::default()),
            policies,
            disabled: false,
            access_log: false,
            position,
            enforce: Enforce::ALL,
            native_fields: NativeFields::Applied,
            limits: Limits::default(),
            footprint: Footprint::default(),
            warnings: Vec::new(),
        }));
        proxy.host.source = self.asked.source;
        proxy.host.protocol = Some("HTTP/1.1");
        proxy.host.wall_ms = wall_ms();
        proxy.host.attempts = u32::from(position == Position::Upstream);
        proxy
    }

    /// Sends the request once; an upstream answers 200.
    pub(super) fn send(&self, proxy: &mut Proxy) -> Outcome {
        self.send_for(proxy, OK, "via_upstream")
    }

    /// Sends it once, and this is the response before the filter has seen it.
    pub(super) fn send_for(
        &self,
        proxy: &mut Proxy,
        status: u16,
        details: &'static str,
    ) -> Outcome {
        proxy.exchange(None, &self.asked.message(), |_| {
            (Message::response(status, &[], b""), details)
        })
    }

    /// How many of such requests pass in one moment before one is refused, and what that
    /// gets; `None`: none of very many was.
    pub(super) fn until_refused(&self, spec: Spec) -> Option<(usize, Outcome)> {
        let mut proxy = self.proxy(spec, Position::Downstream);
        let now = proxy.host.now_ns;
        for passed in 0..MOST {
            let outcome = self.send(&mut proxy);
            if outcome.upstream_requests == 0 {
                return Some((passed, outcome));
            }
            // Who was queued has waited.
            proxy.host.now_ns = now;
        }
        None
    }
}

/// Milliseconds since 1970.
pub(super) fn wall_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX))
}
