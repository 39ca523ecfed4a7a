//! Instances of the filter in front of filters that must come first. Nothing fails then,
//! but replies lack headers, probes are limited, and conditions read values that are not
//! written yet.

use btp_policy::Code;
use btp_policy::PluginConfig;
use btp_policy::node::Node;
use btp_policy::spec::{Capability, Spec};

use super::reads::{Reads, Unseen, names_of};
use super::{Hint, Hints, InForce};
use crate::apply::filter::Already;
use crate::apply::order::Group;
use crate::envoy::files::Config;
use crate::envoy::http_filter::{Kind, kind_of};
use crate::envoy::model::{HttpConnectionManager, Model};
use crate::envoy::plugin::{configuration_of, is_instance};
use crate::envoy::tree::items;

/// What an instance does, as far as its place matters.
struct Does {
    /// It may answer a request by itself.
    answers: bool,
    /// It limits requests.
    limits: bool,
    /// The conditions that read what others write: of which group, whose, which.
    reads: Vec<(Group, String, Reads)>,
}

/// What is unwise about the places of the instances in a configuration.
/// `discovered` gives an instance that the filter names and a file holds.
pub(crate) fn hints_of_places<'a>(
    config: &Config,
    model: &Model,
    discovered: impl Fn(&Node) -> Option<&'a Node>,
) -> Vec<Hint> {
    let mut hints = Hints::new(config);
    for manager in &model.managers {
        let Some(hcm) = config.at(&manager.address) else {
            continue;
        };
        let filters = items(hcm, "http_filters");
        let list = manager.address.key("http_filters");
        for (place, filter) in filters.iter().enumerate() {
            let Some(plugin) = configuration_of(discovered(filter).unwrap_or(filter)) else {
                continue;
            };
            let does = Does::of(&plugin);
            for (code, reason) in does.reasons(&filters[place + 1..]) {
                hints.say(&list.item(place), code, reason);
            }
        }
    }
    hints.found
}

impl Hints<'_> {
    /// Looks at the filters of a connection manager that will be behind the
    /// usual place of faults and overrides.
    pub(super) fn on_place_of_faults(
        &mut self,
        manager: &HttpConnectionManager,
        in_force: &InForce<'_>,
    ) {
        let Some(hcm) = self.config.at(&manager.address) else {
            return;
        };
        if Already::in_front(hcm).is_some() {
            return;
        }
        let behind = &items(hcm, "http_filters")[Group::Faults.usual(hcm)..];
        let policy = in_force.policy;
        let mut reads = Reads::of(Capability::FaultInjection, &policy.spec);
        reads.extend(Reads::of(Capability::ResponseOverride, &policy.spec));
        let reads = reads.iter().map(|it| (&policy.name, it));
        if let Some(it) = Unseen::find(reads, behind) {
            let reason = format!(
                "has {} behind the place of faults and overrides, so {} does not see headers and \
                 metadata that they write; if it must, give btp apply --faults-behind {}",
                it.writers, it.condition, it.last,
            );
            self.say(
                &manager.address.key("http_filters"),
                Code::WrittenBehind,
                reason,
            );
        }
    }
}

impl Does {
    fn of(plugin: &PluginConfig) -> Self {
        let specs = plugin.policies.iter().map(|it| (&it.name, &it.spec));
        let has = |capability| plugin.enforce.has(capability);
        let limited = |spec: &Spec| {
            let local = spec.rate_limit.as_ref().and_then(|it| it.local.as_ref());
            let local = local.is_some_and(|it| !it.disabled && !it.rules.is_empty());
            (has(Capability::RateLimit) && local)
                || (has(Capability::RequestBuffer) && spec.request_buffer.is_some())
        };
        let faulty =
            |spec: &Spec| has(Capability::FaultInjection) && spec.fault_injection.is_some();
        let reads = specs.clone().flat_map(|(name, spec)| {
            let all = Capability::ALL.iter().map(|(_, it)| *it);
            let found = all.filter(|it| has(*it)).flat_map(|capability| {
                let group = Group::of(capability);
                let found = Reads::of(capability, spec).into_iter();
                found.map(move |it| (group, name.to_string(), it))
            });
            found.collect::<Vec<_>>()
        });
        let limits = specs.clone().any(|(_, spec)| limited(spec));
        Self {
            answers: limits || specs.clone().any(|(_, spec)| faulty(spec)),
            limits,
            reads: reads.collect(),
        }
    }

    /// What is unwise with these filters behind.
    fn reasons(&self, behind: &[Node]) -> Vec<(Code, String)> {
        let named = |kind: Kind| {
            let found = behind.iter();
            let found = found.filter(|it| kind_of(it) == kind && !is_instance(it));
            let found: Vec<&Node> = found.collect();
            (!found.is_empty()).then(|| names_of(&found))
        };
        let mut reasons = Vec::new();
        if self.answers
            && let Some(names) = named(Kind::Probe)
        {
            let reason = format!(
                "is in front of {names}, so that its limits and faults affect health checks: put \
                 it behind"
            );
            reasons.push((Code::ProbesLimited, reason));
        }
        if self.limits
            && let Some(names) = named(Kind::Cors)
        {
            let reason = format!(
                "is in front of {names}, so that preflights are limited and replies to browsers \
                 lack the CORS headers: move the limits behind"
            );
            reasons.push((Code::PreflightsLimited, reason));
        }
        reasons.extend(
            Group::ALL
                .into_iter()
                .filter_map(|it| Some((Code::WrittenBehind, self.unseen(it, behind)?))),
        );
        reasons
    }

    /// The conditions of a group that do not see what these filters write.
    fn unseen(&self, group: Group, behind: &[Node]) -> Option<String> {
        let all = self.reads.iter().filter(|(other, ..)| *other == group);
        let unseen = Unseen::find(all.map(|(_, policy, reads)| (policy, reads)), behind)?;
        let cure = match group {
            Group::Limits => "move the limits behind".to_owned(),
            // They are where they belong, unless this is meant.
            Group::Faults => format!(
                "if it must, put faults and overrides behind (btp apply --faults-behind {})",
                unseen.last
            ),
        };
        Some(format!(
            "is in front of {}, so {} does not see headers and metadata that they write; {cure}",
            unseen.writers, unseen.condition,
        ))
    }
}
