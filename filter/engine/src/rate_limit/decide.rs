//! Whether a request passes the rules that count it.
//!
//! All or nothing: a request that one rule refuses takes no token and does not count as in
//! flight for another. Rules in shadow mode are evaluated only when all others have
//! admitted a request, and never change the result.

use std::sync::Arc;

use super::headers::{HeaderFormat, HeaderLists, LimitHeaders};
use super::in_flight::InFlightKey;
use super::limiter::Limiter;
use super::queue::QueueMetrics;
use super::token_bucket::{BucketRef, BucketState};
use super::{MatchedRule, RateLimits, Rule, RuleLimit};
use crate::action::Reply;
use crate::decision::{Decided, Value};
use crate::host::Host;

/// The decision about a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    Pass(Pass),
    /// It is answered with this.
    Refuse(Arc<Reply>),
}

/// A request that passes.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// What its response says.
    pub(crate) headers: Option<LimitHeaders>,
    /// How many nanoseconds it has to wait.
    pub(crate) wait_ns: u64,
}

/// A rule that refuses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) matched_rule: MatchedRule,
    /// Nanoseconds until it would not; `None`: it always will.
    pub(super) wait: Option<u64>,
}

/// The result of taking tokens from every rule.
#[derive(Debug, Default)]
struct TakenTokens {
    /// The bucket that fills most slowly, of rules that tell by x-ratelimit.
    slowest: Option<BucketState>,
    /// The lists of draft 10, of rules that use those headers.
    lists: HeaderLists,
    /// Nanoseconds until all tokens are there.
    wait_ns: u64,
    /// Counts the waits, of so many nanoseconds.
    queued: Vec<(QueueMetrics, u64)>,
}

impl RateLimits {
    /// Decides, and takes tokens and counts the request as in flight if it may
    /// pass. What it counts as in flight under, until it ends, is in `in_flight` as
    /// soon as it does, and how many rules it has paid is in `paid` until it passes: a
    /// host that ends it in the middle gives that back.
    pub(crate) fn decide<H: Host>(
        &self,
        matched: &[MatchedRule],
        in_flight: &mut Vec<InFlightKey>,
        paid: &mut usize,
        limiter: &mut Limiter<'_, '_, H>,
    ) -> Verdict {
        if let Some(refusal) = self.cached_refusal(matched, limiter) {
            return Verdict::Refuse(self.reply(refusal, matched, limiter));
        }
        // First, so that a request that finds too many in flight costs no token.
        if let Err(reply) = self.acquire(matched, in_flight, limiter) {
            return Verdict::Refuse(reply);
        }
        let taken = match self.take_tokens(matched, paid, limiter) {
            Ok(taken) => taken,
            Err(refusal) => {
                limiter.release_all(in_flight);
                return Verdict::Refuse(self.reply(refusal, matched, limiter));
            }
        };
        for (rule, matched_rule) in self.rules_of(matched) {
            let passes = !rule.shadow || rule.passes_in_shadow(matched_rule, limiter, in_flight);
            if matched_rule.is_counted {
                continue;
            }
            let counter = if passes { rule.admitted } else { rule.limited };
            limiter.event.count(counter);
        }
        *paid = 0;
        Verdict::Pass(Pass {
            headers: LimitHeaders::new(taken.slowest, taken.lists),
            wait_ns: taken.wait_ns,
        })
    }

    /// A refusal for which the shared buckets need not be asked.
    fn cached_refusal<H: Host>(
        &self,
        matched: &[MatchedRule],
        limiter: &mut Limiter<'_, '_, H>,
    ) -> Option<Refusal> {
        let known = self.enforced(matched).filter_map(|(rule, matched_rule)| {
            let wait = match rule.limit {
                RuleLimit::Unlimited => return None,
                RuleLimit::DenyAll => None,
                RuleLimit::Bucket(_) => {
                    Some(limiter.cached_denial(rule.bucket(matched_rule)?, rule.cost)?)
                }
            };
            Some(Refusal { matched_rule, wait })
        });
        let known: Vec<Refusal> = known.collect();
        self.longest(&known, limiter)
    }

    /// Counts the request as in flight for every rule that is enforced, or for
    /// none.
    fn acquire<H: Host>(
        &self,
        matched: &[MatchedRule],
        acquired: &mut Vec<InFlightKey>,
        limiter: &mut Limiter<'_, '_, H>,
    ) -> Result<(), Arc<Reply>> {
        let mut refused = None;
        // All rules are asked, also behind one that refuses: each counts whom it
        // would have refused.
        for (rule, matched_rule) in self.enforced(matched) {
            let Some(key) = rule.in_flight_key(matched_rule) else {
                continue;
            };
            if limiter.acquire(key) {
                acquired.push(key);
            } else {
                limiter.count_concurrency_limited(key, Decided::ConcurrencyLimited);
                limiter.event.count(rule.limited);
                refused.get_or_insert(&rule.concurrency_limited);
            }
        }
        let Some(reply) = refused else {
            return Ok(());
        };
        limiter.release_all(acquired);
        Err(Arc::clone(reply))
    }

    /// Takes tokens from the bucket of every rule that is enforced, or from none.
    fn take_tokens<H: Host>(
        &self,
        matched: &[MatchedRule],
        paid: &mut usize,
        limiter: &mut Limiter<'_, '_, H>,
    ) -> Result<TakenTokens, Refusal> {
        let mut taken = TakenTokens::default();
        for (done, (rule, matched_rule)) in self.enforced(matched).enumerate() {
            // Without a bucket there is no limit, or only one on requests in
            // flight.
            let Some(bucket) = rule.bucket(matched_rule) else {
                continue;
            };
            match limiter.take(bucket, rule.cost) {
                Ok(state) => {
                    *paid = done + 1;
                    taken.add(rule, state);
                }
                Err(wait) => {
                    self.give_back(matched, paid, limiter);
                    let refusal = Refusal {
                        matched_rule,
                        wait: Some(wait),
                    };
                    let rest = self.enforced(matched).skip(done + 1);
                    return Err(self.longest_from(refusal, rest, limiter));
                }
            }
        }
        // Only now: a request that another rule refuses has not been queued.
        for (queue, wait_ns) in std::mem::take(&mut taken.queued) {
            queue.record(wait_ns, limiter.event);
        }
        Ok(taken)
    }

    /// Gives back what the first `paid` rules that are enforced have taken for a request
    /// that does not pass after all.
    pub(crate) fn give_back<H: Host>(
        &self,
        matched: &[MatchedRule],
        paid: &mut usize,
        limiter: &mut Limiter<'_, '_, H>,
    ) {
        // Forgotten first: what came back twice would let too many pass.
        for (rule, matched_rule) in self.enforced(matched).take(std::mem::take(paid)) {
            if let Some(bucket) = rule.bucket(matched_rule) {
                limiter.give_back(bucket, rule.cost);
            }
        }
    }

    /// A rule has refused. The client is told of the one that it has to wait for
    /// longest, which may be one that has not been asked yet: those are asked
    /// whether they would refuse it, too, and nothing is taken from them.
    fn longest_from<'a, H: Host>(
        &self,
        first: Refusal,
        rest: impl Iterator<Item = (&'a Rule, MatchedRule)>,
        limiter: &mut Limiter<'_, '_, H>,
    ) -> Refusal {
        let mut refusals = vec![first];
        for (rule, matched_rule) in rest {
            let bucket = rule.bucket(matched_rule);
            let wait = bucket.and_then(|bucket| limiter.peek(bucket, rule.cost));
            refusals.extend(wait.map(|wait| Refusal {
                matched_rule,
                wait: Some(wait),
            }));
        }
        self.longest(&refusals, limiter).unwrap_or(first)
    }

    /// Counts the refusals; gives the one that will last longest.
    fn longest<H: Host>(
        &self,
        refusals: &[Refusal],
        limiter: &mut Limiter<'_, '_, H>,
    ) -> Option<Refusal> {
        for refusal in refusals {
            if let Some(rule) = self.rules.get(refusal.matched_rule.rule) {
                let event = &mut *limiter.event;
                event.decided(rule.limited, Decided::Limited, Value::None);
            }
        }
        refusals
            .iter()
            .max_by_key(|refusal| refusal.wait.unwrap_or(u64::MAX))
            .copied()
    }

    fn rules_of<'a>(
        &'a self,
        matched: &'a [MatchedRule],
    ) -> impl Iterator<Item = (&'a Rule, MatchedRule)> {
        matched
            .iter()
            .filter_map(|it| Some((self.rules.get(it.rule)?, *it)))
    }

    pub(super) fn enforced<'a>(
        &'a self,
        matched: &'a [MatchedRule],
    ) -> impl Iterator<Item = (&'a Rule, MatchedRule)> {
        self.rules_of(matched).filter(|(rule, _)| !rule.shadow)
    }
}

impl TakenTokens {
    /// A rule has given tokens, and its bucket is in this state now.
    fn add(&mut self, rule: &Rule, state: BucketState) {
        match &rule.headers {
            HeaderFormat::XRateLimit if state.is_slower_than(self.slowest) => {
                self.slowest = Some(state);
            }
            HeaderFormat::XRateLimit | HeaderFormat::Off => {}
            HeaderFormat::Draft10(item) => {
                self.lists.add_policy(item);
                self.lists.add_limit(item, state);
            }
        }
        if state.wait_ns > 0 {
            self.wait_ns = state.wait_ns.max(self.wait_ns);
            self.queued
                .extend(rule.queue.map(|queue| (queue, state.wait_ns)));
        }
    }
}

impl Rule {
    /// The bucket that a request takes from, if there is one and it has not done so.
    pub(super) fn bucket(&self, matched_rule: MatchedRule) -> Option<BucketRef> {
        let RuleLimit::Bucket(limit) = self.limit else {
            return None;
        };
        if matched_rule.is_counted {
            return None;
        }
        let key = matched_rule.key;
        Some(BucketRef { limit, key })
    }

    /// What a request counts as in flight under, if that is limited.
    fn in_flight_key(&self, matched_rule: MatchedRule) -> Option<InFlightKey> {
        let (limit, key) = (self.concurrency?, matched_rule.key);
        let class = matched_rule.class;
        Some(InFlightKey { limit, key, class })
    }

    /// Whether a request would pass this rule. If so, it pays and counts as in
    /// flight.
    fn passes_in_shadow<H: Host>(
        &self,
        matched_rule: MatchedRule,
        limiter: &mut Limiter<'_, '_, H>,
        in_flight: &mut Vec<InFlightKey>,
    ) -> bool {
        let key = self.in_flight_key(matched_rule);
        if let Some(key) = key {
            if !limiter.acquire(key) {
                let decided = Decided::ShadowConcurrencyLimited;
                limiter.count_concurrency_limited(key, decided);
                return false;
            }
            in_flight.push(key);
        }
        let pays = match (self.limit, self.bucket(matched_rule)) {
            (_, Some(bucket)) => limiter.take(bucket, self.cost).is_ok(),
            (limit, None) => limit == RuleLimit::Unlimited || matched_rule.is_counted,
        };
        if !pays {
            let event = &mut *limiter.event;
            event.note(self.limited, Decided::ShadowLimited, Value::None);
        }
        if let (Some(key), false) = (key, pays) {
            limiter.release(key);
            in_flight.pop();
        }
        pays
    }
}
