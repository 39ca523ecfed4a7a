//! A compiled configuration, so that a request needs only look-ups.

use btp_policy::attach::{Attachments, GovernedService};
use btp_policy::config::{Enforce, Limits, NativeFields};
use btp_policy::spec::Scope;
use btp_policy::{PluginConfig, Policy, Position};

use crate::definitions::Definitions;
use crate::fault::{DelayTables, Fault};
use crate::host::metrics::{Labels, Series};
use crate::host::shared_state::{CellKind, CellNames};
use crate::rate_limit::{ConcurrencyLimit, LimitsCompiler, RateLimits, TokenBucket};
use crate::request::required::RequiredInputs;
use crate::request_buffer::Buffering;
use crate::response_override::Overrides;
use crate::retry::Retries;
use crate::shared::gauges::QuotaGauges;
use crate::shared::reaper::QuotaTable;

/// All that the exchanges under one configuration share. Immutable.
#[derive(Debug)]
pub struct Plan {
    attachments: Attachments,
    policies: Vec<PolicyPlan>,
    names: Definitions,
    limits: Vec<TokenBucket>,
    concurrency_limits: Vec<ConcurrencyLimit>,
    position: Position,
    /// Where workers hold what is counted, and the gauges of what shares tables.
    quota_tables: Vec<QuotaTable>,
    gauges: QuotaGauges,
    /// Bounds on what a worker remembers.
    remembers: Limits,
    /// The access log is told what policies decide.
    access_log: bool,
    /// There are Services with retry budgets, which this instance keeps.
    has_services: bool,
}

/// What one policy does.
#[derive(Debug)]
pub(crate) struct PolicyPlan {
    pub(crate) required: RequiredInputs,
    pub(crate) fault: Option<Fault>,
    pub(crate) limits: Option<RateLimits>,
    pub(crate) buffering: Option<Buffering>,
    pub(crate) overrides: Option<Overrides>,
    pub(crate) retries: Option<Retries>,
}

impl Plan {
    /// Compiles a configuration.
    #[must_use]
    pub fn compile(config: PluginConfig) -> Self {
        let mut counters = Definitions::new(config.limits.metric_series);
        let instance = (config.enforce, config.position, config.native_fields);
        let mut limits = LimitsCompiler::new(config.limits.distinct_keys);
        if config.disabled {
            return Self {
                attachments: Attachments::default(),
                policies: Vec::new(),
                names: counters,
                limits: Vec::new(),
                concurrency_limits: Vec::new(),
                position: Position::Downstream,
                quota_tables: Vec::new(),
                gauges: QuotaGauges::default(),
                remembers: config.limits,
                access_log: false,
                has_services: false,
            };
        }
        let mut tables = DelayTables::default();
        let compile = |policy: &Policy| {
            PolicyPlan::compile(policy, instance, &mut limits, &mut tables, &mut counters)
        };
        let mut policies: Vec<PolicyPlan> = config.policies.iter().map(compile).collect();
        let services = config.attachments.services().iter();
        let has_budget =
            |it: &GovernedService| policies.get(it.policy).is_some_and(PolicyPlan::has_budget);
        let has_services = services.filter(|it| has_budget(it)).count() > 0;
        if has_services {
            // A Service's budget replies where a policy has none, in the client's format.
            for policy in policies.iter_mut().filter(|it| !it.has_budget()) {
                policy.required.grpc = true;
            }
        }
        let (limits, concurrency_limits) = limits.finish(&mut counters);
        let registry = counters.cells.of_mut(CellKind::Registry);
        registry.add("btp.workers".to_owned());
        let tables = policies.iter().flat_map(PolicyPlan::quota_tables);
        Self {
            attachments: config.attachments,
            quota_tables: tables
                .chain(in_flight_tables(&concurrency_limits))
                .collect(),
            gauges: QuotaGauges::new(
                concurrency_limits
                    .iter()
                    .map(ConcurrencyLimit::gauge)
                    .collect(),
            ),
            policies,
            names: counters,
            limits,
            concurrency_limits,
            position: config.position,
            remembers: config.limits,
            access_log: config.access_log,
            has_services,
        }
    }

    /// The counters; [`crate::CounterId`] is an index into these.
    #[must_use]
    pub fn counters(&self) -> &[Series] {
        &self.names.counters
    }

    /// The gauges; [`crate::GaugeId`] is an index into these.
    #[must_use]
    pub fn gauges(&self) -> &[Series] {
        &self.names.gauges
    }

    /// The histograms; [`crate::HistogramId`] is an index into these.
    #[must_use]
    pub fn histograms(&self) -> &[Series] {
        &self.names.histograms
    }

    /// Names of the cells that workers share. The host keeps them for as long as
    /// the process lives, over all changes of the configuration.
    #[must_use]
    pub fn cells(&self) -> &CellNames {
        &self.names.cells
    }

    /// Whether the host is asked when requests began.
    #[must_use]
    pub fn prints_start_time(&self) -> bool {
        let overrides = self.policies.iter().filter_map(|it| it.overrides.as_ref());
        overrides.into_iter().any(|it| it.prints_start_time)
    }

    /// The labels of policies' retry budgets, to which routes and clusters with
    /// budgets of their own add one.
    pub fn budgets(&self) -> impl Iterator<Item = &Labels> {
        let retries = self.policies.iter().filter_map(|it| it.retries.as_ref());
        retries.filter_map(|it| Some(&it.budget.as_ref()?.labels))
    }

    /// Those that all of a policy's requests share: their accounts can be opened, and so be
    /// seen at zero, before there is a request. Others are named by their first one.
    pub fn whole_budgets(&self) -> impl Iterator<Item = &Labels> {
        let retries = self.policies.iter().filter_map(|it| it.retries.as_ref());
        let budgets = retries.filter_map(|it| it.budget.as_ref());
        let whole = budgets.filter(|it| it.scope == Scope::Policy);
        whole.map(|it| &it.labels)
    }

    /// What an operator should know of it, beside what is wrong.
    pub fn notices(&self) -> impl Iterator<Item = String> {
        let retries = self.policies.iter().filter_map(|it| it.retries.as_ref());
        let budgets = retries.filter_map(|it| it.budget.as_ref()?.notice());
        budgets.chain(self.names.notice())
    }

    /// Whether the exchanges under this plan are attempts at the upstream
    /// position.
    #[must_use]
    pub fn is_upstream(&self) -> bool {
        self.position == Position::Upstream
    }

    /// Whether it has nothing to do with any request: no exchange needs to be kept.
    /// An attempt at the upstream position may be another instance's business.
    #[must_use]
    pub fn governs_nothing(&self) -> bool {
        self.policies.is_empty() && !self.is_upstream()
    }

    /// The counters, by whose labels the access log names policies and rules; `None` if
    /// it is told nothing.
    pub(crate) fn logged(&self) -> Option<&[Series]> {
        self.access_log.then(|| self.counters())
    }

    /// Bounds on what a worker remembers.
    pub(crate) fn remembers(&self) -> Limits {
        self.remembers
    }

    /// The gauges of what shares tables.
    pub(crate) fn shared_gauges(&self) -> QuotaGauges {
        self.gauges.clone()
    }

    pub(crate) fn attachments(&self) -> &Attachments {
        &self.attachments
    }

    pub(crate) fn limits(&self) -> &[TokenBucket] {
        &self.limits
    }

    pub(crate) fn concurrency_limits(&self) -> &[ConcurrencyLimit] {
        &self.concurrency_limits
    }

    pub(crate) fn quota_tables(&self) -> &[QuotaTable] {
        &self.quota_tables
    }

    /// Whether there are limits that depend on the route's name.
    pub(crate) fn has_per_route_limits(&self) -> bool {
        self.policies.iter().any(PolicyPlan::is_per_route)
    }

    /// Which policy it is, if the one with this index buffers requests.
    pub(crate) fn buffering_labels(&self, index: Option<usize>) -> Option<&Labels> {
        let counter = self.policy(index)?.buffering.as_ref()?.blind;
        let series = self.counters().get(usize::try_from(counter.0).ok()?)?;
        Some(&series.labels)
    }

    /// Whether a request that the policy with this index governs, or none, may be bounded by
    /// the retry budget of the Service that it goes to.
    pub(crate) fn asks_for_service(&self, policy: Option<usize>) -> bool {
        self.has_services && !self.policy(policy).is_some_and(PolicyPlan::has_budget)
    }

    /// The Service with this index, and its policy.
    pub(crate) fn service(&self, index: Option<usize>) -> Option<&GovernedService> {
        self.attachments.services().get(index?)
    }

    /// What the policy with this index does.
    pub(crate) fn policy(&self, index: Option<usize>) -> Option<&PolicyPlan> {
        self.policies.get(index?)
    }
}

impl PolicyPlan {
    /// Whether it bounds retries.
    fn has_budget(&self) -> bool {
        let retries = self.retries.as_ref();
        retries.is_some_and(|it| it.budget.is_some())
    }

    /// Whether it has limits that depend on the route's name.
    pub(crate) fn is_per_route(&self) -> bool {
        self.limits.as_ref().is_some_and(|limits| limits.per_route)
    }

    /// Where what it counts is kept, but for permits.
    fn quota_tables(&self) -> impl Iterator<Item = QuotaTable> + use<> {
        let fault = self.fault.as_ref().map(|fault| fault.delayed);
        let fault = fault.map(|delayed| QuotaTable::Own(delayed.quota.id, delayed.gauge));
        let total = self.buffering.as_ref().and_then(|it| it.total.as_ref());
        let total = total.map(|total| QuotaTable::Own(total.quota.id, total.gauge));
        fault.into_iter().chain(total)
    }

    fn compile(
        policy: &Policy,
        (enforce, position, native): (Enforce, Position, NativeFields),
        limits: &mut LimitsCompiler,
        tables: &mut DelayTables,
        counters: &mut Definitions,
    ) -> Self {
        let spec = &policy.spec;
        let fault = spec.fault_injection.as_ref();
        let fault = fault
            .filter(|fault| enforce.fault_injection && fault.position == position)
            .map(|fault| Fault::compile(&policy.name, fault, tables, counters));
        let rules = &spec.response_override;
        let overrides = enforce
            .response_override
            .then(|| Overrides::compile(&policy.name, rules, counters))
            .flatten();
        let local = spec.rate_limit.as_ref().and_then(|it| it.local.as_ref());
        let limits = local
            .filter(|_| enforce.rate_limit)
            .and_then(|local| limits.compile(local, counters));
        let orders_retries = enforce.retry && position == Position::Downstream;
        let retries = orders_retries
            .then(|| Retries::compile(&policy.name, spec, native))
            .flatten();
        let buffer = spec.request_buffer.as_ref();
        let buffering = buffer
            .filter(|_| enforce.request_buffer)
            .map(|buffer| Buffering::compile(policy, buffer, counters));
        let required = [
            overrides.as_ref().map(Overrides::requires),
            fault.as_ref().map(Fault::requires),
            limits.as_ref().map(RateLimits::requires),
            buffering.as_ref().map(Buffering::requires),
            retries.as_ref().map(Retries::requires),
        ];
        let required = required.into_iter().flatten();
        Self {
            required: required.fold(RequiredInputs::default(), RequiredInputs::and),
            fault,
            limits,
            buffering,
            overrides,
            retries,
        }
    }
}

/// Where permits are kept. All limits share the tables of `Distinct` values.
fn in_flight_tables(limits: &[ConcurrencyLimit]) -> Vec<QuotaTable> {
    let (own, mut shared): (Vec<QuotaTable>, Vec<QuotaTable>) = limits
        .iter()
        .flat_map(ConcurrencyLimit::quota_tables)
        .partition(|kept| matches!(kept, QuotaTable::Own(..)));
    shared.truncate(1);
    own.into_iter().chain(shared).collect()
}

// Workers of a native host share one plan.
const _: () = {
    const fn shareable<T: Send + Sync>() {}
    shareable::<Plan>();
};
