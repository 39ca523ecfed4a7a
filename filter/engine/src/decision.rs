//! The access log's record of an exchange: what policies did to it, or would have done in
//! shadow mode.
//!
//! ```text
//! NAMESPACE/NAME CAPABILITY[/RULE]=ACTION[:VALUE] …; NAMESPACE/NAME …
//! ```
//!
//! Decisions are in order; a policy's name is written where it changes. A decision that is
//! in the text already is not written again, because retries and redirects evaluate the same
//! rules again. The text is read and extended in place, so that all instances of the filter
//! write one line.

use crate::host::metrics::{Label, Labels};

/// The most bytes of the text.
const MOST: usize = 512;
/// The last bytes of a text that more would have come to.
const CUT: &[u8] = b" +";
const NANOS_PER_MS: u64 = 1_000_000;

macro_rules! actions {
    ($($name:ident = $capability:literal $text:literal;)*) => {
        /// What a policy did. docs/reference/access-log.md says when.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Decided {
            $($name,)*
        }

        impl Decided {
            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$name,)*];

            /// The capability, as `enforce` names it, and the action.
            fn names(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$name => ($capability, $text),)*
                }
            }
        }
    };
}

actions! {
    Delayed = "faultInjection" "delayed";
    Aborted = "faultInjection" "aborted";
    Limited = "rateLimit" "limited";
    ShadowLimited = "rateLimit" "shadow_limited";
    Queued = "rateLimit" "queued";
    ConcurrencyLimited = "rateLimit" "concurrency_limited";
    ShadowConcurrencyLimited = "rateLimit" "shadow_concurrency_limited";
    MissingKey = "rateLimit" "missing_key";
    ShadowMissingKey = "rateLimit" "shadow_missing_key";
    TooLarge = "requestBuffer" "too_large";
    Timeout = "requestBuffer" "timeout";
    BufferFull = "requestBuffer" "full";
    ExpectationFailed = "requestBuffer" "expectation_failed";
    BodyUnseen = "requestBuffer" "body_unseen";
    HostOverflow = "requestBuffer" "envoy_overflow";
    Overridden = "responseOverride" "overridden";
    Redirected = "responseOverride" "redirected";
    BudgetExhausted = "retry" "budget_exhausted";
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    /// No value, except the class of a request.
    None,
    /// A time in nanoseconds.
    Nanos(u64),
    /// An HTTP status.
    Status(u16),
    /// The connection broke.
    Reset,
}

/// Adds what the policy or the rule with these labels decided; false if that changes
/// nothing.
#[inline(never)]
pub(crate) fn add(text: &mut Vec<u8>, labels: &Labels, decided: Decided, value: Value) -> bool {
    if text.ends_with(CUT) {
        return false;
    }
    let mut policy = Vec::new();
    push_name(&mut policy, &labels.namespace);
    policy.push(b'/');
    push_name(&mut policy, &labels.policy);
    let entry = entry(labels, decided, value);
    if parts(text).any(|(name, mut entries)| name == policy && entries.any(|it| it == entry)) {
        return false;
    }
    let mut more = Vec::new();
    if parts(text).last().is_none_or(|(name, _)| name != policy) {
        if !text.is_empty() {
            more.extend_from_slice(b"; ");
        }
        more.append(&mut policy);
    }
    more.push(b' ');
    more.extend(entry);
    let left = (MOST - CUT.len()).checked_sub(text.len());
    match left {
        // Somebody else has written it.
        None => return false,
        Some(left) if more.len() <= left => text.append(&mut more),
        Some(_) => text.extend_from_slice(CUT),
    }
    true
}

fn entry(labels: &Labels, decided: Decided, value: Value) -> Vec<u8> {
    let (capability, action) = decided.names();
    let mut entry = capability.as_bytes().to_vec();
    let rule = labels.value(Label::Rule);
    if !rule.is_empty() {
        entry.push(b'/');
        push_name(&mut entry, rule);
    }
    entry.push(b'=');
    entry.extend_from_slice(action.as_bytes());
    let value = match value {
        Value::None => labels.value(Label::Class).to_owned(),
        Value::Nanos(nanos) => nanos.div_ceil(NANOS_PER_MS).to_string() + "ms",
        Value::Status(status) => status.to_string(),
        Value::Reset => "reset".to_owned(),
    };
    if !value.is_empty() {
        entry.push(b':');
        push_name(&mut entry, &value);
    }
    entry
}

/// Adds a name in which nothing can be taken for the end of an entry or a line.
fn push_name(text: &mut Vec<u8>, name: &str) {
    text.extend(name.bytes().map(|byte| match byte {
        b'-' | b'.' => byte,
        byte if byte.is_ascii_alphanumeric() => byte,
        _ => b'_',
    }));
}

/// The policies of a text, and what each decided.
fn parts(text: &[u8]) -> impl Iterator<Item = (&[u8], impl Iterator<Item = &[u8]>)> {
    text.split(|byte| *byte == b';').filter_map(|part| {
        let mut words = part.split(|byte| *byte == b' ').filter(|it| !it.is_empty());
        Some((words.next()?, words))
    })
}

#[cfg(test)]
mod tests;
