//! The metrics and the cells that a plan defines.

use std::sync::Arc;

use btp_policy::scalar::ObjectName;

use crate::host::metrics::{CounterId, Family, GaugeId, Label, Labels, MetricKind, Series};
use crate::host::shared_state::{CellKind, CellNames, QuotaId};

/// Collects definitions while a plan is compiled.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    pub(crate) counters: Vec<Series>,
    pub(crate) gauges: Vec<Series>,
    pub(crate) cells: CellNames,
    /// Those of the latest series: most have the same as the one before.
    labels: Arc<Labels>,
}

pub(crate) const OF_POLICY: &[Label] = &[Label::Namespace, Label::Policy];
const OF_RULE: &[Label] = &[Label::Namespace, Label::Policy, Label::Rule];
const OF_CLASS: &[Label] = &[Label::Namespace, Label::Policy, Label::Rule, Label::Class];

impl Definitions {
    /// A counter of a policy.
    pub(crate) fn define(&mut self, policy: &ObjectName, name: &'static str) -> CounterId {
        let series = self.series(MetricKind::Counter, policy, None, name);
        CounterId(push(&mut self.counters, series))
    }

    /// A counter of a rule. The name begins with the capability's.
    pub(crate) fn define_for_rule(
        &mut self,
        policy: &ObjectName,
        rule: &str,
        name: &'static str,
    ) -> CounterId {
        let series = self.series(MetricKind::Counter, policy, Some(rule), name);
        CounterId(push(&mut self.counters, series))
    }

    /// Counts requests of a class that a rule refused.
    pub(crate) fn class_limited(
        &mut self,
        policy: &ObjectName,
        rule: &str,
        class: &str,
    ) -> CounterId {
        let labels = Labels {
            class: Some(class.to_owned()),
            ..labels(policy, Some(rule))
        };
        let family = Family {
            kind: MetricKind::Counter,
            name: "rate_limit.class_limited",
            labels: OF_CLASS,
        };
        let labels = Arc::new(labels);
        CounterId(push(&mut self.counters, Series { family, labels }))
    }

    /// A gauge of a policy.
    pub(crate) fn gauge(&mut self, policy: &ObjectName, name: &'static str) -> GaugeId {
        let series = self.series(MetricKind::Gauge, policy, None, name);
        GaugeId(push(&mut self.gauges, series))
    }

    /// A gauge of a rule.
    pub(crate) fn gauge_for_rule(
        &mut self,
        policy: &ObjectName,
        rule: &str,
        name: &'static str,
    ) -> GaugeId {
        let series = self.series(MetricKind::Gauge, policy, Some(rule), name);
        GaugeId(push(&mut self.gauges, series))
    }

    /// Claims on a quota of a policy.
    pub(crate) fn quota(&mut self, policy: &ObjectName, name: &str) -> QuotaId {
        self.quota_named(labels(policy, None).dotted(name))
    }

    /// Claims on a quota that belongs to no policy.
    pub(crate) fn quota_named(&mut self, name: String) -> QuotaId {
        QuotaId::Own(self.cells.of_mut(CellKind::Quota).add(name))
    }

    fn series(
        &mut self,
        kind: MetricKind,
        policy: &ObjectName,
        rule: Option<&str>,
        name: &'static str,
    ) -> Series {
        let wanted = labels(policy, rule);
        if *self.labels != wanted {
            self.labels = Arc::new(wanted);
        }
        let labels = if rule.is_some() { OF_RULE } else { OF_POLICY };
        Series {
            family: Family { kind, name, labels },
            labels: Arc::clone(&self.labels),
        }
    }
}

/// The labels of what a policy, or one of its rules, counts.
pub(crate) fn labels(policy: &ObjectName, rule: Option<&str>) -> Labels {
    Labels {
        namespace: policy.namespace.clone(),
        policy: policy.name.clone(),
        part: rule.map(|rule| (Label::Rule, rule.to_owned())),
        class: None,
    }
}

fn push(all: &mut Vec<Series>, series: Series) -> u32 {
    let id = u32::try_from(all.len()).unwrap_or(u32::MAX);
    all.push(series);
    id
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use btp_policy::PluginConfig;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::host::shared_state::accounts::Entry;
    use crate::plan::Plan;

    fn plan() -> Plan {
        let text = r#"{"policies":[{"metadata":{"name":"p.q","namespace":"n"},"spec":{
            "rateLimit":{"local":{"rules":[{"name":"r","concurrency":{"max":2,"classes":[{"name":"c"}]},
                "limit":{"requests":1,"unit":"Second"}}]}},
            "responseOverride":[{"match":{"statusCodes":[{"value":404}]},
                "response":{"body":{"inline":"no"}}}],
            "faultInjection":{"delay":{"fixedDelay":"1s"}},
            "retry":{},"retryConstraint":{}}}]}"#;
        Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap())
    }

    /// Dashboards and alerts go by them.
    #[test]
    fn names_without_labels_are_those_that_are_documented() {
        let plan = plan();
        let mut names: Vec<String> = plan.counters().iter().map(Series::to_string).collect();
        names.extend(plan.gauges().iter().map(Series::to_string));
        for name in [
            "btp.n.p_q.fault_delays_injected",
            "btp.n.p_q.fault_active",
            "btp.n.p_q.rate_limit.r.admitted",
            "btp.n.p_q.rate_limit.r.in_flight",
            "btp.n.p_q.rate_limit.r.class_limited.c",
            "btp.n.p_q.responses_overridden",
            "btp.n.p_q.response_override.0.responses_overridden",
        ] {
            assert!(names.iter().any(|it| it == name), "{name} of {names:?}");
        }
        let budget = plan.budgets().next().unwrap();
        let entry = |labels: &Labels| labels.dotted("retry_budget_held");
        assert_eq!(entry(budget), "btp.n.p_q.retry_budget_held");
        for (label, name) in [
            (Label::Route, "btp.n.p_q.route.a.retry_budget_held"),
            (Label::Cluster, "btp.n.p_q.cluster.a.retry_budget_held"),
        ] {
            let part = Some((label, "a".to_owned()));
            let labels = budget.clone();
            assert_eq!(entry(&Labels { part, ..labels }), name);
        }
    }

    /// A host that cannot define anything later has all it needs at load.
    #[test]
    fn every_family_is_known_at_load_with_the_labels_of_its_series() {
        let plan = plan();
        let families = plan.families();
        for series in plan.counters().iter().chain(plan.gauges()) {
            assert!(families.contains(&series.family), "{series}");
            let is_labelled = |label: &Label| !series.labels.value(*label).is_empty();
            assert!(series.family.labels.iter().all(is_labelled), "{series:?}");
        }
        let names: BTreeSet<&str> = families.iter().map(|family| family.name).collect();
        assert_eq!(
            names.len(),
            families.len(),
            "a name has one kind and one list of labels"
        );
        assert!(
            Entry::ALL
                .iter()
                .all(|entry| names.contains(entry.family().name))
        );
    }

    /// A host may have the instances before the router show what those behind it count,
    /// whatever policies either has.
    #[test]
    fn what_instances_at_the_upstream_position_count_is_known_everywhere() {
        let text = r#"{"position":"Upstream","policies":[{"metadata":{"name":"p"},"spec":{
            "rateLimit":{"local":{"rules":[{"limit":{"requests":1,"unit":"Second"}}]}},
            "responseOverride":[{"match":{"statusCodes":[{"value":404}]},
                "response":{"body":{"inline":"no"}}}],
            "requestBuffer":{"limit":"1Ki"},
            "faultInjection":{"position":"Upstream","delay":{"fixedDelay":"1s"},
                "abort":{"httpStatus":503},
                "sampling":{"seed":7,"key":"Header","name":"x-user"}},
            "retry":{},"retryConstraint":{}}}]}"#;
        let upstream = Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap());
        let counted = upstream.counters().iter().chain(upstream.gauges());
        let nothing = Plan::compile(PluginConfig::parse(br#"{"policies":[]}"#).unwrap());
        let everywhere = nothing.families();
        assert!(counted.clone().count() >= 5);
        for series in counted {
            assert!(everywhere.contains(&series.family), "{series}");
        }
        let entries = Entry::ALL.into_iter().map(Entry::family);
        assert!(entries.into_iter().all(|it| everywhere.contains(&it)));
    }
}
