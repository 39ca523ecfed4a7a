//! What one worker remembers under one plan. Never shared, never locked.

use btp_policy::attach::{Attachments, Memo};

use crate::host::Host;
use crate::retry::Bound;
use hashbrown::HashMap;

/// A worker's own state.
#[derive(Debug)]
pub struct Worker {
    routes: Memo,
    /// The ledger's budgets of each policy, by route or cluster where they
    /// have budgets of their own.
    budgets: Vec<HashMap<Vec<u8>, usize>>,
    most_routes: usize,
    id: Option<u64>,
    /// The host has shown the body of a request that was held.
    pub(crate) sees_held_bodies: bool,
}

impl Worker {
    pub(crate) fn new(most_routes: usize) -> Self {
        Self {
            routes: Memo::new(most_routes),
            budgets: Vec::new(),
            most_routes,
            id: None,
            sees_held_bodies: false,
        }
    }

    /// What tells this worker from the others, and from itself under another
    /// configuration or before its VM died.
    pub(crate) fn id<H: Host>(&mut self, host: &mut H) -> u64 {
        *self.id.get_or_insert_with(|| host.random())
    }

    /// The policy that governs the request at hand. A route's name is looked
    /// up if any policy depends on it; its metadata only for a name that is
    /// not known yet, or empty.
    pub(crate) fn governing<H: Host>(
        &mut self,
        attachments: &Attachments,
        host: &mut H,
    ) -> Option<usize> {
        if !attachments.needs_route_name() {
            return attachments.fallback();
        }
        let known = host.route_name(|name| self.routes.get(name.unwrap_or_default()));
        if let Some(policy) = known {
            return policy;
        }
        host.route(attachments.needs_labels(), |route| {
            let policy = attachments.governing_route(route);
            self.routes.remember(route.name, policy);
            policy
        })
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
        let most = self.most_routes;
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
