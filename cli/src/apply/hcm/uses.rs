//! What a policy goes by that the connection manager must see to.

use btp_policy::spec::{
    FaultInjection, Instead, LocalRateLimit, Sampling, SamplingKey, Selector, Spec,
};

/// Something that holds only if Envoy is set up for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    /// The client's address.
    Address,
    /// The path.
    Path,
    /// Places that requests in flight hold.
    Places,
    /// A redirect to the host that the request names, whichever that is.
    Echo,
}

/// What `spec` goes by, each with the first field that does; every redirect.
pub(super) fn uses(spec: &Spec) -> Vec<(Use, String)> {
    let mut found = Found(Vec::new());
    if let Some(fault) = &spec.fault_injection {
        found.in_fault(fault);
    }
    if let Some(local) = spec.rate_limit.as_ref().and_then(|it| it.local.as_ref()) {
        found.in_limits(local);
    }
    if let Some(buffer) = &spec.request_buffer {
        for (index, rule) in buffer.rules.iter().enumerate() {
            found.in_any(
                &rule.matches,
                &format!("requestBuffer.rules[{index}].match"),
            );
        }
    }
    for (index, rule) in spec.response_override.iter().enumerate() {
        let path = format!("responseOverride[{index}]");
        found.in_any(&rule.matching.requests, &format!("{path}.match.requests"));
        if let Instead::Redirect(redirect) = &rule.instead
            && redirect.echoes_host()
            && redirect.hosts.is_empty()
        {
            found.0.push((Use::Echo, format!("spec.{path}.redirect")));
        }
    }
    found.0
}

struct Found(Vec<(Use, String)>);

impl Found {
    fn add(&mut self, kind: Use, path: &str) {
        if !self.0.iter().any(|(other, _)| *other == kind) {
            self.0.push((kind, format!("spec.{path}")));
        }
    }

    fn in_fault(&mut self, fault: &FaultInjection) {
        self.in_any(&fault.matches, "faultInjection.match");
        if let Sampling::Sticky {
            key: SamplingKey::SourceIp,
            ..
        } = fault.sampling
        {
            self.add(Use::Address, "faultInjection.sampling");
        }
    }

    fn in_limits(&mut self, local: &LocalRateLimit) {
        if local.disabled {
            return;
        }
        self.in_any(&local.exempt, "rateLimit.local.exempt");
        for rule in &local.rules {
            let path = format!("rateLimit.local.rules[{}]", rule.index);
            self.in_selector(&rule.selector, &format!("{path}.clientSelectors"));
            if rule.concurrency.is_some() {
                self.add(Use::Places, &format!("{path}.concurrency"));
            }
        }
    }

    fn in_any(&mut self, selectors: &[Selector], path: &str) {
        for (index, selector) in selectors.iter().enumerate() {
            self.in_selector(selector, &format!("{path}[{index}]"));
        }
    }

    fn in_selector(&mut self, selector: &Selector, path: &str) {
        if !selector.sources.is_empty() {
            self.add(Use::Address, path);
        }
        if !selector.paths.is_empty() {
            self.add(Use::Path, path);
        }
    }
}
