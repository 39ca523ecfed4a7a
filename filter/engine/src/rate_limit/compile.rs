//! Compiles rules into limits, once per configuration.
//!
//! A rule that several policies inherit is one limit with one cell: the policy that defines
//! the rule counts, not the policies that inherit it.

use std::collections::BTreeMap;
use std::sync::Arc;

use btp_policy::scalar::ObjectName;
use btp_policy::spec::{Concurrency, Limit, LocalRateLimit, LocalRule, Selector};

use super::headers::HeaderFormat;
use super::in_flight::ConcurrencyLimit;
use super::missing_key::MissingKey;
use super::reply::{concurrency_limited, rejection};
use super::token_bucket::{BucketPlace, KEYS_PER_SET, KeyTable, LimitCounters, TokenBucket};
use super::{QueueMetrics, RateLimits, Rule, RuleLimit, route_hash};
use crate::definitions::Definitions;
use crate::event::LogMessage;
use crate::host::metrics::{Labels, families};
use crate::host::shared_state::{BucketsId, CellKind, OverflowId, Owner};
use crate::request::required::RequiredInputs;
use crate::request::selector::requires_key;
use crate::shared::classes::Reserves;

/// Collects what the limits of all policies have in common.
#[derive(Debug)]
pub(crate) struct LimitsCompiler {
    limits: Vec<TokenBucket>,
    /// The rules of `limits`, by name.
    identities: Names,
    concurrency_limits: Vec<ConcurrencyLimit>,
    /// The rules of `concurrency_limits`, by name.
    own_quotas: Names,
    sets: u32,
    /// The buckets, and the permits, of `Distinct` values have cells.
    has_buckets_of_keys: bool,
    has_quotas_of_keys: bool,
}

impl LimitsCompiler {
    /// `distinct_keys`: buckets in the table of `Distinct` values, rounded up
    /// to whole sets.
    pub(crate) fn new(distinct_keys: usize) -> Self {
        let sets = distinct_keys.div_ceil(KEYS_PER_SET).max(1);
        Self {
            limits: Vec::new(),
            identities: Names::default(),
            concurrency_limits: Vec::new(),
            own_quotas: Names::default(),
            sets: u32::try_from(sets).unwrap_or(1),
            has_buckets_of_keys: false,
            has_quotas_of_keys: false,
        }
    }

    /// The limits, and those on requests in flight.
    pub(crate) fn finish(
        self,
        definitions: &mut Definitions,
    ) -> (Vec<TokenBucket>, Vec<ConcurrencyLimit>) {
        if !self.limits.is_empty() || !self.concurrency_limits.is_empty() {
            let seed = definitions.cells.of_mut(CellKind::Seed);
            seed.add("btp.seed".to_owned());
        }
        (self.limits, self.concurrency_limits)
    }

    /// `None` if nothing is limited.
    pub(crate) fn compile(
        &mut self,
        local: &LocalRateLimit,
        counters: &mut Definitions,
    ) -> Option<RateLimits> {
        if local.disabled || local.rules.is_empty() {
            return None;
        }
        let mut rules = Vec::new();
        for (_, rule) in in_order(local) {
            let headers = HeaderFormat::of(rule, &rules);
            rules.push(self.rule(local, rule, headers, counters));
        }
        let selectors = rules.iter().map(|rule| &rule.selector);
        let required = selectors
            .chain(rules.iter().flat_map(|rule| &rule.classes))
            .chain(&local.exempt)
            .map(RequiredInputs::of_selector)
            .fold(RequiredInputs::default(), RequiredInputs::and);
        Some(RateLimits {
            required,
            per_route: rules.iter().any(|rule| rule.per_route),
            rules,
            exempt: local.exempt.clone(),
            mode: local.mode,
            retry_after: local.retry_after.unwrap_or(true),
        })
    }

    fn rule(
        &mut self,
        local: &LocalRateLimit,
        rule: &LocalRule,
        headers: HeaderFormat,
        counters: &mut Definitions,
    ) -> Rule {
        let reject = rule.reject.as_ref().unwrap_or(&local.reject);
        let identity = format!("{}/{}", rule.policy, rule.identity);
        let store = limit_counters(rule, counters);
        let labels = Labels::of_rule(&rule.policy, rule.label());
        let queue = rule.queue.map(|_| QueueMetrics::define(&labels, counters));
        let mut count = |family| counters.counter(family, labels.clone());
        Rule {
            selector: rule.selector.clone(),
            identity: route_hash(identity.as_bytes()),
            cost: rule.cost.into(),
            per_route: !rule.shared,
            shadow: rule.shadow_mode,
            headers,
            reject: Arc::new(rejection(reject)),
            concurrency_limited: Arc::new(concurrency_limited(reject)),
            missing_key: requires_key(&rule.selector)
                .then(|| MissingKey::new(count(families::RATE_LIMIT_MISSING_KEY))),
            admitted: count(families::RATE_LIMIT_ADMITTED),
            queue,
            limited: count(if rule.shadow_mode {
                families::RATE_LIMIT_SHADOW_LIMITED
            } else {
                families::RATE_LIMIT_LIMITED
            }),
            limit: match rule.limit {
                None => RuleLimit::Unlimited,
                Some(limit) if limit.requests == 0 => RuleLimit::DenyAll,
                Some(limit) => {
                    RuleLimit::Bucket(self.limit(rule, limit, (&identity, store), counters))
                }
            },
            classes: rule.concurrency.iter().flat_map(selectors_of).collect(),
            concurrency: rule
                .concurrency
                .as_ref()
                .map(|most| self.concurrency(rule, most, (&identity, store), counters)),
        }
    }

    /// The index of the rule's limit on requests in flight.
    fn concurrency(
        &mut self,
        rule: &LocalRule,
        most: &Concurrency,
        (identity, store): (&str, LimitCounters),
        counters: &mut Definitions,
    ) -> usize {
        let index = match self.own_quotas.place(identity) {
            NameIndex::Known(index) => return index,
            NameIndex::New(index) => index,
        };
        let distinct = rule.selector.is_distinct();
        let keys = distinct.then(|| self.quotas_of_keys(counters));
        let labels = Labels::of_rule(&rule.policy, rule.label());
        self.concurrency_limits.push(ConcurrencyLimit {
            max: most.max.into(),
            reserves: Reserves::new(most.classes.iter().map(|class| class.reserved.into())),
            own: counters.quota_named(format!("btp.places.{identity}")),
            keys,
            gauge: counters.gauge(families::RATE_LIMIT_IN_FLIGHT, labels.clone()),
            owner: Owner::new(route_hash(identity.as_bytes())),
            counters: store,
            concurrency_limited: counters
                .counter(families::RATE_LIMIT_CONCURRENCY_LIMITED, labels.clone()),
            class_limited: most
                .classes
                .iter()
                .map(|class| {
                    let class = Some(class.name.clone());
                    let labels = labels.clone();
                    counters.counter(
                        families::RATE_LIMIT_CLASS_LIMITED,
                        Labels { class, ..labels },
                    )
                })
                .collect(),
            overflow_warning: LogMessage::new(overflow_warning(
                &rule.policy,
                rule,
                "have requests in flight",
            )),
        });
        index
    }

    /// The permits of `Distinct` values: sets of all rules together. The number of
    /// sets is part of their names: with another one the keys lie elsewhere.
    fn quotas_of_keys(&mut self, counters: &mut Definitions) -> KeyTable {
        let sets = self.sets;
        if !std::mem::replace(&mut self.has_quotas_of_keys, true) {
            let names = counters.cells.of_mut(CellKind::SharedQuota);
            names.add_series(format!("btp.places.{sets}."), sets, String::new());
        }
        KeyTable { sets }
    }

    /// The index of the rule's limit.
    fn limit(
        &mut self,
        rule: &LocalRule,
        limit: Limit,
        (identity, store): (&str, LimitCounters),
        counters: &mut Definitions,
    ) -> usize {
        let index = match self.identities.place(identity) {
            NameIndex::Known(index) => return index,
            NameIndex::New(index) => index,
        };
        let place = if rule.selector.is_distinct() {
            self.place_of_keys(identity, counters)
        } else {
            let names = counters.cells.of_mut(CellKind::Buckets);
            BucketPlace::OfRoutes(BucketsId::Own(names.add(format!("btp.limit.{identity}"))))
        };
        self.limits.push(TokenBucket::new(
            limit,
            place,
            store,
            overflow_warning(&rule.policy, rule, "have used up a part of their limit"),
            rule.queue,
        ));
        index
    }

    /// The buckets of `Distinct` values: sets of all rules together, and counters
    /// of the rule's own. The number of sets is part of their names.
    fn place_of_keys(&mut self, identity: &str, counters: &mut Definitions) -> BucketPlace {
        let table = KeyTable { sets: self.sets };
        if !std::mem::replace(&mut self.has_buckets_of_keys, true) {
            let names = counters.cells.of_mut(CellKind::SharedBuckets);
            names.add_series(
                format!("btp.keys.{}.", table.sets),
                table.sets,
                String::new(),
            );
        }
        let names = counters.cells.of_mut(CellKind::Overflow);
        let first = names.add_series(
            format!("btp.overflow.{}.", table.sets),
            table.overflow_cells(),
            format!(".{identity}"),
        );
        BucketPlace::OfClients {
            table,
            overflow: OverflowId(first),
        }
    }
}

/// Names, each once, in the order in which they came.
#[derive(Debug, Default)]
struct Names {
    in_order: Vec<String>,
    places: BTreeMap<String, usize>,
}

/// The index of a name, and whether it is new.
enum NameIndex {
    Known(usize),
    New(usize),
}

impl Names {
    fn place(&mut self, name: &str) -> NameIndex {
        if let Some(place) = self.places.get(name) {
            return NameIndex::Known(*place);
        }
        let place = self.in_order.len();
        self.in_order.push(name.to_owned());
        self.places.insert(name.to_owned(), place);
        NameIndex::New(place)
    }
}

/// The rules as they are looked at, each with its place in the list: the default rule comes
/// last.
pub(super) fn in_order(local: &LocalRateLimit) -> impl Iterator<Item = (usize, &LocalRule)> {
    let rules = || local.rules.iter().enumerate();
    let conditional = rules().filter(|(_, rule)| !rule.selector.is_empty());
    conditional.chain(rules().filter(|(_, rule)| rule.selector.is_empty()))
}

/// The conditions of the classes.
fn selectors_of(concurrency: &Concurrency) -> impl Iterator<Item = Selector> {
    concurrency
        .classes
        .iter()
        .map(|class| class.selector.clone())
}

fn limit_counters(rule: &LocalRule, counters: &mut Definitions) -> LimitCounters {
    let labels = Labels::of_rule(&rule.policy, rule.label());
    let mut count = |family| counters.counter(family, labels.clone());
    LimitCounters {
        operations: count(families::RATE_LIMIT_DEBUG_STORE_OPERATIONS),
        contended: count(families::RATE_LIMIT_STORE_CONTENDED),
        overflows: count(families::RATE_LIMIT_OVERFLOWS),
    }
}

fn overflow_warning(policy: &ObjectName, rule: &LocalRule, what: &str) -> String {
    let rule_name = format!("rate_limit.{}.overflows", rule.label());
    if rule.selector.is_distinct() {
        format!(
            "policy {policy}: more clients {what} than limits.distinctKeys allows; further \
             clients share what is left ({rule_name} counts their requests)"
        )
    } else {
        format!(
            "policy {policy}: more routes {what} than there is room for; further ones share one \
             bucket ({rule_name} counts them)"
        )
    }
}
