//! What one worker remembers under one plan. Never shared, never locked.

mod counted;
mod memo;

use std::borrow::Cow;

use btp_policy::attach::{Cluster, Route};
use btp_policy::config::Limits;

use crate::event::Event;
use crate::host::shared_state::{SeedId, Update};
use crate::host::{Attribute, Host};
use crate::plan::Plan;
use crate::rate_limit::{self, InFlight, Leases, Limiter, MatchedRule};
use crate::response_override::MemoryQuota;
use crate::response_override::ValueLimits;
use crate::retry::{Ledger, RetryBudget};
use crate::shared::claims::ClaimTracker;
use crate::shared::reaper::Reaper;
pub(crate) use counted::Counted;
use hashbrown::HashMap;
use memo::{Memo, ResolvedRoute};

/// A worker's own state.
#[derive(Debug)]
pub struct Worker {
    routes: Memo<ResolvedRoute>,
    /// Which Service with a policy each cluster is, if any.
    services: Memo<Option<usize>>,
    /// The ledger's budgets of each policy, by route or cluster where they
    /// have budgets of their own.
    budgets: Vec<HashMap<Vec<u8>, usize>>,
    limits: Limits,
    /// Memory for captured request values, and for new bodies.
    values: MemoryQuota,
    pub(crate) leases: Leases,
    pub(crate) claims: ClaimTracker,
    in_flight: InFlight,
    /// Room for the rules that count a request, to be used again.
    pub(crate) matched: Vec<MatchedRule>,
    /// What has counted the request whose exchange was the last to end without a response.
    pub(crate) ended_unanswered: Option<Box<Counted>>,
    reaper: Reaper,
    seed: Option<[u64; 2]>,
}

impl Worker {
    /// A worker under this plan, which holds nothing yet.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let limits = plan.remembers();
        Self {
            routes: Memo::new(limits.routes),
            services: Memo::new(limits.routes),
            budgets: Vec::new(),
            limits,
            values: MemoryQuota::default(),
            leases: Leases::for_limits(plan.limits().len()),
            claims: ClaimTracker::new(plan.shared_gauges()),
            in_flight: InFlight::default(),
            matched: Vec::new(),
            ended_unanswered: None,
            reaper: Reaper::default(),
            seed: None,
        }
    }

    /// Whether it holds nothing of what all workers share.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.claims.is_idle()
    }

    /// The same worker, whose requests share the memory of `quota` with those
    /// under its other plans.
    #[must_use]
    pub fn with_quota(mut self, quota: &MemoryQuota) -> Self {
        self.values = quota.clone();
        self
    }

    /// The memory that values of requests take.
    #[must_use]
    pub fn quota(&self) -> &MemoryQuota {
        &self.values
    }

    /// What values of requests may take.
    pub(crate) fn value_limits(&self) -> ValueLimits<'_> {
        ValueLimits {
            of_exchange: self.limits.request_value_bytes,
            of_worker: self.limits.request_value_bytes_per_worker,
            quota: &self.values,
        }
    }

    /// A configuration is loaded: from now on this worker looks after what
    /// the dead held under it.
    pub fn start<H: Host>(&mut self, plan: &Plan, event: &mut Event<'_, H>) {
        self.reaper.start(plan.quota_tables(), event);
    }

    /// When [`Worker::tick`] is to come, in nanoseconds of the host's monotonic clock.
    /// Any event of an exchange may change it.
    #[must_use]
    pub fn wakes_at(&self) -> Option<u64> {
        let times = [self.claims.next_heartbeat(), self.reaper.next_look()];
        times.into_iter().flatten().min()
    }

    /// The time that [`Worker::wakes_at`] gave has come, or an earlier one: what is
    /// to spare goes back, others see that it lives, and it looks for the dead.
    pub fn tick<H: Host>(&mut self, plan: &Plan, event: &mut Event<'_, H>) {
        self.in_flight
            .settle(plan.concurrency_limits(), &mut self.claims, event);
        match self.claims.next_heartbeat() {
            // It was woken for something else.
            Some(due) if event.now_ns() < due => {}
            _ => self.claims.tick(event),
        }
        self.reaper.tick(plan.quota_tables(), &self.claims, event);
    }

    /// Another configuration takes this one's place, or this one ends: hands
    /// back all that was taken ahead. What requests hold that are still in
    /// flight they give back when they end. Should more come after all, this
    /// has cost them a little and nothing else.
    pub fn retire<H: Host>(&mut self, plan: &Plan, event: &mut Event<'_, H>) {
        self.in_flight
            .retire(plan.concurrency_limits(), &mut self.claims, event);
        let leases = self.leases.drain();
        let mut limiter = self.limiter(plan, event);
        for mut lease in leases {
            limiter.hand_back(&mut lease);
        }
        self.claims.stop_if_idle(event.host);
    }

    /// Keeps the room of these rules for the next request.
    pub(crate) fn keep_room(&mut self, rules: &mut Vec<MatchedRule>) {
        if rules.capacity() > self.matched.capacity() {
            rules.clear();
            std::mem::swap(rules, &mut self.matched);
        }
        *rules = Vec::new();
    }

    /// What the rate limits of a plan are asked with.
    pub(crate) fn limiter<'a, 'e, H: Host>(
        &'a mut self,
        plan: &'a Plan,
        event: &'a mut Event<'e, H>,
    ) -> Limiter<'a, 'e, H> {
        Limiter {
            limits: plan.limits(),
            concurrency_limits: plan.concurrency_limits(),
            leases: &mut self.leases,
            in_flight: &mut self.in_flight,
            claims: &mut self.claims,
            now_ns: event.now_ns(),
            event,
        }
    }

    /// Where the current request belongs. A route's name is looked up if anything
    /// depends on it and it is not known beforehand; its metadata only for a name that
    /// is not known yet, or empty.
    pub(crate) fn place<H: Host>(&mut self, plan: &Plan, host: &H) -> ResolvedRoute {
        let attachments = plan.attachments();
        let is_known = attachments.of_all().is_some() || !attachments.needs_route_name();
        let known = attachments.of_all().or(attachments.fallback());
        let is_per_route = || plan.policy(known).is_some_and(|it| it.is_per_route());
        if is_known && !is_per_route() {
            let (policy, route) = (known, 0);
            return ResolvedRoute { policy, route };
        }
        let only = attachments.only_route().map(|it| Cow::from(it.as_bytes()));
        let name = only.or_else(|| host.attribute(Attribute::RouteName));
        let name = name.unwrap_or_default();
        if let Some(known) = self.routes.get(&name) {
            return known;
        }
        let effective_policy = |route: &Route<'_>| attachments.effective_policy_of(route);
        let place = ResolvedRoute {
            policy: match is_known {
                true => known,
                false => host.route(attachments.needs_labels(), effective_policy),
            },
            route: match plan.has_per_route_limits() {
                true => rate_limit::route_hash(&name),
                false => 0,
            },
        };
        self.routes.insert(&name, place);
        place
    }

    /// Which of the plan's Services the current request goes to. Its cluster's metadata is
    /// looked up only for a name that is not known yet.
    pub(crate) fn service<H: Host>(&mut self, plan: &Plan, host: &H) -> Option<usize> {
        let name = host.attribute(Attribute::UpstreamCluster)?;
        if let Some(known) = self.services.get(&name) {
            return known;
        }
        let attachments = plan.attachments();
        let service = host.backends(|backends| {
            let name = &name;
            attachments.service_of(&Cluster { name, backends })
        });
        self.services.insert(&name, service);
        service
    }

    /// The key of all hashes, which the process draws once.
    pub(crate) fn seed<H: Host>(&mut self, host: &mut H) -> [u64; 2] {
        if let Some(seed) = self.seed {
            return seed;
        }
        let (Some(low), Some(high)) = (host.secret(), host.secret()) else {
            return [0; 2];
        };
        let drawn = [low, high];
        let seed = host.update(SeedId, |seed| match seed {
            Some(seed) => Update::Keep(*seed),
            None => Update::Write(*seed.insert(drawn)),
        });
        // Out of reach once more: such requests share buckets of their own.
        let Ok(seed) = seed else { return [0; 2] };
        self.seed = Some(seed);
        seed
    }

    /// The ledger's budget for the current request, which the policy with this
    /// index bounds and which goes to this Service, if it is one with a policy.
    pub(crate) fn budget<H: Host>(
        &mut self,
        policy: usize,
        constraint: &RetryBudget,
        service: &str,
        ledger: &mut Ledger,
        event: &mut Event<'_, H>,
    ) -> usize {
        if self.budgets.len() <= policy {
            self.budgets.resize_with(policy + 1, HashMap::new);
        }
        let Some(known) = self.budgets.get_mut(policy) else {
            return usize::MAX;
        };
        let is_full = known.len() >= self.limits.routes;
        let part = constraint.part(service, event.host);
        if let Some(budget) = known.get(&*part) {
            return *budget;
        }
        let mut part = part.into_owned();
        if is_full {
            // Too many to tell apart: those that are left share one budget, of
            // the name that no route or cluster has.
            part.clear();
            if let Some(budget) = known.get(&part) {
                return *budget;
            }
        }
        let (labels, now) = (constraint.labels_of(&part), event.now_ns());
        let budget = ledger.budget(&labels, constraint.config, event.host, now);
        known.insert(part, budget);
        budget
    }
}
