//! `rateLimit.local`: which rules count the request, and when it is refused.

use btp_engine::counting_rules;
use btp_policy::spec::{LocalRateLimit, LocalRule, Mode, RateLimit, Spec};

use super::conditions::{Applies, keys, meets, meets_any};
use super::faults::reply;
use super::trial::{MOST, Trial};
use super::{Decision, Item};

pub(super) fn decide(local: &LocalRateLimit, trial: &Trial<'_>) -> Decision {
    let asked = trial.asked;
    let decision = |answer: String, items| Decision {
        field: "rateLimit.local",
        answer,
        items,
    };
    if local.disabled || local.rules.is_empty() {
        return decision("nothing is limited".to_owned(), Vec::new());
    }
    if !local.exempt.is_empty() {
        match meets_any(&local.exempt, asked) {
            Applies::Yes => {
                return decision("no rule counts it: it is exempt".to_owned(), Vec::new());
            }
            Applies::Unknown(why) => {
                return decision(format!("unknown: exempt: {why}"), Vec::new());
            }
            Applies::No(_) => {}
        }
    }
    let counting = counting_rules(local, &asked.headers(), asked.source);
    let of = |(place, rule): (usize, &LocalRule)| {
        let counts = counting.contains(&place);
        let applies = match meets(&rule.selector, asked) {
            Applies::Yes if counts => Applies::Yes,
            Applies::Yes if rule.selector.is_empty() => {
                Applies::No("it counts requests that no other rule counts".to_owned())
            }
            Applies::Yes if local.mode == Mode::FirstMatch => {
                Applies::No("an earlier rule counts it (mode: FirstMatch)".to_owned())
            }
            other => other,
        };
        item(place, rule, applies, trial)
    };
    let items: Vec<Item> = local.rules.iter().enumerate().map(of).collect();
    let unknown = items
        .iter()
        .find_map(|it| Some((&it.name, it.applies.unknown()?)));
    let answer = match unknown {
        Some((name, why)) => {
            let unknown = format!("unknown: {name}: {why}");
            // The others refuse whom they refuse, whatever this one does.
            let is_sure = local.mode == Mode::AllMatching && !counts_rest(local, &counting);
            match is_sure && !counting.is_empty() {
                true => format!("{}; {unknown}", answer(local, &counting, trial)),
                false => unknown,
            }
        }
        None if counting.is_empty() => "no rule counts it".to_owned(),
        None => answer(local, &counting, trial),
    };
    decision(answer, items)
}

/// Whether one that counts does so for want of another.
fn counts_rest(local: &LocalRateLimit, counting: &[usize]) -> bool {
    let mut rules = counting.iter().filter_map(|place| local.rules.get(*place));
    rules.any(|rule| rule.selector.is_empty())
}

/// When the engine refuses such a request.
fn answer(local: &LocalRateLimit, counting: &[usize], trial: &Trial<'_>) -> String {
    let Some((passed, refused)) = trial.until_refused(with(local.clone())) else {
        return unrefused(local, counting);
    };
    let reply = reply(&refused);
    let by = counting.iter().filter_map(|place| {
        let rule = local.rules.get(*place).filter(|it| !it.shadow_mode)?;
        let alone = LocalRateLimit {
            rules: vec![rule.clone()],
            ..local.clone()
        };
        let (passed, _) = trial.until_refused(with(alone))?;
        Some((passed, name(*place, rule)))
    });
    let by = by.min_by_key(|(passed, _)| *passed);
    let by = by.map_or_else(String::new, |(_, name)| format!(", by {name}"));
    match passed {
        0 => format!("gets {reply}{by}"),
        1 => format!("passes once; the next such request in the same moment gets {reply}{by}"),
        count => {
            format!("{count} such requests in one moment pass, the next one gets {reply}{by}")
        }
    }
}

/// What is to say of a request that nothing has refused.
fn unrefused(local: &LocalRateLimit, counting: &[usize]) -> String {
    let enforced = || {
        let rules = counting.iter().filter_map(|place| local.rules.get(*place));
        rules.filter(|rule| !rule.shadow_mode)
    };
    if enforced().any(|rule| rule.limit.is_some()) {
        return format!("{MOST} such requests in one moment pass; more were not simulated");
    }
    match enforced().any(|rule| rule.concurrency.is_some()) {
        true => "passes unless too many are in flight".to_owned(),
        false => "passes".to_owned(),
    }
}

fn with(local: LocalRateLimit) -> Spec {
    Spec {
        rate_limit: Some(RateLimit { local: Some(local) }),
        ..Spec::default()
    }
}

fn name(place: usize, rule: &LocalRule) -> String {
    match &rule.name {
        Some(name) => format!("rules[{place}] {name}"),
        None => format!("rules[{place}]"),
    }
}

fn item(place: usize, rule: &LocalRule, applies: Applies, trial: &Trial<'_>) -> Item {
    let asked = trial.asked;
    let mut details = Vec::new();
    if let Some(limit) = rule.limit {
        let (requests, unit) = (limit.requests, limit.unit);
        let burst = match limit.burst {
            burst if burst == requests => String::new(),
            burst => format!(", {burst} at once"),
        };
        let cost = match rule.cost {
            1 => String::new(),
            cost => format!("; a request costs {cost}"),
        };
        details.push(match requests {
            0 => "lets nothing pass".to_owned(),
            _ => format!("limit: {requests} per {unit:?}{burst}{cost}"),
        });
    }
    if let Some(concurrency) = &rule.concurrency {
        let class =
            concurrency
                .classes
                .iter()
                .find_map(|class| match meets(&class.selector, asked) {
                    Applies::Yes => Some(format!("its class is {}", class.name)),
                    Applies::Unknown(why) => Some(format!("its class is unknown: {why}")),
                    Applies::No(_) => None,
                });
        let class = match (class, concurrency.classes.is_empty()) {
            (Some(class), _) => format!("; {class}"),
            (None, false) => "; it belongs to no class".to_owned(),
            (None, true) => String::new(),
        };
        details.push(format!("concurrency: {} in flight{class}", concurrency.max));
    }
    let keys = keys(&rule.selector, asked);
    let by = match keys.is_empty() {
        true => "counts all such requests".to_owned(),
        false => format!("counts by {}", keys.join(", ")),
    };
    let routes = match rule.shared {
        true => "all routes together",
        false => "each route apart",
    };
    details.push(format!("{by}, {routes}"));
    if let Some(queue) = rule.queue {
        details.push(format!(
            "queue: waits up to {} for a token",
            queue.max_delay
        ));
    }
    if rule.shadow_mode {
        details.push("shadowMode: counts, and refuses nothing".to_owned());
    }
    let owner = rule.policy.to_string();
    Item {
        policy: (rule.policy != trial.policy.name).then_some(owner),
        ..Item::new(name(place, rule), applies, details)
    }
}
