//! The metrics and the cells that a plan defines.

use std::sync::Arc;

use btp_policy::scalar::ObjectName;
use hashbrown::HashMap;

use crate::host::metrics::{
    CounterId, Family, GaugeId, HistogramId, Labels, MetricKind, OTHERS, Series,
};
use crate::host::shared_state::{CellKind, CellNames, QuotaId};

/// Collects definitions while a plan is compiled.
#[derive(Debug)]
pub(crate) struct Definitions {
    pub(crate) counters: Vec<Series>,
    pub(crate) gauges: Vec<Series>,
    pub(crate) histograms: Vec<Series>,
    pub(crate) cells: CellNames,
    bound: SeriesBound,
}

/// Bounds the number of series: beyond it, new owners share the series of all others.
#[derive(Debug)]
struct SeriesBound {
    most: usize,
    /// The owners that have series of their own.
    owners: HashMap<String, Arc<Labels>>,
    /// Families whose series are shared, and their places in the lists.
    shared: HashMap<String, usize>,
    /// The owners that share any. The numbers mean nothing: a set would add one more kind
    /// of table to the .wasm.
    sharers: HashMap<String, usize>,
}

impl Definitions {
    /// `most_series`: the most that have labels of their own, and those of the rule that
    /// was begun with the last of them.
    pub(crate) fn new(most_series: usize) -> Self {
        Self {
            counters: Vec::new(),
            gauges: Vec::new(),
            histograms: Vec::new(),
            cells: CellNames::default(),
            bound: SeriesBound {
                most: most_series,
                owners: HashMap::new(),
                shared: HashMap::new(),
                sharers: HashMap::new(),
            },
        }
    }

    /// A counter with these labels.
    pub(crate) fn counter(&mut self, family: Family, labels: Labels) -> CounterId {
        CounterId(self.series(family, labels))
    }

    /// A gauge with these labels.
    pub(crate) fn gauge(&mut self, family: Family, labels: Labels) -> GaugeId {
        GaugeId(self.series(family, labels))
    }

    /// A histogram with these labels.
    pub(crate) fn histogram(&mut self, family: Family, labels: Labels) -> HistogramId {
        HistogramId(self.series(family, labels))
    }

    /// Claims on a quota of a policy. A filter in use has written its cells under names in
    /// which no policy has dots.
    pub(crate) fn quota(&mut self, policy: &ObjectName, name: &str) -> QuotaId {
        let ObjectName {
            namespace,
            name: of,
        } = policy;
        let of = of.replace('.', "_");
        self.quota_named(format!("btp.{namespace}.{of}.{name}"))
    }

    /// Claims on a quota that belongs to no policy.
    pub(crate) fn quota_named(&mut self, name: String) -> QuotaId {
        QuotaId::Own(self.cells.of_mut(CellKind::Quota).add(name))
    }

    /// What the operator is told when there are too many series.
    pub(crate) fn notice(&self) -> Option<String> {
        let SeriesBound { most, sharers, .. } = &self.bound;
        (!sharers.is_empty()).then(|| {
            format!(
                "the configuration needs more metric series than limits.metricSeries ({most}): {} \
                 policies and rules share series, under btp_namespace=\"{OTHERS}\"",
                sharers.len()
            )
        })
    }

    fn series(&mut self, family: Family, labels: Labels) -> u32 {
        let bound = &mut self.bound;
        let all = [&self.counters, &self.gauges, &self.histograms];
        let is_full = all.into_iter().map(Vec::len).sum::<usize>() >= bound.most;
        let list = match family.kind {
            MetricKind::Counter => &mut self.counters,
            MetricKind::Gauge => &mut self.gauges,
            MetricKind::Histogram => &mut self.histograms,
        };
        // With the rule, as in a name of two parts.
        let (id, whose) = (list.len(), labels.dotted("."));
        let labels = match bound.owners.get(&whose) {
            Some(known) => Arc::clone(known),
            None if !is_full => {
                let labels = Arc::new(labels);
                bound.owners.insert(whose, Arc::clone(&labels));
                labels
            }
            None => {
                bound.sharers.insert(whose, 0);
                let shared = *bound.shared.entry(family.name.to_owned()).or_insert(id);
                if shared != id {
                    return as_id(shared);
                }
                Arc::new(labels.of_others())
            }
        };
        list.push(Series { family, labels });
        as_id(id)
    }
}

fn as_id(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use btp_policy::PluginConfig;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::host::metrics::Label;
    use crate::host::shared_state::accounts;
    use crate::plan::Plan;

    fn plan(bound: usize) -> Plan {
        let text = r#"{"limits":{"metricSeries":BOUND},
            "policies":[{"metadata":{"name":"p.q","namespace":"n"},"spec":{
            "rateLimit":{"local":{"rules":[{"name":"r","concurrency":{"max":2,"classes":[{"name":"c"}]},
                "limit":{"requests":1,"unit":"Second"}}]}},
            "responseOverride":[{"match":{"statusCodes":[{"value":404}]},
                "response":{"body":{"inline":"no"}}}],
            "faultInjection":{"delay":{"fixedDelay":"1s"}},
            "retry":{},"retryConstraint":{}}}]}"#
            .replace("BOUND", &bound.to_string());
        Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap())
    }

    fn series(plan: &Plan) -> impl Iterator<Item = &Series> {
        let lists = [plan.counters(), plan.gauges(), plan.histograms()];
        lists.into_iter().flatten()
    }

    /// Dashboards and alerts use them.
    #[test]
    fn names_without_labels_are_those_that_are_documented() {
        let plan = plan(20_000);
        let names: Vec<String> = series(&plan).map(Series::to_string).collect();
        for name in [
            "btp.n.p.q.fault_delays_injected",
            "btp.n.p.q.fault_active",
            "btp.n.p.q.fault_delay_milliseconds",
            "btp.n.p.q.rate_limit.r.admitted",
            "btp.n.p.q.rate_limit.r.in_flight",
            "btp.n.p.q.rate_limit.r.class_limited.c",
            "btp.n.p.q.rate_limit.r.debug_store_operations",
            "btp.n.p.q.responses_overridden",
            "btp.n.p.q.response_override.rule-c8966df5.responses_overridden",
        ] {
            assert!(names.iter().any(|it| it == name), "{name} of {names:?}");
        }
        let budget = plan.budgets().next().unwrap();
        let entry = |labels: &Labels| labels.dotted("retry_budget_balance");
        assert_eq!(entry(budget), "btp.n.p.q.retry_budget_balance");
        for (label, name) in [
            (Label::Route, "btp.n.p.q.btp_route.a.retry_budget_balance"),
            (
                Label::Cluster,
                "btp.n.p.q.btp_cluster.a.retry_budget_balance",
            ),
        ] {
            let part = Some((label, "a".to_owned()));
            let labels = budget.clone();
            assert_eq!(entry(&Labels { part, ..labels }), name);
        }
    }

    /// Some hosts cannot define one later, and tell one from another by its name.
    #[test]
    fn every_family_is_known_with_the_labels_of_its_series() {
        let plan = plan(20_000);
        for series in series(&plan) {
            assert!(Family::ALL.contains(&series.family), "{series}");
            let is_labelled = |label: &Label| !series.labels.value(*label).is_empty();
            assert!(series.family.labels.iter().all(is_labelled), "{series:?}");
        }
        let names: BTreeSet<&str> = Family::ALL.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), Family::ALL.len());
        let entries = accounts::Entry::ALL.map(accounts::Entry::family);
        assert!(entries.iter().all(|it| Family::ALL.contains(it)));
    }

    /// The policy's name ends before the first word with an underscore, which no such name
    /// can have.
    #[test]
    fn what_comes_after_the_policy_begins_with_an_underscored_word() {
        for family in Family::ALL {
            let first = family.name.split('.').next().unwrap_or_default();
            assert!(first.contains('_'), "{}", family.name);
            assert_eq!(
                family.name.contains('.'),
                family.labels.contains(&Label::Rule),
                "{}",
                family.name
            );
        }
        assert!(Label::Route.name().contains('_') && Label::Cluster.name().contains('_'));
    }

    /// Nor does another limit or response: dashboards outlive changes.
    #[test]
    fn a_rule_that_is_inserted_renames_no_series() {
        let rule = |value: u32, requests: u32| {
            format!(
                r#"{{"clientSelectors":[{{"headers":[{{"name":"a","value":"{value}"}}]}}],
                    "limit":{{"requests":{requests},"unit":"Hour"}}}}"#
            )
        };
        let page = |status: u32, body: &str| {
            format!(
                r#"{{"match":{{"statusCodes":[{{"value":{status}}}]}},
                    "response":{{"body":{{"inline":"{body}"}}}}}}"#
            )
        };
        let names = |rules: &[String], pages: &[String]| -> BTreeSet<String> {
            let (rules, pages) = (rules.join(","), pages.join(","));
            let text = format!(
                r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{{
                    "rateLimit":{{"local":{{"rules":[{rules}]}}}},
                    "responseOverride":[{pages}]}}}}]}}"#
            );
            let plan = Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap());
            series(&plan).map(Series::to_string).collect()
        };
        let before = names(
            &[rule(1, 5), rule(2, 5)],
            &[page(404, "no"), page(503, "no")],
        );
        let after = names(
            &[rule(3, 5), rule(1, 9), rule(2, 5)],
            &[page(500, "no"), page(404, "gone"), page(503, "no")],
        );
        assert!(before.is_subset(&after), "{before:?} {after:?}");
        assert!(after.len() > before.len());
    }

    #[test]
    fn whoever_comes_after_the_bound_shares_the_series_of_others() {
        let all = plan(20_000);
        let whole = series(&all).count();
        assert!(all.notices().all(|it| !it.contains("metricSeries")));
        for bound in 0..=whole {
            let plan = plan(bound);
            let is_own = |it: &&Series| it.labels.namespace == "n";
            let own = series(&plan).filter(is_own).count();
            let of_others = series(&plan).filter(|it| !is_own(it)).count();
            // A rule or a policy that has begun gets all of its own.
            assert!(own >= bound && own <= bound + 16, "{own} for {bound}");
            assert!(of_others <= Family::ALL.len());
            let names: BTreeSet<String> = series(&plan).map(Series::to_string).collect();
            assert_eq!(names.len(), own + of_others);
            let is_told = plan.notices().any(|it| it.contains("metricSeries"));
            assert_eq!(is_told, of_others > 0, "{bound}");
        }
    }
}
