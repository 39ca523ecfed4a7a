//! What is counted for a request, and what the counts say (`GetHitsAddends`,
//! `GenerateCacheKey`, `GetResponseDescriptorStatus`).

use std::fmt::Write as _;

use anyhow::Result;

use super::config::{Config, Limit};
use crate::rls::{
    Code, CurrentLimit, DescriptorStatus, Duration, RateLimitDescriptor, RateLimitRequest,
    RateLimitResponse,
};

/// A descriptor that has a limit.
#[derive(Debug)]
pub(super) struct Asked {
    limit: Limit,
    pub(super) increment: Increment,
}

/// What is added to a count.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Increment {
    /// The count's name: domain, entries and the beginning of the window.
    pub(super) key: String,
    /// How much; 0 only asks.
    pub(super) hits: u64,
    /// When no request can reach it any more.
    pub(super) expires_after_s: u64,
}

/// What is to be counted for each descriptor; nothing for one without a limit.
pub(super) fn asked(
    config: &Config,
    request: &RateLimitRequest,
    now: u64,
) -> Result<Vec<Option<Asked>>> {
    let one = |descriptor: &RateLimitDescriptor| {
        let limit = config.limit(&request.domain, descriptor)?;
        Ok(limit.map(|limit| Asked {
            limit,
            increment: Increment {
                key: key(&request.domain, descriptor, limit, now),
                hits: hits(descriptor, request),
                expires_after_s: limit.window.seconds(),
            },
        }))
    };
    request.descriptors.iter().map(one).collect()
}

/// What the counts say after they have been added to, one for each descriptor that has a
/// limit.
pub(super) fn response(
    asked: &[Option<Asked>],
    counts: impl IntoIterator<Item = u64>,
    now: u64,
) -> RateLimitResponse {
    let mut counts = counts.into_iter();
    let one = |asked: &Option<Asked>| match asked {
        Some(asked) => status(asked.limit, counts.next().unwrap_or_default(), now),
        None => DescriptorStatus {
            code: Code::Ok.into(),
            ..DescriptorStatus::default()
        },
    };
    let statuses: Vec<DescriptorStatus> = asked.iter().map(one).collect();
    let is_over = statuses.iter().any(|it| it.code() == Code::OverLimit);
    let overall = if is_over { Code::OverLimit } else { Code::Ok };
    RateLimitResponse {
        overall_code: overall.into(),
        statuses,
    }
}

fn status(limit: Limit, count: u64, now: u64) -> DescriptorStatus {
    let remaining = u64::from(limit.requests_per_unit).checked_sub(count);
    let code = match remaining {
        None if !limit.shadow_mode => Code::OverLimit,
        _ => Code::Ok,
    };
    let rest = i64::try_from(limit.window.rest(now)).unwrap_or(i64::MAX);
    DescriptorStatus {
        code: code.into(),
        current_limit: Some(CurrentLimit {
            requests_per_unit: limit.requests_per_unit,
            unit: limit.window.unit().into(),
        }),
        limit_remaining: u32::try_from(remaining.unwrap_or(0)).unwrap_or(u32::MAX),
        duration_until_reset: Some(Duration { seconds: rest }),
    }
}

/// Its own number, which may be 0, else the request's, where 0 is one that was not said.
fn hits(descriptor: &RateLimitDescriptor, request: &RateLimitRequest) -> u64 {
    let whole = u64::from(request.hits_addend.max(1));
    descriptor.hits_addend.map_or(whole, |own| own.value)
}

fn key(domain: &str, descriptor: &RateLimitDescriptor, limit: Limit, now: u64) -> String {
    let mut key = format!("{domain}_");
    for entry in &descriptor.entries {
        let _ = write!(key, "{}_{}_", entry.key, entry.value);
    }
    let _ = write!(key, "{}", limit.window.start(now));
    key
}

#[cfg(test)]
mod tests;
