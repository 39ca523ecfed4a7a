//! `faultInjection`: whether the request waits, and whether it is aborted.

use std::collections::VecDeque;

use btp_engine::testing::Outcome;
use btp_policy::Position;
use btp_policy::scalar::{Duration, Ppm};
use btp_policy::spec::{Delay, DelayLength, FaultInjection, Sampling, SamplingKey, Spec, Spread};

use super::conditions::{Applies, meets_any};
use super::trial::{Trial, wall_ms};
use super::{Decision, Item};

/// What a part of it does.
struct Part {
    item: Item,
    /// What happens to the request, if anything may.
    answer: Option<String>,
}

/// The faults that a request's headers request.
struct Requested {
    /// A delay, and an abort, in the place of the policy's.
    asks: (bool, bool),
    part: Part,
}

pub(super) fn decide(fault: &FaultInjection, trial: &Trial<'_>) -> Decision {
    let is_for = is_for(fault, trial);
    let by_headers = requested(fault, trial);
    let asks = by_headers.as_ref().map_or((false, false), |it| it.asks);
    let delay = fault.delay.as_ref();
    let abort = fault.abort.as_ref();
    let parts: Vec<Part> = [
        delay.map(|delay| delayed(delay, fault, trial).unless(asks.0)),
        abort.map(|abort| aborted(abort.share, fault, trial).unless(asks.1)),
        by_headers.map(|it| it.part),
    ]
    .into_iter()
    .flatten()
    .collect();
    let answers: Vec<&str> = parts.iter().filter_map(|it| it.answer.as_deref()).collect();
    let answer = match &is_for {
        Applies::No(why) => format!("nothing is injected: {why}"),
        Applies::Unknown(why) => format!("unknown: {why}"),
        Applies::Yes if answers.is_empty() => "nothing is injected".to_owned(),
        Applies::Yes => answers.join("; "),
    };
    let answer = match fault.position {
        Position::Downstream => answer,
        Position::Upstream => format!("for each attempt behind the router: {answer}"),
    };
    let mut items: Vec<Item> = parts.into_iter().map(|it| it.item).collect();
    if !is_for.is_yes() {
        items.clear();
    }
    if let (Some(most), false) = (fault.max_active, items.is_empty()) {
        let detail = format!("nothing is injected while {most} requests are delayed");
        items.push(Item::new("maxActive", Applies::Yes, vec![detail]));
    }
    Decision {
        field: "faultInjection",
        answer,
        items,
    }
}

impl Part {
    /// The same, unless the request's headers request another one.
    fn unless(self, is_asked: bool) -> Self {
        if !is_asked {
            return self;
        }
        let why = "the request's headers choose another".to_owned();
        Self {
            item: Item::new(self.item.name, Applies::No(why), Vec::new()),
            answer: None,
        }
    }
}

/// Whether the request is one of those that are meant.
fn is_for(fault: &FaultInjection, trial: &Trial<'_>) -> Applies {
    let asked = trial.asked;
    if fault.schedule.is_some_and(|it| !it.covers(wall_ms())) {
        return Applies::No("schedule does not cover this moment".to_owned());
    }
    let agent = asked.request.header("user-agent");
    if fault.exempt_health_checks && agent.as_deref() == Some("Envoy/HC") {
        return Applies::No("Envoy's own health checks are exempt".to_owned());
    }
    if !fault.attempts.is_empty() && !fault.attempts.contains(&1) {
        return Applies::No("it applies to retries, not to the first attempt".to_owned());
    }
    match meets_any(&fault.matches, asked) {
        Applies::No(why) => Applies::No(format!("match: {why}")),
        other => other,
    }
}

fn delayed(delay: &Delay, fault: &FaultInjection, trial: &Trial<'_>) -> Part {
    let only = FaultInjection {
        abort: None,
        header_control: None,
        ..unconditional(fault)
    };
    let outcome = run(only, trial);
    let by_key = key(fault, trial).is_some();
    let how_long = match &delay.length {
        DelayLength::Fixed(fixed) => format!("waits {fixed}"),
        DelayLength::Drawn(_) if by_key && outcome.held_ns > 0 => {
            format!("waits {}", shown(outcome.held_ns))
        }
        DelayLength::Drawn(drawn) => {
            format!("waits, {}, at most {}", spread(&drawn.spread), drawn.max)
        }
    };
    part(
        "delay",
        delay.share,
        (fault, trial),
        outcome.held_ns > 0,
        how_long,
    )
}

fn aborted(share: Ppm, fault: &FaultInjection, trial: &Trial<'_>) -> Part {
    let only = FaultInjection {
        delay: None,
        header_control: None,
        ..unconditional(fault)
    };
    let outcome = run(only, trial);
    let is_hit = match fault.position {
        Position::Downstream => outcome.upstream_requests == 0,
        Position::Upstream => outcome.response.get(":status") != Some("200"),
    };
    let what = match (outcome.is_reset, fault.position) {
        (true, _) => "its connection breaks".to_owned(),
        (false, Position::Downstream) => format!("gets {}", reply(&outcome)),
        (false, Position::Upstream) => {
            format!("its response gets status {}", status(&outcome))
        }
    };
    // Who is not in the share has nothing to show.
    let what = match is_hit {
        true => what,
        false => "is aborted".to_owned(),
    };
    part("abort", share, (fault, trial), is_hit, what)
}

/// The faults that the request's own headers request; `None`: it may not request any.
fn requested(fault: &FaultInjection, trial: &Trial<'_>) -> Option<Requested> {
    let control = fault.header_control?;
    let only = FaultInjection {
        delay: None,
        abort: None,
        sampling: Sampling::Random,
        ..unconditional(fault)
    };
    let outcome = run(only, trial);
    let asks = (outcome.held_ns > 0, outcome.upstream_requests == 0);
    let has = |name: &str| trial.asked.request.header(name).is_some();
    let of = |what: String, share: Ppm, header: &str| match share == Ppm::ALWAYS && !has(header) {
        true => what,
        false => format!("{what} (in at most {} % of such requests)", percent(share)),
    };
    let mut texts = Vec::new();
    if let (true, Some((_, share))) = (asks.0, control.delay) {
        let what = format!("waits {}", shown(outcome.held_ns));
        texts.push(of(what, share, "x-envoy-fault-delay-request-percentage"));
    }
    if let (true, Some(share)) = (asks.1, control.abort) {
        let what = format!("gets {}", reply(&outcome));
        texts.push(of(what, share, "x-envoy-fault-abort-request-percentage"));
    }
    let (applies, answer) = match texts.is_empty() {
        true => {
            let why = "the request has no x-envoy-fault header for a fault";
            (Applies::No(why.to_owned()), None)
        }
        false => (
            Applies::Yes,
            Some(format!("by its own headers, it {}", texts.join(", then "))),
        ),
    };
    Some(Requested {
        asks,
        part: Part {
            item: Item::new(
                "headerControl",
                applies,
                answer.clone().into_iter().collect(),
            ),
            answer,
        },
    })
}

/// One of the two, with its share.
fn part(
    name: &str,
    share: Ppm,
    (fault, trial): (&FaultInjection, &Trial<'_>),
    is_hit: bool,
    what: String,
) -> Part {
    let percent = percent(share);
    let (applies, answer, detail) = match (share, key(fault, trial)) {
        (Ppm::NEVER, _) => (
            Applies::No("its percentage is 0".to_owned()),
            None,
            String::new(),
        ),
        (Ppm::ALWAYS, _) => (
            Applies::Yes,
            Some(what.clone()),
            format!("every request {what}"),
        ),
        (_, Some(key)) if is_hit => {
            let how = format!("{percent} % of requests, chosen by {key}: this one is chosen");
            (Applies::Yes, Some(what), how)
        }
        (_, Some(key)) => {
            let how = format!("{percent} % of requests, chosen by {key}: this one is not chosen");
            (Applies::No(how), None, String::new())
        }
        (_, None) => {
            let answer = format!("{percent} % of such requests: {what}");
            (
                Applies::Yes,
                Some(answer),
                format!("{percent} % of requests at random{}", without_key(fault)),
            )
        }
    };
    Part {
        item: Item::new(name, applies, vec![detail]),
        answer,
    }
}

fn percent(share: Ppm) -> f64 {
    f64::from(share.get()) / 10_000.0
}

/// The key by which the share is chosen, if the request has one that is known.
fn key(fault: &FaultInjection, trial: &Trial<'_>) -> Option<String> {
    let Sampling::Sticky { key, .. } = &fault.sampling else {
        return None;
    };
    let header = |name: &str| {
        let value = trial
            .asked
            .request
            .header(name)
            .filter(|it| !it.is_empty())?;
        Some(format!("header {name} ({value:?})"))
    };
    match key {
        SamplingKey::RequestId => header("x-request-id"),
        SamplingKey::Header(name) => header(name.as_str()),
        SamplingKey::SourceIp => Some(format!("client address ({})", trial.asked.source?)),
    }
}

/// Why a draw by key cannot be told.
fn without_key(fault: &FaultInjection) -> String {
    let Sampling::Sticky { key, .. } = &fault.sampling else {
        return String::new();
    };
    match key {
        SamplingKey::RequestId => {
            ", or by x-request-id, which Envoy generates: give one with -H".to_owned()
        }
        SamplingKey::Header(name) => format!(": it has no header {}", name.as_str()),
        SamplingKey::SourceIp => ", or by the client's address: give --source-ip".to_owned(),
    }
}

/// The same for every request, as far as conditions go.
fn unconditional(fault: &FaultInjection) -> FaultInjection {
    FaultInjection {
        matches: Vec::new(),
        schedule: None,
        attempts: Vec::new(),
        max_active: None,
        ..fault.clone()
    }
}

/// What happens to the request with this fault, if every random draw hits.
fn run(fault: FaultInjection, trial: &Trial<'_>) -> Outcome {
    let position = fault.position;
    let spec = Spec {
        fault_injection: Some(fault),
        ..Spec::default()
    };
    let mut proxy = trial.proxy(spec, position);
    proxy.host.random = VecDeque::from([0; 8]);
    trial.send(&mut proxy)
}

pub(super) fn reply(outcome: &Outcome) -> String {
    format!("{} ({})", status(outcome), outcome.details)
}

fn status(outcome: &Outcome) -> &str {
    outcome.response.get(":status").unwrap_or("no response")
}

/// A time, in whole milliseconds if it has them.
pub(super) fn shown(nanos: u64) -> String {
    let millis = u32::try_from(nanos / 1_000_000);
    Duration::from_millis(millis.unwrap_or(u32::MAX)).to_string()
}

fn spread(spread: &Spread) -> String {
    match spread {
        Spread::Uniform { min } => format!("drawn evenly from {min} on"),
        Spread::Normal { mean, std_dev } => format!("drawn around {mean} (normal, {std_dev})"),
        Spread::LogNormal { p50, p99 } => {
            format!("drawn with a median of {p50} and a 99th percentile of {p99}")
        }
        Spread::Exponential { mean } => format!("drawn around {mean} (exponential)"),
        Spread::Pareto { scale, .. } => format!("drawn from {scale} on (Pareto)"),
        Spread::Empirical { .. } => "drawn from the measured percentiles".to_owned(),
    }
}
