//! The request values that overrides need when the response arrives: request headers cannot
//! be read then any more.
//!
//! A client decides how long that takes and how much it sends. So a value is stored only
//! once and unescaped, only as much of it as can be printed, only while a rule can still
//! match, and within two bounds. A value that does not fit is printed like a missing one.

use std::borrow::Cow;

use btp_policy::scalar::{HeaderChoice, Operator};

use super::Overrides;
use super::accept;
use super::captured::{CapturedValue, CapturedValues, Part, Shortage, ValueLimits};
use crate::event::Event;
use crate::host::Host;
use crate::request::selector::meets_any;
use crate::request::{Request, percent_decoded};

/// What was kept of a request.
#[derive(Debug, Default)]
pub(crate) struct RequestSnapshot {
    values: CapturedValues,
    /// One bit for each rule with conditions on requests: they are met.
    met: u64,
    /// When the filter saw the request, on the host's monotonic clock.
    pub(super) started_ns: Option<u64>,
}

/// A value that rules need when the response is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// An operator's, and the most bytes of it that are printed.
    Operator(Operator, usize),
    /// What the client accepts.
    Accept,
}

/// An item, and whose it is.
#[derive(Debug)]
pub(super) struct PlannedItem {
    pub(super) item: Item,
    /// The bits of the rules that need it, unless one without conditions does.
    rules: u64,
    always: bool,
}

const PATH: &str = ":path";

impl Item {
    /// A query parameter.
    fn is_param(&self) -> bool {
        matches!(self, Self::Operator(Operator::QueryParam(_), _))
    }
}

impl PlannedItem {
    /// Notes that the rule with this bit, or one without conditions (0), needs
    /// `item`. Parameters come behind the path that they are part of.
    pub(super) fn note(planned: &mut Vec<Self>, item: Item, bit: u64) {
        let known = planned.iter_mut().find(|other| other.item == item);
        if let Some(known) = known {
            known.rules |= bit;
            known.always |= bit == 0;
            return;
        }
        let place = if item.is_param() {
            planned.len()
        } else {
            planned.partition_point(|other| !other.item.is_param())
        };
        let item = Self {
            item,
            rules: bit,
            always: bit == 0,
        };
        planned.insert(place, item);
    }

    /// The query parameter that it is, if it is one.
    pub(super) fn param(&self) -> Option<String> {
        match &self.item {
            Item::Operator(Operator::QueryParam(name), _) => Some(name.clone()),
            _ => None,
        }
    }
}

impl RequestSnapshot {
    /// The time alone.
    pub(crate) fn of_time(started_ns: Option<u64>) -> Self {
        Self {
            started_ns,
            ..Self::default()
        }
    }

    /// Whether the request meets the conditions that have this bit.
    pub(super) fn meets(&self, bit: u64) -> bool {
        self.met & bit == bit
    }

    /// The response is decided: nothing will be asked any more.
    pub(crate) fn release(&mut self) {
        self.values = CapturedValues::Nothing;
    }
}

impl Overrides {
    /// When the request began, if any rule prints how long it took.
    pub(crate) fn started_ns<H: Host>(&self, event: &mut Event<'_, H>) -> Option<u64> {
        self.prints_duration.then(|| event.now_ns())
    }

    /// Keeps what the rules will ask of this request.
    #[inline(never)]
    pub(crate) fn capture<'a>(
        &'a self,
        request: &Request<'a>,
        started_ns: Option<u64>,
        limits: ValueLimits<'_>,
    ) -> (RequestSnapshot, Shortage) {
        let conditional = self.rules.iter().filter(|rule| rule.condition_bit != 0);
        let met = conditional
            .filter(|rule| meets_any(request, &rule.rule.matching.requests))
            .fold(0, |met, rule| met | rule.condition_bit);
        let needed = |planned: &PlannedItem| planned.always || planned.rules & met != 0;
        let mut shortage = Shortage::default();
        let found = self.items.iter().map(|planned| {
            let found = needed(planned).then(|| find(&planned.item, request));
            found.flatten()
        });
        let snapshot = RequestSnapshot {
            values: CapturedValues::keep(found, limits, &mut shortage),
            met,
            started_ns,
        };
        (snapshot, shortage)
    }

    /// The value of an operator of which so many bytes are printed.
    pub(super) fn captured_value<'a>(
        &self,
        operator: &Operator,
        length: Option<usize>,
        snapshot: &'a RequestSnapshot,
    ) -> CapturedValue<'a> {
        let length = length.unwrap_or(usize::MAX);
        let is_it = |item: &Item| matches!(item, Item::Operator(other, most) if other == operator && *most == length);
        let value = self.captured(is_it, snapshot);
        match (operator, value) {
            (Operator::QueryParam(_), CapturedValue::Value(Cow::Borrowed(raw))) => {
                CapturedValue::Value(percent_decoded(raw))
            }
            (_, value) => value,
        }
    }

    /// What the client accepts; what could not be kept says nothing.
    pub(super) fn accepted<'a>(&self, snapshot: &'a RequestSnapshot) -> Option<Cow<'a, [u8]>> {
        self.captured(|item| *item == Item::Accept, snapshot)
            .value()
    }

    fn captured<'a>(
        &self,
        is_it: impl Fn(&Item) -> bool,
        snapshot: &'a RequestSnapshot,
    ) -> CapturedValue<'a> {
        let index = self.items.iter().position(|planned| is_it(&planned.item));
        index.map_or(CapturedValue::Absent, |index| snapshot.values.get(index))
    }
}

/// Where in a request an item's value is.
fn find<'a>(item: &'a Item, request: &Request<'a>) -> Option<Part<'a>> {
    let header = |name: &'a str| {
        let value = request.header(name)?;
        Some(Part::whole(name, value))
    };
    let (operator, most) = match item {
        Item::Operator(operator, most) => (operator, *most),
        Item::Accept => {
            let accept = header("accept")?;
            let usable = accept::usable(&accept.bytes).len();
            return Some(accept.cut(usable));
        }
    };
    let found = match operator {
        Operator::Request(HeaderChoice { name, or }) => {
            header(name).or_else(|| header(or.as_deref()?))?
        }
        Operator::Path { query: true } => Part::whole(PATH, request.full_path()?.into()),
        Operator::Path { query: false } => Part::whole(PATH, request.path().into()),
        Operator::QueryParam(name) => {
            let (start, raw) = request.raw_query_param(name)?;
            return Some(Part {
                header: PATH,
                start,
                bytes: encoded_prefix(raw, most).into(),
            });
        }
        _ => return None,
    };
    Some(found.cut(most))
}

/// As much of a percent-encoded text as decodes to `most` bytes.
fn encoded_prefix(raw: &[u8], most: usize) -> &[u8] {
    if raw.len() <= most {
        return raw;
    }
    let mut rest = raw;
    for _ in 0..most {
        let is_hex = |byte: &u8| byte.is_ascii_hexdigit();
        rest = match rest {
            [b'%', high, low, after @ ..] if is_hex(high) && is_hex(low) => after,
            [_, after @ ..] => after,
            [] => break,
        };
    }
    raw.get(..raw.len() - rest.len()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
