//! Instances of the filter that stand in front of filters which must come
//! first: nothing fails then, but replies lack headers, probes are limited,
//! and conditions see what nobody has written yet.

use btp_policy::PluginConfig;
use btp_policy::node::Node;
use btp_policy::spec::{Capability, LocalRateLimit, RequestBuffer, Selector, Spec};

use super::{Hint, Hints};
use crate::envoy::files::Config;
use crate::envoy::http_filter::{Kind, kind_of};
use crate::envoy::model::Model;
use crate::envoy::plugin::{configuration_of, is_instance};
use crate::envoy::tree::{items, text};

/// What an instance does, as far as its place matters.
struct Does {
    /// It may answer a request by itself.
    answers: bool,
    /// It limits requests.
    limits: bool,
    /// The first condition of its limits that reads what others write.
    reads: Option<String>,
}

/// What is unwise about the places of the instances in a configuration.
pub(crate) fn hints_of_places(config: &Config, model: &Model) -> Vec<Hint> {
    let mut hints = Hints::new(config);
    for manager in &model.managers {
        let Some(hcm) = config.at(&manager.address) else {
            continue;
        };
        let filters = items(hcm, "http_filters");
        let list = manager.address.key("http_filters");
        for (place, filter) in filters.iter().enumerate() {
            let Some(plugin) = configuration_of(filter) else {
                continue;
            };
            let does = Does::of(&plugin);
            for reason in does.reasons(&filters[place + 1..]) {
                hints.say(&list.item(place), reason);
            }
        }
    }
    hints.found
}

impl Does {
    fn of(plugin: &PluginConfig) -> Self {
        let specs = plugin.policies.iter().map(|it| (&it.name, &it.spec));
        let has = |capability| plugin.enforce.has(capability);
        let limited = |spec: &Spec| {
            let local = local(spec).is_some_and(|it| !it.rules.is_empty());
            (has(Capability::RateLimit) && local)
                || (has(Capability::RequestBuffer) && spec.request_buffer.is_some())
        };
        let faulty =
            |spec: &Spec| has(Capability::FaultInjection) && spec.fault_injection.is_some();
        let limits = specs.clone().any(|(_, spec)| limited(spec));
        let reads = specs.clone().find_map(|(name, spec)| {
            let rates = local(spec).filter(|_| has(Capability::RateLimit));
            let sizes = spec.request_buffer.as_ref();
            let sizes = sizes.filter(|_| has(Capability::RequestBuffer));
            let path = rates.and_then(in_rates).or_else(|| in_sizes(sizes?))?;
            Some(format!("{name} (spec.{path})"))
        });
        Self {
            answers: limits || specs.clone().any(|(_, spec)| faulty(spec)),
            limits,
            reads,
        }
    }

    /// What is unwise with these filters behind.
    fn reasons(&self, behind: &[Node]) -> Vec<String> {
        let named = |kind: Kind| {
            let found = behind
                .iter()
                .filter(|it| kind_of(it) == kind && !is_instance(it));
            let names: Vec<&str> = found.filter_map(|it| text(it, "name")).collect();
            (!names.is_empty()).then(|| names.join(", "))
        };
        let mut reasons = Vec::new();
        if self.answers
            && let Some(names) = named(Kind::Probe)
        {
            reasons.push(format!(
                "stands in front of {names}, so that health checks meet its limits and faults: put \
                 it behind"
            ));
        }
        if self.limits
            && let Some(names) = named(Kind::Cors)
        {
            reasons.push(format!(
                "stands in front of {names}, so that preflights are limited and replies to \
                 browsers lack the CORS headers: put what limits behind"
            ));
        }
        if let Some(policy) = &self.reads
            && let Some(names) = named(Kind::Writes)
        {
            reasons.push(format!(
                "stands in front of {names}: policy {policy} does not see the headers and the \
                 metadata that are written there; put what limits behind"
            ));
        }
        reasons
    }
}

fn local(spec: &Spec) -> Option<&LocalRateLimit> {
    let local = spec.rate_limit.as_ref()?.local.as_ref()?;
    (!local.disabled).then_some(local)
}

/// Where a rate limit reads headers or metadata.
fn in_rates(local: &LocalRateLimit) -> Option<String> {
    if local.exempt.iter().any(reads) {
        return Some("rateLimit.local.exempt".to_owned());
    }
    let rule = local.rules.iter().find(|it| reads(&it.selector))?;
    let index = rule.index;
    Some(format!("rateLimit.local.rules[{index}].clientSelectors"))
}

/// Where a limit of bodies does.
fn in_sizes(buffer: &RequestBuffer) -> Option<String> {
    let mut rules = buffer.rules.iter();
    let index = rules.position(|it| it.matches.iter().any(reads))?;
    Some(format!("requestBuffer.rules[{index}].match"))
}

fn reads(selector: &Selector) -> bool {
    !selector.headers.is_empty() || !selector.metadata.is_empty()
}
