//! `requestBuffer`: how large the request's body may be.

use btp_policy::Position;
use btp_policy::scalar::Quantity;
use btp_policy::spec::{BufferMode, RequestBuffer, Spec};

use super::conditions::{Applies, meets_any};
use super::faults::reply;
use super::trial::Trial;
use super::{Decision, Item};

pub(super) fn decide(buffer: &RequestBuffer, trial: &Trial<'_>) -> Decision {
    let mut items = Vec::new();
    let mut limit = None;
    let mut unknown = None;
    for (place, rule) in buffer.rules.iter().enumerate() {
        let applies = match (limit, meets_any(&rule.matches, trial.asked)) {
            (Some(_), Applies::Yes) => Applies::No("an earlier rule applies".to_owned()),
            (_, applies) => applies,
        };
        if limit.is_none() {
            unknown = unknown.or_else(|| applies.unknown().map(str::to_owned));
            limit = applies.is_yes().then_some(rule.limit);
        }
        let detail = format!("limit: {}", rule.limit);
        items.push(Item::new(format!("rules[{place}]"), applies, vec![detail]));
    }
    let applies = match limit {
        None => Applies::Yes,
        Some(_) => Applies::No("a rule applies".to_owned()),
    };
    if !buffer.rules.is_empty() {
        let detail = format!("limit: {}", buffer.limit);
        items.push(Item::new("otherwise", applies, vec![detail]));
    }
    let answer = match unknown {
        Some(why) => format!("unknown: {why}"),
        None => answer(buffer, limit.unwrap_or(buffer.limit), trial),
    };
    Decision {
        field: "requestBuffer",
        answer,
        items,
    }
}

fn answer(buffer: &RequestBuffer, limit: Quantity, trial: &Trial<'_>) -> String {
    let how = match buffer.mode {
        BufferMode::Buffer => "buffered before it is forwarded",
        BufferMode::Stream => "counted as it passes",
    };
    match trial.asked.body {
        None => format!("a body of at most {limit} passes, {how}"),
        Some(0) => "there is no body".to_owned(),
        Some(size) => {
            let spec = Spec {
                request_buffer: Some(buffer.clone()),
                ..Spec::default()
            };
            let mut proxy = trial.proxy(spec, Position::Downstream);
            let outcome = trial.send(&mut proxy);
            let size = Quantity::new(size);
            match outcome.upstream_requests {
                0 => format!(
                    "a body of {size} gets {}: the limit is {limit}",
                    reply(&outcome)
                ),
                _ => format!("a body of {size} passes, {how}: the limit is {limit}"),
            }
        }
    }
}
