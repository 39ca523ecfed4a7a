//! `responseOverride`: which responses are replaced. The engine gets a response of each
//! status, one from an upstream and one that Envoy makes itself.

use btp_engine::testing::Outcome;
use btp_policy::Position;
use btp_policy::spec::{OverrideRule, Source, Spec};

use super::conditions::{Applies, meets_any};
use super::trial::Trial;
use super::{Decision, Item};

/// Every status of a response that can be replaced.
const STATUSES: std::ops::RangeInclusive<u16> = 200..=599;

/// What response headers must be for a rule is not known beforehand.
pub(super) fn decide(rules: &[OverrideRule], trial: &Trial<'_>) -> Decision {
    let unknown = rules.iter().enumerate().find_map(|(place, rule)| {
        let requests = &rule.matching.requests;
        let why = meets_any(requests, trial.asked).unknown()?.to_owned();
        Some(format!("unknown: responseOverride[{place}]: {why}"))
    });
    let mut items: Vec<Item> = rules
        .iter()
        .enumerate()
        .map(|(place, rule)| {
            let name = format!("responseOverride[{place}]");
            let applies = meets_any(&rule.matching.requests, trial.asked);
            Item::new(name, applies, vec![conditions(rule)])
        })
        .collect();
    let answer = match unknown {
        Some(unknown) => unknown,
        None => {
            let table = table(trial);
            let count = table.len();
            items.extend(table);
            match count {
                0 => "no response is replaced by its status alone".to_owned(),
                _ => "responses are replaced by status, as listed below".to_owned(),
            }
        }
    };
    Decision {
        field: "responseOverride",
        answer,
        items,
    }
}

/// A row for each run of statuses that come to the same.
fn table(trial: &Trial<'_>) -> Vec<Item> {
    let column = |details| {
        let mut proxy = trial.proxy(Spec::default(), Position::Downstream);
        let mut runs: Vec<Run> = Vec::new();
        for status in STATUSES {
            let outcome = trial.send_for(&mut proxy, status, details);
            let Some(cell) = Run::of(status, &outcome) else {
                continue;
            };
            match runs.last().and_then(|last| last.joined(&cell)) {
                Some(joined) => runs.splice(runs.len() - 1.., [joined]).for_each(drop),
                None => runs.push(cell),
            }
        }
        runs
    };
    let (upstream, local) = (column("via_upstream"), column("route_not_found"));
    let of_upstream = upstream.iter().map(|run| match local.contains(run) {
        true => run.row(""),
        false => run.row(" of an upstream"),
    });
    let others = local.iter().filter(|run| !upstream.contains(run));
    let of_envoy = others.map(|run| run.row(" of Envoy's own"));
    of_upstream.chain(of_envoy).collect()
}

/// Statuses in a row that come to the same.
#[derive(Clone, PartialEq)]
struct Run {
    first: u16,
    last: u16,
    /// All of them become this one …
    status: Option<String>,
    /// … or each stays as it is.
    stays: bool,
    /// What else the client gets.
    rest: String,
}

impl Run {
    /// One status; `None`: the response is not replaced.
    fn of(status: u16, outcome: &Outcome) -> Option<Self> {
        let response = &outcome.response;
        let now = response.get(":status").unwrap_or_default();
        let stays = now == status.to_string();
        if stays && response.headers.len() == 1 && response.body.is_empty() {
            return None;
        }
        let mut rest = String::new();
        if let Some(kind) = response.get("content-type") {
            rest.push_str(&format!(", {kind}"));
        }
        if let Some(place) = response.get("location") {
            rest.push_str(&format!(", to {place}"));
        }
        let size = response.body.len();
        if size > 0 {
            rest.push_str(&format!(", {size} bytes"));
        }
        Some(Self {
            first: status,
            last: status,
            status: Some(now.to_owned()),
            stays,
            rest,
        })
    }

    /// Both as one, if they come to the same.
    fn joined(&self, next: &Self) -> Option<Self> {
        let status = self.status.clone().filter(|_| self.status == next.status);
        let stays = self.stays && next.stays;
        let fits = self.last + 1 == next.first && self.rest == next.rest;
        (fits && (stays || status.is_some())).then(|| Self {
            first: self.first,
            last: next.last,
            status,
            stays,
            rest: self.rest.clone(),
        })
    }

    fn row(&self, whose: &str) -> Item {
        let (first, last) = (self.first, self.last);
        let statuses = match first == last {
            true => first.to_string(),
            false => format!("{first} to {last}"),
        };
        let status = self.status.as_deref().unwrap_or("the same status");
        let what = format!("{status}{}", self.rest);
        Item::new(format!("{statuses}{whose}"), Applies::Yes, vec![what])
    }
}

/// What it asks of a response beside its status.
fn conditions(rule: &OverrideRule) -> String {
    let matching = &rule.matching;
    let mut asks = Vec::new();
    match rule.source {
        Source::All => {}
        Source::Local => asks.push("Envoy generated it".to_owned()),
        Source::Backend => asks.push("an upstream sent it".to_owned()),
    }
    for header in &matching.headers {
        asks.push(format!("its header {} matches", header.name.as_str()));
    }
    if !matching.grpc_statuses.is_empty() {
        let statuses: Vec<String> = matching.grpc_statuses.iter().map(u8::to_string).collect();
        asks.push(format!("its gRPC status is {}", statuses.join(" or ")));
    }
    match asks.is_empty() {
        true => "by the status alone".to_owned(),
        false => format!("if {}", asks.join(" and ")),
    }
}
