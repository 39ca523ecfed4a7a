//! `rateLimit.global`: limits that a rate limit service counts for all Envoys.
//!
//! Source: Envoy Gateway's `GlobalRateLimit`. Conditions are those of
//! `rateLimit.local`, and all of all `clientSelectors` must hold; in Envoy Gateway
//! only the last path and the last address range of a rule count.

#[cfg(feature = "schema")]
mod lints;

use crate::code::Code;
use crate::path::Path;
use crate::problem::Problems;
use crate::read::{Cursor, Object};
use crate::regex::Regexes;
use crate::spec::{OnMissing, Selector, Unit, ValueCondition, WHOLE_ADDRESS};

/// One rule of `rateLimit.global.rules`.
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalRule {
    /// Which requests it counts.
    pub selector: Selector,
    /// How many may pass in a time.
    pub limit: GlobalLimit,
    /// What a request costs; `None`: one.
    pub request_cost: Option<Cost>,
    /// What it costs besides when the response has ended; `None`: nothing.
    pub response_cost: Option<Cost>,
    /// One counter for all routes of the policy.
    pub shared: bool,
    /// Count, and refuse nothing.
    pub shadow_mode: bool,
    /// Whether clients are told by the x-ratelimit headers; `None`: as they
    /// are of other rules.
    pub tells: Option<bool>,
}

/// So many requests in so long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalLimit {
    /// The requests; 0 lets none pass.
    pub requests: u32,
    /// The time.
    pub unit: Unit,
    /// What in dynamic metadata is taken in their place, if it is there.
    pub from: Option<MetadataKey>,
}

/// What is taken off a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cost {
    /// So much.
    Number(u32),
    /// What a filter has written into dynamic metadata.
    Metadata(MetadataKey),
}

/// A value of dynamic metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataKey {
    /// Its namespace.
    pub namespace: String,
    /// Its key there.
    pub key: String,
}

/// The most that Envoy adds to a counter at a time.
const MOST_HITS: i64 = 1_000_000_000;

impl GlobalRule {
    /// Reads the `rules` of `global`, in which nothing is of the wrong kind.
    pub fn read_all(
        global: Cursor<'_>,
        regexes: &Regexes,
        problems: &mut Problems,
    ) -> Option<Vec<Self>> {
        let object = global.object_of(&super::schema::GLOBAL, problems)?;
        object
            .required("rules", problems)?
            .list(0..=256, problems, |at, problems| {
                Self::read(at, regexes, problems)
            })
    }

    fn read(at: Cursor<'_>, regexes: &Regexes, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&super::schema::RULE, problems)?;
        let selector = object.or_default("clientSelectors", problems, |at, problems| {
            read_selector(at, regexes, problems)
        });
        let limit = object.required("limit", problems);
        let limit = limit.and_then(|at| GlobalLimit::read(at, problems));
        let costs = object.or_default("cost", problems, read_costs);
        let tells = object.optional("xRateLimitHeaders", problems, |at, problems| {
            at.choice(&[("Off", false), ("DraftVersion03", true)], problems)
        });
        let shared = object.or_default("shared", problems, Cursor::boolean);
        let shadow_mode = object.or_default("shadowMode", problems, Cursor::boolean);
        let [request_cost, response_cost] = costs?;
        Some(Self {
            selector: selector?,
            limit: limit?,
            request_cost,
            response_cost,
            shared: shared?,
            shadow_mode: shadow_mode?,
            tells: tells?,
        })
    }
}

/// Envoy's filter knows no conditions on dynamic metadata, no requests without a value, and
/// no parts of addresses.
fn read_selector(at: Cursor<'_>, regexes: &Regexes, problems: &mut Problems) -> Option<Selector> {
    let selector = Selector::read_all(at, regexes, problems)?;
    if !selector.metadata.is_empty() {
        at.refuse(
            problems,
            Code::LocalOnly,
            "must not have metadata: only rateLimit.local supports conditions on it. Have the \
             filter that writes the metadata also write a header, and use that",
        );
        return None;
    }
    let headers = selector.headers.iter().map(|it| &it.condition);
    let params = selector.query_params.iter().map(|it| &it.condition);
    let mut values = headers.chain(params);
    if values.any(|it| {
        matches!(
            it,
            ValueCondition::Distinct(OnMissing::Limit | OnMissing::Refuse)
        )
    }) {
        at.refuse(
            problems,
            Code::LocalOnly,
            "must not have onMissing Limit or Refuse: a rate limit service does not count \
             requests without the value. Add a rule without this condition, or write a local one",
        );
        return None;
    }
    let mut lengths = selector.sources.iter().filter_map(|it| it.distinct);
    if lengths.any(|it| it != WHOLE_ADDRESS) {
        at.refuse(
            problems,
            Code::LocalOnly,
            "must not have prefixLength: a rate limit service counts whole addresses. Write a \
             local rule, or have a filter write the network into a header, and use that",
        );
        return None;
    }
    Some(selector)
}

impl GlobalLimit {
    fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&super::schema::LIMIT, problems)?;
        let requests = object
            .required("requests", problems)
            .and_then(|at| at.integer(0..=i64::from(u32::MAX), problems))
            .and_then(|it| u32::try_from(it).ok());
        let unit = object
            .required("unit", problems)
            .and_then(|at| Unit::read(at, problems));
        let from = object.optional("fromMetadata", problems, MetadataKey::read)?;
        Some(Self {
            requests: requests?,
            unit: unit?,
            from,
        })
    }
}

/// The costs of a request and of its response.
fn read_costs(at: Cursor<'_>, problems: &mut Problems) -> Option<[Option<Cost>; 2]> {
    let object = at.object_of(&super::schema::COST, problems)?;
    let request = object.optional("request", problems, Cost::read);
    let response = object.optional("response", problems, Cost::read);
    Some([request?, response?])
}

impl Cost {
    fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&super::schema::AMOUNT, problems)?;
        let is_number = object
            .required("from", problems)?
            .choice(&[("Number", true), ("Metadata", false)], problems)?;
        let unused = if is_number { "metadata" } else { "number" };
        if let Some(at) = object.get(unused) {
            at.refuse(
                problems,
                Code::FieldOfType,
                "must be left out: from selects the other one",
            );
            return None;
        }
        if !is_number {
            return Self::read_metadata(&object, problems);
        }
        let number = object.or("number", 1, problems, |at, problems| {
            at.integer(0..=MOST_HITS, problems)
        })?;
        u32::try_from(number).ok().map(Self::Number)
    }

    /// Envoy reads the cost by a command operator, which has parts that names
    /// cannot have.
    fn read_metadata(object: &Object<'_>, problems: &mut Problems) -> Option<Self> {
        let at = object.required("metadata", problems)?;
        let key = MetadataKey::read(at, problems)?;
        for (name, value) in [("namespace", &key.namespace), ("key", &key.key)] {
            let is_part = |it: char| matches!(it, ':' | ')' | '%') || it.is_control();
            if value.contains(is_part) {
                let path = Path::Field(&at.path, name);
                let node = at.node.field(name).unwrap_or(at.node);
                Cursor { node, path }.refuse(
                    problems,
                    Code::MalformedMetadataKey,
                    "must have no :, ), % or control characters, which Envoy does not allow here: \
                     have the filter that writes the cost use another name",
                );
                return None;
            }
        }
        Some(Self::Metadata(key))
    }
}

impl MetadataKey {
    fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&super::schema::LIMIT_METADATA, problems)?;
        let mut part = |name| {
            let at = object.required(name, problems)?;
            at.string_of(1..=usize::MAX, problems).map(str::to_owned)
        };
        let (namespace, key) = (part("namespace"), part("key"));
        Some(Self {
            namespace: namespace?,
            key: key?,
        })
    }
}
