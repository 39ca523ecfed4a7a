//! Values of the dynamic metadata. The ABI lends texts, numbers and booleans that
//! are directly under a namespace's key. What is deeper, or a list or a struct, comes as
//! JSON from the filter state, where Envoy's `set_filter_state` filter in front has
//! put it.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU8, Ordering};

use btp_engine::{LogThrottle, MetadataValue};
use btp_policy::spec::MetadataCondition;
use serde_json::Value;

use crate::abi::{Level, MetadataKey, MetadataSource, Stream, log};
use crate::clock::monotonic_ns;

/// What is remembered about the metadata that policies use.
#[derive(Debug)]
pub(crate) struct Metadata {
    /// The kind found last at each place, by a hash of it. Envoy logs an error when a value
    /// is read as the wrong kind, so this kind is tried first. Places that share an entry
    /// cost such a log line, and nothing else.
    last: [AtomicU8; PLACES],
    hint: LogThrottle,
}

const PLACES: usize = 256;

/// Kinds of values, in the order in which they are tried.
const KINDS: [for<'s> fn(&'s Stream<'_>, MetadataKey<'_>) -> Option<MetadataValue<'s>>; 3] =
    [text, number, boolean];

impl Default for Metadata {
    fn default() -> Self {
        Self {
            last: [const { AtomicU8::new(0) }; PLACES],
            hint: LogThrottle::default(),
        }
    }
}

impl Metadata {
    /// The value at this path: a namespace, then one key for each level. What is empty
    /// counts as absent.
    pub(crate) fn value<'s>(
        &self,
        stream: &'s Stream<'_>,
        path: &[String],
    ) -> Option<MetadataValue<'s>> {
        let [namespace, key, deeper @ ..] = path else {
            return None;
        };
        if let Some(json) = stream.filter_state(&MetadataCondition::state_key(namespace, key)) {
            return from_json(json, deeper);
        }
        if deeper.is_empty() {
            return self.scalar(stream, namespace, key);
        }
        if let Some(left_out) = self.hint.admit(monotonic_ns()) {
            log(Level::Error, &format!("{}{left_out}", hint(namespace, key)));
        }
        None
    }

    fn scalar<'s>(
        &self,
        stream: &'s Stream<'_>,
        namespace: &str,
        key: &str,
    ) -> Option<MetadataValue<'s>> {
        let place = MetadataKey {
            source: MetadataSource::Dynamic,
            namespace,
            key,
        };
        let remembered = self.last.get(entry(namespace, key))?;
        let last = usize::from(remembered.load(Ordering::Relaxed));
        let order = [last, last + 1, last + 2].map(|it| it % KINDS.len());
        for kind in order {
            let found = KINDS.get(kind).and_then(|read| read(stream, place));
            if let Some(value) = found {
                remembered.store(u8::try_from(kind).unwrap_or(0), Ordering::Relaxed);
                let is_empty = matches!(&value, MetadataValue::Text(text) if text.is_empty());
                return (!is_empty).then_some(value);
            }
        }
        None
    }
}

fn entry(namespace: &str, key: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    (namespace, key).hash(&mut hasher);
    usize::try_from(hasher.finish() % PLACES as u64).unwrap_or(0)
}

fn hint(namespace: &str, key: &str) -> String {
    let state = MetadataCondition::state_key(namespace, key);
    format!(
        "metadata {namespace}:{key} is nested, which a module cannot read: put a set_filter_state \
         filter in front that writes {state} (docs/reference/module.md)"
    )
}

fn text<'s>(stream: &'s Stream<'_>, key: MetadataKey<'_>) -> Option<MetadataValue<'s>> {
    let text = stream.metadata_text(key)?;
    Some(MetadataValue::Text(Cow::Borrowed(text)))
}

fn number<'s>(stream: &'s Stream<'_>, key: MetadataKey<'_>) -> Option<MetadataValue<'s>> {
    stream.metadata_number(key).map(MetadataValue::Number)
}

fn boolean<'s>(stream: &'s Stream<'_>, key: MetadataKey<'_>) -> Option<MetadataValue<'s>> {
    stream.metadata_bool(key).map(MetadataValue::Boolean)
}

/// The value at a path in `{"value": …}`; an element of a list is found by its index.
fn from_json(json: &[u8], path: &[String]) -> Option<MetadataValue<'static>> {
    let mut value: Value = serde_json::from_slice(json).ok()?;
    let mut found = value.get_mut("value")?.take();
    for key in path {
        let inner = match &mut found {
            Value::Object(fields) => fields.get_mut(key)?.take(),
            Value::Array(list) => list.get_mut(key.parse::<usize>().ok()?)?.take(),
            _ => return None,
        };
        found = inner;
    }
    match found {
        Value::Null => None,
        Value::Bool(value) => Some(MetadataValue::Boolean(value)),
        Value::Number(number) => number.as_f64().map(MetadataValue::Number),
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(MetadataValue::Text(Cow::Owned(text.into_bytes()))),
        Value::Array(list) if list.is_empty() => None,
        Value::Object(fields) if fields.is_empty() => None,
        // Sorted by key, so that equal values have equal bytes.
        composite => Some(MetadataValue::Composite(Cow::Owned(
            serde_json::to_vec(&composite).ok()?,
        ))),
    }
}
