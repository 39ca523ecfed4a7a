//! Facts about the filter's hostcalls beyond the trace, which has numbers only: which
//! numbers select the result, and which text a size belongs to.

use anyhow::{Context, Result, bail};

use crate::trace::Call;

/// An argument.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Argument {
    /// A size, an amount, or a number of the ABI; the trace has all of them without a sign.
    Number,
    /// A metric: its last bits are its kind.
    Metric,
    /// Where something is, or what differs each time.
    Other,
}
use Argument::{Metric, Number, Other};

/// A header that is read or written.
struct Header {
    map: i64,
    name: &'static str,
    /// What is written, where it matters to Envoy.
    value: Option<&'static str>,
}

/// The hostcalls that a replay can make, with their arguments.
const HOSTCALLS: [(&str, &[Argument]); 13] = [
    ("clock_time_get", &[Number, Other, Other]),
    ("proxy_get_property", &[Other, Number, Other, Other]),
    ("proxy_set_property", &[Other, Number, Other, Number]),
    ("proxy_get_header_map_pairs", &[Number, Other, Other]),
    (
        "proxy_get_header_map_value",
        &[Number, Other, Number, Other, Other],
    ),
    (
        "proxy_add_header_map_value",
        &[Number, Other, Number, Other, Number],
    ),
    (
        "proxy_replace_header_map_value",
        &[Number, Other, Number, Other, Number],
    ),
    ("proxy_remove_header_map_value", &[Number, Other, Number]),
    (
        "proxy_get_shared_data",
        &[Other, Number, Other, Other, Other],
    ),
    (
        "proxy_set_shared_data",
        &[Other, Number, Other, Number, Other],
    ),
    ("proxy_get_metric", &[Metric, Other]),
    ("proxy_increment_metric", &[Metric, Number]),
    ("proxy_record_metric", &[Metric, Other]),
];
const METRIC_KIND: i64 = 3;

const REQUEST: i64 = 0;
const RESPONSE: i64 = 2;

/// The headers that the filter reads by name, or writes.
const HEADERS: [Header; 11] = [
    Header::new(REQUEST, ":method"),
    Header::new(REQUEST, "content-type"),
    Header::with(REQUEST, "x-envoy-retry-on", "5xx"),
    Header::new(REQUEST, "x-envoy-max-retries"),
    Header::new(RESPONSE, ":status"),
    Header::new(RESPONSE, "content-type"),
    Header::new(RESPONSE, "grpc-status"),
    Header::new(RESPONSE, "x-envoy-ratelimited"),
    Header::new(RESPONSE, "x-ratelimit-limit"),
    Header::new(RESPONSE, "x-ratelimit-remaining"),
    Header::new(RESPONSE, "x-ratelimit-reset"),
];

/// The properties that it reads or sets; `/` stands for the NUL in a path.
const PROPERTIES: [&str; 4] = [
    "xds/route_name",
    "btp_exchange",
    "response/code_details",
    "upstream/request_attempt_count",
];

impl Header {
    const fn new(map: i64, name: &'static str) -> Self {
        Self {
            map,
            name,
            value: None,
        }
    }

    const fn with(map: i64, name: &'static str, value: &'static str) -> Self {
        Self {
            map,
            name,
            value: Some(value),
        }
    }
}

/// The arguments that select the result.
pub(super) fn arguments(call: Call<'_>) -> Result<Vec<i64>> {
    let known = HOSTCALLS.iter().find(|(name, _)| *name == call.name);
    let (_, kinds) = known.with_context(|| format!("{} cannot be replayed", call.name))?;
    let mut kept = Vec::new();
    for (argument, kind) in call.arguments().zip(*kinds) {
        let number = || argument.parse::<u64>().context(argument.to_owned());
        match kind {
            Number => kept.push(number()?.cast_signed()),
            Metric => kept.push(number()?.cast_signed() & METRIC_KIND),
            Other => {}
        }
    }
    Ok(kept)
}

/// A property with a path of this size.
pub(super) fn property(size: i64) -> Result<&'static str> {
    let mut properties = PROPERTIES.iter().copied();
    let found = properties.find(|it| has_size(it, size));
    found.with_context(|| format!("a property of {size} bytes is not in the table"))
}

/// A header with a name of this size. Of several, each has its turn: `before` is how
/// often the exchange has had such a one.
pub(super) fn header(map: i64, size: i64, before: usize) -> Result<&'static str> {
    let fits = |it: &&Header| it.map == map && has_size(it.name, size);
    let found: Vec<&Header> = HEADERS.iter().filter(fits).collect();
    let found = found.get(before % found.len().max(1));
    let found = found.map(|header| header.name);
    found.with_context(|| format!("a header of {size} bytes in map {map} is not in the table"))
}

/// A value of this size for it.
pub(super) fn header_value(map: i64, name: &str, size: i64) -> Result<String> {
    let mut headers = HEADERS.iter();
    let header = headers.find(|it| it.map == map && it.name == name);
    match header.and_then(|header| header.value) {
        Some(value) if has_size(value, size) => Ok(value.to_owned()),
        Some(value) => bail!("{name} is written with {size} bytes, and not as {value:?}"),
        None => filler(size),
    }
}

/// So many bytes.
pub(super) fn filler(size: i64) -> Result<String> {
    Ok("1".repeat(usize::try_from(size)?))
}

fn has_size(text: &str, size: i64) -> bool {
    usize::try_from(size).is_ok_and(|size| text.len() == size)
}
