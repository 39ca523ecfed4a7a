//! What one worker remembers under one plan. Never shared, never locked.

use btp_policy::attach::{Attachments, Memo};
use btp_policy::config::Limits;

use crate::action::Action;
use crate::host::Host;
use crate::plan::Plan;
use crate::rate_limit::{self, Concurrency, Leases, PlaceRef, Places, Till};
use crate::response_override::MemoryQuota;
use crate::response_override::ValueLimits;
use crate::retry::Bound;
use crate::shared::claims::Holder;
use crate::shared::liveness::Roll;
use crate::shared::reaper::{Gauges, Watch};
use crate::shared::{BlockId, Step};
use hashbrown::HashMap;

/// A worker's own state.
#[derive(Debug)]
pub struct Worker {
    routes: Memo,
    /// The ledger's budgets of each policy, by route or cluster where they
    /// have budgets of their own.
    budgets: Vec<HashMap<Vec<u8>, usize>>,
    limits: Limits,
    /// Memory for what requests are asked for later, and for new bodies.
    values: MemoryQuota,
    /// The host has shown the body of a request that was held.
    pub(crate) sees_held_bodies: bool,
    pub(crate) leases: Leases,
    pub(crate) holder: Holder,
    places: Places,
    watch: Watch,
    seed: Option<[u64; 2]>,
}

/// Where a request belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The policy that governs it.
    pub(crate) policy: Option<usize>,
    /// A hash of its route's name; only known if limits depend on it.
    pub(crate) route: u64,
}

impl Worker {
    pub(crate) fn new(limits: Limits, roll: Roll, gauges: Gauges) -> Self {
        Self {
            routes: Memo::new(limits.routes),
            budgets: Vec::new(),
            limits,
            values: MemoryQuota::default(),
            sees_held_bodies: false,
            leases: Leases::default(),
            holder: Holder::new(roll, gauges),
            places: Places::default(),
            watch: Watch::default(),
            seed: None,
        }
    }

    /// Whether it holds nothing of what all workers share.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.holder.is_idle()
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
    pub fn start<H: Host>(&mut self, plan: &Plan, host: &mut H, out: &mut Vec<Action>) {
        self.watch.start(plan.kept(), host, out);
    }

    /// The time asked for by [`Action::WakeWorkerAt`] has come.
    pub fn tick<H: Host>(&mut self, plan: &Plan, host: &mut H, out: &mut Vec<Action>) {
        self.places
            .settle(plan.bounds(), &mut self.holder, host, out);
        match self.holder.next_beat() {
            Some(due) if host.now_ns() < due => out.push(Action::WakeWorkerAt(due)),
            _ => self.holder.tick(host, out),
        }
        self.watch.tick(plan.kept(), &self.holder, host, out);
    }

    /// Another configuration takes this one's place, or this one ends: hands
    /// back all that was taken ahead. What requests hold that are still in
    /// flight they give back when they end. Should more come after all, this
    /// has cost them a little and nothing else.
    pub fn retire<H: Host>(&mut self, plan: &Plan, host: &mut H, out: &mut Vec<Action>) {
        self.places
            .retire(plan.bounds(), &mut self.holder, host, out);
        let now_ns = host.now_ns();
        for mut lease in self.leases.drain() {
            let mut till = Till {
                plan,
                worker: &mut *self,
                host: &mut *host,
                now_ns,
                out: &mut *out,
            };
            till.hand_back(&mut lease);
        }
        self.holder.rest(host);
    }

    /// Takes a place among the requests in flight; `false` if there is none.
    #[inline(never)]
    pub(crate) fn enter<H: Host>(
        &mut self,
        bounds: &[Concurrency],
        at: PlaceRef,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> bool {
        bounds
            .get(at.bound)
            .is_some_and(|bound| self.places.enter(at, bound, &mut self.holder, host, out))
    }

    /// Leaves a place among the requests in flight.
    #[inline(never)]
    pub(crate) fn leave<H: Host>(
        &mut self,
        bounds: &[Concurrency],
        at: PlaceRef,
        host: &mut H,
        out: &mut Vec<Action>,
    ) {
        if let Some(bound) = bounds.get(at.bound) {
            self.places.leave(at, bound, &mut self.holder, host, out);
        }
    }

    /// Where the request at hand belongs. A route's name is looked up if any
    /// policy depends on it; its metadata only for a name that is not known
    /// yet, or empty.
    pub(crate) fn place<H: Host>(&mut self, plan: &Plan, host: &mut H) -> Place {
        let attachments = plan.attachments();
        if !attachments.needs_route_name() {
            let policy = attachments.fallback();
            let per_route = plan.policy(policy).is_some_and(|it| it.is_per_route());
            let route = if per_route { route(host) } else { 0 };
            return Place { policy, route };
        }
        let needs_hash = plan.has_per_route_limits();
        let (known, route) = host.route_name(|name| {
            let name = name.unwrap_or_default();
            let route = if needs_hash {
                rate_limit::route_hash(name)
            } else {
                0
            };
            (self.routes.get(name), route)
        });
        let policy = known.unwrap_or_else(|| self.resolve(attachments, host));
        Place { policy, route }
    }

    fn resolve<H: Host>(&mut self, attachments: &Attachments, host: &mut H) -> Option<usize> {
        host.route(attachments.needs_labels(), |route| {
            let policy = attachments.governing_route(route);
            self.routes.remember(route.name, policy);
            policy
        })
    }

    /// The key of all hashes, which the process draws once.
    pub(crate) fn seed<H: Host>(&mut self, block: BlockId, host: &mut H) -> [u64; 2] {
        if let Some(seed) = self.seed {
            return seed;
        }
        let (Some(low), Some(high)) = (host.secret(), host.secret()) else {
            return [0; 2];
        };
        let drawn = [low, high];
        let seed = host.block(block, |bytes| {
            let words = bytes.as_chunks::<8>().0;
            if let [low, high, ..] = words {
                return Step::Keep([u64::from_le_bytes(*low), u64::from_le_bytes(*high)]);
            }
            *bytes = drawn.map(u64::to_le_bytes).concat();
            Step::Write(drawn)
        });
        // Out of reach once more: such requests share buckets of their own.
        let Ok(seed) = seed else { return [0; 2] };
        self.seed = Some(seed);
        seed
    }

    /// The ledger's budget for the request at hand.
    pub(crate) fn budget<H: Host>(
        &mut self,
        policy: Option<usize>,
        bound: &Bound,
        host: &mut H,
        now: u64,
    ) -> usize {
        let index = policy.unwrap_or_default();
        if self.budgets.len() <= index {
            self.budgets.resize_with(index + 1, HashMap::new);
        }
        let most = self.limits.routes;
        let Some(known) = self.budgets.get_mut(index) else {
            return usize::MAX;
        };
        let found = bound.with_part(host, |part| match known.get(part) {
            Some(budget) => Ok(*budget),
            None if known.len() < most => Err(part.to_vec()),
            // Too many to tell apart: what is left shares one.
            None => Err(Vec::new()),
        });
        found.unwrap_or_else(|part| {
            let name = bound.name_of(&part);
            let terms = bound.terms;
            let budget = host.with_ledger(|ledger, host| ledger.budget(&name, terms, host, now));
            if known.len() < most || part.is_empty() {
                known.insert(part, budget);
            }
            budget
        })
    }
}

fn route<H: Host>(host: &mut H) -> u64 {
    host.route_name(|name| rate_limit::route_hash(name.unwrap_or_default()))
}
