//! Two readings of an Envoy, compared: for each part of a policy its counters with their
//! rates per second, and its gauges.

use std::collections::BTreeMap;
use std::time::Duration;

use super::health::Health;
use super::reading::{Numbers, Process, Reading, Server};
use super::stats::{Capability, Owner, Part};

/// What there is to show.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) server: Server,
    pub(super) process: Process,
    pub(super) health: Health,
    /// The time between the two looks; none after the first.
    pub(super) span: Option<Duration>,
    /// Whether Envoy has started anew between them.
    pub(super) has_restarted: bool,
    /// Whether counters went back all the same.
    pub(super) was_reset: bool,
    pub(super) rules: Vec<Row>,
    pub(super) budgets: Vec<Row>,
}

/// A part of a policy.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) owner: Owner,
    pub(super) counters: BTreeMap<String, Count>,
    pub(super) gauges: BTreeMap<String, i64>,
}

/// A counter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Count {
    pub(super) total: u64,
    /// None after the first look.
    pub(super) per_second: Option<f64>,
}

/// What counters are about, whichever capability has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    /// Requests that a rule let pass.
    Passed,
    /// Requests that the filter answered itself.
    Refused,
    /// Requests that a rule in shadow mode would have refused.
    Shadow,
    /// Requests that had to wait.
    Delayed,
    /// Responses in whose place others went.
    Replaced,
    /// Requests that pay for retries.
    Requests,
    /// Retries that were paid for.
    Retries,
}

impl View {
    /// What to show after a reading, given the one before it.
    pub(super) fn between(before: Option<&Reading>, now: &Reading) -> Self {
        let span = before.map(|it| now.at.saturating_duration_since(it.at));
        let span = span.filter(|it| !it.is_zero());
        let nothing = Numbers::default();
        let mut was_reset = false;
        let rows = now.owners.iter().map(|(owner, numbers)| {
            let before = before.and_then(|it| it.owners.get(owner));
            let before = before.unwrap_or(&nothing);
            let counters = numbers.counters.iter().map(|(what, total)| {
                // One that is new has begun at zero.
                let earlier = before.counters.get(what).copied().unwrap_or(0);
                was_reset |= *total < earlier;
                (what.clone(), Count::since(earlier, *total, span))
            });
            Row {
                owner: owner.clone(),
                counters: counters.collect(),
                gauges: numbers.gauges.clone(),
            }
        });
        let rows: Vec<Row> = rows.collect();
        let is_budget = |it: &Row| it.owner.capability == Capability::RetryConstraint;
        let (budgets, rules) = rows.into_iter().partition(is_budget);
        let has_restarted = before.is_some_and(|it| now.server.uptime < it.server.uptime);
        Self {
            server: now.server.clone(),
            process: now.process.clone(),
            health: Health::of(now),
            span,
            has_restarted,
            was_reset: was_reset && !has_restarted,
            rules,
            budgets,
        }
    }

    /// What all rules have decided.
    pub(super) fn decisions(&self) -> Count {
        // A policy counts what its overrides do as a whole, too.
        let is_part = |it: &&Row| {
            it.owner.capability == Capability::ResponseOverride
                && matches!(it.owner.part, Part::Rule(_))
        };
        let rows = self.rules.iter().filter(|it| !is_part(it));
        rows.fold(Count::none(self.span), |sum, it| sum.plus(it.decisions()))
    }
}

impl Row {
    /// The counters of one meaning; none if it has none of them.
    pub(super) fn sum(&self, figure: Figure) -> Option<Count> {
        let of_figure = self
            .counters
            .iter()
            .filter(|(what, _)| figure_of(&self.owner.capability, what) == Some(figure));
        of_figure.map(|(_, count)| *count).reduce(Count::plus)
    }

    /// How often it has decided something; of a budget, the requests that pay.
    pub(super) fn decisions(&self) -> Count {
        let figures: &[Figure] = match self.owner.capability {
            Capability::RetryConstraint => &[Figure::Requests],
            // Those of a limit that wait are among those that pass.
            Capability::RateLimit => &[Figure::Passed, Figure::Refused, Figure::Shadow],
            _ => &[Figure::Refused, Figure::Delayed, Figure::Replaced],
        };
        let sums = figures.iter().filter_map(|it| self.sum(*it));
        sums.fold(Count::default(), Count::plus)
    }

    /// The counters that no figure has.
    pub(super) fn others(&self) -> impl Iterator<Item = (&str, Count)> {
        let all = self.counters.iter();
        let others = all.filter(|(what, _)| figure_of(&self.owner.capability, what).is_none());
        others.map(|(what, count)| (what.as_str(), *count))
    }
}

impl Count {
    /// A counter whose former value was `before`. If it decreased, it was at zero in
    /// between.
    fn since(before: u64, total: u64, span: Option<Duration>) -> Self {
        let gained = total.checked_sub(before).unwrap_or(total);
        // Exact up to 2^53.
        #[expect(clippy::cast_precision_loss)]
        let gained = gained as f64;
        Self {
            total,
            per_second: span.map(|it| gained / it.as_secs_f64()),
        }
    }

    fn none(span: Option<Duration>) -> Self {
        Self::since(0, 0, span)
    }

    fn plus(self, other: Self) -> Self {
        let per_second = match (self.per_second, other.per_second) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        Self {
            total: self.total.saturating_add(other.total),
            per_second,
        }
    }
}

/// What a counter is about. Those that say more of what another counts have no figure.
fn figure_of(capability: &Capability, what: &str) -> Option<Figure> {
    use Capability as Of;
    Some(match (capability, what) {
        (Of::RateLimit, "admitted") => Figure::Passed,
        (Of::RateLimit, "limited") => Figure::Refused,
        (Of::RateLimit, "shadow_limited") => Figure::Shadow,
        (Of::RateLimit, "queued") => Figure::Delayed,
        (Of::FaultInjection, "fault_delays_injected") => Figure::Delayed,
        (Of::FaultInjection, "fault_aborts_injected") => Figure::Refused,
        (
            Of::RequestBuffer,
            "request_buffer_too_large"
            | "request_buffer_timeouts"
            | "request_buffer_full"
            | "request_buffer_blind"
            | "request_buffer_expectations_failed",
        ) => Figure::Refused,
        (Of::ResponseOverride, "responses_overridden") => Figure::Replaced,
        (Of::RetryConstraint, "retry_budget_requests") => Figure::Requests,
        (Of::RetryConstraint, "retry_budget_retries" | "retry_budget_min_retries") => {
            Figure::Retries
        }
        (Of::RetryConstraint, "retry_budget_refused") => Figure::Refused,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_rate_is_what_was_gained_and_never_negative() {
        let second = Some(Duration::from_millis(500));
        for (before, total, rate) in [(0, 3, 6.0), (3, 3, 0.0), (100, 4, 8.0), (7, 0, 0.0)] {
            let count = Count::since(before, total, second);
            assert_eq!(count.per_second, Some(rate), "{before} to {total}");
            assert_eq!(count.total, total);
        }
        assert_eq!(Count::since(1, 3, None).per_second, None);
    }

    fn reading(at: Instant, seconds: u64, counters: &[(&str, u64)]) -> Reading {
        Reading {
            at: at + Duration::from_secs(seconds),
            server: Server {
                uptime: Duration::from_secs(seconds),
                ..Server::default()
            },
            ..Reading::of(counters)
        }
    }

    #[test]
    fn counters_have_figures_and_what_says_more_of_them_has_none() {
        let at = Instant::now();
        let before = reading(at, 10, &[("wasmcustom.btp.n.p.rate_limit.r.limited", 1)]);
        let now = [
            ("wasmcustom.btp.n.p.rate_limit.r.limited", 3),
            ("wasmcustom.btp.n.p.rate_limit.r.concurrency_limited", 1),
            ("wasmcustom.btp.n.p.rate_limit.r.admitted", 4),
            ("wasmcustom.btp.n.p.rate_limit.r.queued", 4),
            ("wasmcustom.btp.n.p.responses_overridden", 6),
            (
                "wasmcustom.btp.n.p.response_override.0.responses_overridden",
                6,
            ),
            ("wasmcustom.btp.n.p.made_up", 1),
            ("wasmcustom.btp.n.p.retry_budget_requests", 8),
        ];
        let view = View::between(Some(&before), &reading(at, 12, &now));
        assert_eq!((view.rules.len(), view.budgets.len()), (4, 1));
        assert!(!view.has_restarted && !view.was_reset);
        let limits = &view.rules[0];
        assert_eq!(limits.sum(Figure::Refused).unwrap().per_second, Some(1.0));
        assert_eq!(limits.sum(Figure::Shadow), None);
        let others: Vec<&str> = limits.others().map(|(what, _)| what).collect();
        assert_eq!(others, ["concurrency_limited"]);
        // A request that waits is decided once, and an override counted once.
        assert_eq!(view.decisions().total, 3 + 4 + 6);
        assert_eq!(view.budgets[0].decisions().total, 8);
    }

    #[test]
    fn a_restart_is_told_from_a_reset() {
        let at = Instant::now();
        let name = "wasmcustom.btp.n.p.fault_overflow";
        let before = reading(at, 10, &[(name, 5)]);
        let mut again = reading(at, 11, &[(name, 1)]);
        let reset = View::between(Some(&before), &again);
        assert!(reset.was_reset && !reset.has_restarted);
        again.server.uptime = Duration::from_secs(1);
        let restarted = View::between(Some(&before), &again);
        assert!(restarted.has_restarted && !restarted.was_reset);
    }
}
