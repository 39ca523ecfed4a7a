//! `rateLimit.local`: which rules count a request, and whether it may pass.
//!
//! All or nothing: a request that one rule refuses takes no token and no
//! place from another. Rules in shadow mode are asked only once the others have let a
//! request pass, and never change what becomes of it.

mod buckets;
mod compile;
mod gcra;
mod headers;
mod in_flight;
mod leases;
mod limiter;
mod overflow;
mod reply;
mod token_bucket;

use std::sync::Arc;

use btp_policy::spec::{LocalRule, Mode, Selector, ValueCondition};

use crate::action::{Action, Reply};
use crate::host::Host;
use crate::host::metrics::CounterId;
use crate::request::Request;
use crate::request::required::RequiredInputs;
use crate::request::selector::{meets, meets_any};
use crate::siphash::SipHasher;
use buckets::Key;
use headers::{Lists, Tells};

pub(crate) use compile::{LimitsCompiler, SEED};
pub(crate) use headers::Standing;
pub(crate) use in_flight::{Concurrency, PlaceRef, Places};
pub(crate) use leases::Leases;
pub(crate) use limiter::Till;
pub(crate) use token_bucket::SharedLimit;
use token_bucket::{BucketRef, Level};

/// `rateLimit.local` of one policy, compiled.
#[derive(Debug)]
pub(crate) struct RateLimits {
    /// The default rule, if there is one, comes last.
    rules: Vec<Rule>,
    exempt: Vec<Selector>,
    mode: Mode,
    retry_after: bool,
    required: RequiredInputs,
    /// Whether the route's name matters.
    pub(crate) per_route: bool,
}

#[derive(Debug)]
struct Rule {
    selector: Selector,
    limit: Allowance,
    /// The bound on requests in flight: an index into the plan's.
    bound: Option<usize>,
    /// Tells its buckets from those of other rules.
    identity: u64,
    cost: u64,
    per_route: bool,
    shadow: bool,
    tells: Tells,
    reject: Arc<Reply>,
    /// What one gets who finds too many in flight.
    crowded: Arc<Reply>,
    admitted: CounterId,
    queued: CounterId,
    limited: CounterId,
}

/// What a rule's limit lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allowance {
    Everything,
    Nothing,
    /// What is in its buckets: an index into the plan's limits.
    Buckets(usize),
}

/// A rule that counts a request, and the bucket it takes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    rule: usize,
    key: Key,
}

/// What becomes of a request.
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
    pub(crate) standing: Option<Standing>,
    /// How many nanoseconds it has to wait.
    pub(crate) wait_ns: u64,
    /// The places that it leaves when it ends.
    pub(crate) places: Vec<PlaceRef>,
}

/// A rule that refuses.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    hit: Hit,
    /// Nanoseconds until it would not; `None`: it always will.
    wait: Option<u64>,
}

impl RateLimits {
    /// What must be known of a request to find the rules that count it.
    pub(crate) fn requires(&self) -> RequiredInputs {
        self.required.clone()
    }

    /// The rules that count this request. `route` is a hash of the route's
    /// name.
    pub(crate) fn hits(&self, request: &Request<'_>, seed: [u64; 2], route: u64) -> Vec<Hit> {
        let mut hits = Vec::new();
        if !self.exempt.is_empty() && meets_any(request, &self.exempt) {
            return hits;
        }
        for (index, rule) in self.rules.iter().enumerate() {
            let counts = if rule.selector.is_empty() {
                hits.is_empty()
            } else {
                meets(request, &rule.selector)
            };
            if counts {
                let key = rule.key(request, seed, route);
                hits.push(Hit { rule: index, key });
                if self.mode == Mode::FirstMatch {
                    break;
                }
            }
        }
        hits
    }

    /// Decides, and takes the tokens and places if the request may pass.
    pub(crate) fn decide<H: Host>(&self, hits: &[Hit], till: &mut Till<'_, '_, H>) -> Verdict {
        if let Some(refusal) = self.known_refusal(hits, till) {
            return Verdict::Refuse(self.reply(refusal, hits, till));
        }
        let mut places = match self.enter(hits, till) {
            Ok(places) => places,
            Err(reply) => return Verdict::Refuse(reply),
        };
        let (standing, wait_ns) = match self.pay(hits, till) {
            Ok(paid) => paid,
            Err(refusal) => {
                places.into_iter().for_each(|place| till.leave(place));
                return Verdict::Refuse(self.reply(refusal, hits, till));
            }
        };
        for (rule, hit) in self.rules_of(hits) {
            let passes = !rule.shadow || rule.passes_in_shadow(hit, till, &mut places);
            let counter = if passes { rule.admitted } else { rule.limited };
            till.event.count(counter);
        }
        Verdict::Pass(Pass {
            standing,
            wait_ns,
            places,
        })
    }

    /// A refusal for which nobody has to be asked.
    fn known_refusal<H: Host>(&self, hits: &[Hit], till: &mut Till<'_, '_, H>) -> Option<Refusal> {
        let known = self.enforced(hits).filter_map(|(rule, hit)| {
            let wait = match rule.limit {
                Allowance::Everything => return None,
                Allowance::Nothing => None,
                Allowance::Buckets(_) => Some(till.known_wait(rule.bucket(hit)?, rule.cost)?),
            };
            Some(Refusal { hit, wait })
        });
        let known: Vec<Refusal> = known.collect();
        self.longest(&known, till)
    }

    /// Takes a place for every rule that is enforced, or none.
    fn enter<H: Host>(
        &self,
        hits: &[Hit],
        till: &mut Till<'_, '_, H>,
    ) -> Result<Vec<PlaceRef>, Arc<Reply>> {
        let mut places = Vec::new();
        let mut refused = None;
        for (rule, hit) in self.enforced(hits) {
            let Some(place) = rule.place(hit) else {
                continue;
            };
            if till.enter(place) {
                places.push(place);
            } else {
                rule.count_crowded(hit, till);
                till.event.count(rule.limited);
                refused.get_or_insert(&rule.crowded);
            }
        }
        let Some(reply) = refused else {
            return Ok(places);
        };
        places.into_iter().for_each(|place| till.leave(place));
        Err(Arc::clone(reply))
    }

    /// Takes from every rule that is enforced, or from none. Gives where the
    /// client stands with those that tell, and how many nanoseconds it has to
    /// wait.
    fn pay<H: Host>(
        &self,
        hits: &[Hit],
        till: &mut Till<'_, '_, H>,
    ) -> Result<(Option<Standing>, u64), Refusal> {
        let mut slowest: Option<Level> = None;
        let mut lists = Lists::default();
        let mut longest_wait = 0;
        let mut waiting = Vec::new();
        for (done, (rule, hit)) in self.enforced(hits).enumerate() {
            let Some(bucket) = rule.bucket(hit) else {
                continue;
            };
            let wait = match till.take(bucket, rule.cost) {
                Ok(level) => {
                    match &rule.tells {
                        Tells::XRateLimit if level.is_slower_than(slowest) => {
                            slowest = Some(level);
                        }
                        Tells::XRateLimit | Tells::Nothing => {}
                        Tells::RateLimit(member) => {
                            lists.add_policy(member);
                            lists.add_limit(member, level);
                        }
                    }
                    if level.wait_ns > 0 {
                        longest_wait = level.wait_ns.max(longest_wait);
                        waiting.push(Action::Count(rule.queued));
                    }
                    continue;
                }
                Err(wait) => wait,
            };
            for (rule, hit) in self.enforced(hits).take(done) {
                if let Some(bucket) = rule.bucket(hit) {
                    till.give_back(bucket, rule.cost);
                }
            }
            let mut refusals = vec![Refusal {
                hit,
                wait: Some(wait),
            }];
            for (rule, hit) in self.enforced(hits).skip(done + 1) {
                let wait = rule.bucket(hit).and_then(|it| till.look(it, rule.cost));
                refusals.extend(wait.map(|wait| Refusal {
                    hit,
                    wait: Some(wait),
                }));
            }
            if let Some(refusal) = self.longest(&refusals, till) {
                return Err(refusal);
            }
        }
        till.event.out.append(&mut waiting);
        Ok((Standing::new(slowest, lists), longest_wait))
    }

    /// Counts the refusals; gives the one that will last longest.
    fn longest<H>(&self, refusals: &[Refusal], till: &mut Till<'_, '_, H>) -> Option<Refusal> {
        for refusal in refusals {
            if let Some(rule) = self.rules.get(refusal.hit.rule) {
                till.event.count(rule.limited);
            }
        }
        refusals
            .iter()
            .max_by_key(|refusal| refusal.wait.unwrap_or(u64::MAX))
            .copied()
    }

    fn rules_of<'a>(&'a self, hits: &'a [Hit]) -> impl Iterator<Item = (&'a Rule, Hit)> {
        hits.iter()
            .filter_map(|hit| Some((self.rules.get(hit.rule)?, *hit)))
    }

    fn enforced<'a>(&'a self, hits: &'a [Hit]) -> impl Iterator<Item = (&'a Rule, Hit)> {
        self.rules_of(hits).filter(|(rule, _)| !rule.shadow)
    }
}

impl Rule {
    /// The bucket that a request takes from, if there is one.
    fn bucket(&self, hit: Hit) -> Option<BucketRef> {
        let Allowance::Buckets(limit) = self.limit else {
            return None;
        };
        let key = hit.key;
        Some(BucketRef { limit, key })
    }

    /// The places that a request takes one of, if they are counted.
    fn place(&self, hit: Hit) -> Option<PlaceRef> {
        let (bound, key) = (self.bound?, hit.key);
        Some(PlaceRef { bound, key })
    }

    /// Whether a request would pass this rule. If so, it pays and takes its
    /// place.
    fn passes_in_shadow<H: Host>(
        &self,
        hit: Hit,
        till: &mut Till<'_, '_, H>,
        places: &mut Vec<PlaceRef>,
    ) -> bool {
        let place = self.place(hit);
        if let Some(place) = place
            && !till.enter(place)
        {
            self.count_crowded(hit, till);
            return false;
        }
        let pays = match (self.limit, self.bucket(hit)) {
            (_, Some(bucket)) => till.take(bucket, self.cost).is_ok(),
            (limit, None) => limit == Allowance::Everything,
        };
        match place {
            Some(place) if pays => places.push(place),
            Some(place) => till.leave(place),
            None => {}
        }
        pays
    }

    fn count_crowded<H: Host>(&self, hit: Hit, till: &mut Till<'_, '_, H>) {
        let bound = self.place(hit).and_then(|it| till.bounds.get(it.bound));
        till.event
            .out
            .extend(bound.map(|bound| Action::Count(bound.crowded)));
    }

    /// The bucket that this request takes from: one for each route and each
    /// combination of `Distinct` values.
    fn key(&self, request: &Request<'_>, seed: [u64; 2], route: u64) -> Key {
        let mut hasher = SipHasher::new(seed);
        hasher.write_u64(self.identity);
        hasher.write_u64(if self.per_route { route } else { 0 });
        let selector = &self.selector;
        for header in &selector.headers {
            if header.condition == ValueCondition::Distinct {
                let value = request.header(header.name.as_str());
                hasher.write_value(&value.unwrap_or_default());
            }
        }
        for param in &selector.query_params {
            if param.condition == ValueCondition::Distinct {
                let value = request.query_param(&param.name);
                hasher.write_value(&value.unwrap_or_default());
            }
        }
        for condition in &selector.metadata {
            if condition.condition.is_none() {
                let value = request.metadata(&condition.path);
                hasher.write_value(value.unwrap_or_default());
            }
        }
        if selector.sources.iter().any(|source| source.distinct)
            && let Some(address) = request.source()
        {
            match address.to_canonical() {
                std::net::IpAddr::V4(address) => hasher.write_value(&address.octets()),
                std::net::IpAddr::V6(address) => hasher.write_value(&address.octets()),
            }
        }
        Key::new(hasher.finish())
    }
}

/// A hash of a route's name. Names are configuration, not data of clients.
pub(crate) fn route_hash(name: &[u8]) -> u64 {
    let mut hasher = SipHasher::new([0, 0]);
    hasher.write(name);
    hasher.finish()
}

/// What a rule is called in metrics and headers: by its name, or its place.
fn rule_name(rule: &LocalRule) -> String {
    match &rule.name {
        Some(name) => name.clone(),
        None => format!("rule_{}", rule.index),
    }
}

#[cfg(test)]
mod tests;
