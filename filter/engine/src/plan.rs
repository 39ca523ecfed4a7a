//! A configuration, worked out once so that a request only looks up.

use btp_policy::attach::Attachments;
use btp_policy::{PluginConfig, Policy};

use crate::counters::CounterNames;
use crate::fault::Fault;
use crate::response_override::Overrides;

/// All that the exchanges under one configuration share. Immutable.
#[derive(Debug)]
pub struct Plan {
    attachments: Attachments,
    policies: Vec<PolicyPlan>,
    counters: Vec<String>,
}

/// What one policy does.
#[derive(Debug)]
pub(crate) struct PolicyPlan {
    pub(crate) fault: Option<Fault>,
    pub(crate) overrides: Option<Overrides>,
}

impl Plan {
    /// Compiles a configuration.
    #[must_use]
    pub fn compile(config: PluginConfig) -> Self {
        let mut counters = CounterNames::default();
        let enforce = config.enforce;
        let compile = |policy: &Policy| {
            let spec = &policy.spec;
            let fault = spec.fault_injection.as_ref();
            let rules = &spec.response_override;
            PolicyPlan {
                fault: fault
                    .filter(|_| enforce.fault_injection)
                    .map(|fault| Fault::compile(&policy.name, fault, &mut counters)),
                overrides: enforce
                    .response_override
                    .then(|| Overrides::compile(&policy.name, rules, &mut counters))
                    .flatten(),
            }
        };
        if config.disabled {
            return Self {
                attachments: Attachments::default(),
                policies: Vec::new(),
                counters: Vec::new(),
            };
        }
        let policies = config.policies.iter().map(compile).collect();
        Self {
            attachments: config.attachments,
            policies,
            counters: counters.into_names(),
        }
    }

    /// Names of the counters; [`crate::CounterId`] is an index into these.
    #[must_use]
    pub fn counters(&self) -> &[String] {
        &self.counters
    }

    /// Whether which policy governs depends on the route.
    pub(crate) fn needs_route_name(&self) -> bool {
        self.attachments.needs_route_name()
    }

    /// The policy that governs requests on this route.
    pub(crate) fn governing(&self, route: Option<&[u8]>) -> Option<usize> {
        self.attachments.governing(route)
    }

    pub(crate) fn policy(&self, index: Option<usize>) -> Option<&PolicyPlan> {
        self.policies.get(index?)
    }
}

// Workers of a native host share one plan.
const _: () = {
    const fn shareable<T: Send + Sync>() {}
    shareable::<Plan>();
};
