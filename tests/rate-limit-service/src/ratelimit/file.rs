//! The file as envoyproxy/ratelimit reads it: what it would not start with is refused
//! here (`validateYamlKeys`, `loadDescriptors`).
//!
//! In two respects this is stricter. A key that it knows elsewhere is ignored there where
//! it has no meaning, and of a key that comes twice in one map the last holds; both are
//! refused. Keys for statistics, quotas and the like are not known at all.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::config::{Config, Limit, Node, composite};
use super::wildcard::Wildcard;
use super::window::Window;

const KEYS: [&str; 8] = [
    "domain",
    "descriptors",
    "key",
    "value",
    "rate_limit",
    "unit",
    "requests_per_unit",
    "shadow_mode",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    domain: Option<String>,
    descriptors: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Descriptor {
    key: Option<String>,
    value: Option<String>,
    rate_limit: Option<RateLimit>,
    shadow_mode: Option<bool>,
    descriptors: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateLimit {
    unit: Option<String>,
    requests_per_unit: Option<u32>,
}

/// Reads it; the error names the place in it.
pub(super) fn read(text: &str) -> Result<Config> {
    let value: Value = serde_saphyr::from_str(text).context("no YAML")?;
    check(&value, "")?;
    let file: File = serde_saphyr::from_str(text)?;
    let domain = file.domain.unwrap_or_default();
    ensure!(!domain.is_empty(), "domain: empty; name one");
    Ok(Config {
        domain,
        root: Node {
            limit: None,
            ..children(file.descriptors, "")?
        },
    })
}

/// Whether it is maps with known keys and lists of such maps, and no number in it is more
/// than a whole one: Go's reader makes a float of 1.5, even where text is wanted.
fn check(value: &Value, path: &str) -> Result<()> {
    let Value::Object(fields) = value else {
        bail!("{path}: {value} is no map");
    };
    for (key, value) in fields {
        let path = format!("{path}{key}");
        ensure!(
            KEYS.contains(&key.as_str()),
            "{path}: unknown; there are {}",
            KEYS.join(", ")
        );
        match value {
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    check(item, &format!("{path}[{i}]."))?;
                }
            }
            Value::Object(_) => check(value, &format!("{path}."))?,
            Value::Number(number) => ensure!(
                number.is_i64(),
                "{path}: {number} is read as a number that nothing can be; quote it"
            ),
            Value::String(_) | Value::Bool(_) | Value::Null => {}
        }
    }
    Ok(())
}

/// A node with these children, and without a limit.
fn children(descriptors: Option<Vec<Descriptor>>, path: &str) -> Result<Node> {
    let mut node = Node::default();
    for (i, descriptor) in descriptors.into_iter().flatten().enumerate() {
        let path = format!("{path}descriptors[{i}].");
        let name = name(&descriptor, &path)?;
        ensure!(
            !node.children.contains_key(&name),
            "{path}key: {name:?} is there already on this level; leave one"
        );
        node.wildcards.extend(Wildcard::of(&name));
        let shadow_mode = descriptor.shadow_mode.unwrap_or_default();
        let limit = descriptor
            .rate_limit
            .map(|it| limit(it, shadow_mode, &path));
        let child = Node {
            limit: limit.transpose()?,
            ..children(descriptor.descriptors, &path)?
        };
        node.children.insert(name, child);
    }
    Ok(node)
}

fn name(descriptor: &Descriptor, path: &str) -> Result<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (key, value) = (text(&descriptor.key), text(&descriptor.value));
    ensure!(!key.is_empty(), "{path}key: empty; name one");
    Ok(match value.as_str() {
        "" => key,
        value => composite(&key, value),
    })
}

fn limit(limit: RateLimit, shadow_mode: bool, path: &str) -> Result<Limit> {
    let unit = limit.unit.unwrap_or_default();
    Ok(Limit {
        requests_per_unit: limit.requests_per_unit.unwrap_or_default(),
        window: Window::named(&unit).with_context(|| format!("{path}rate_limit.unit"))?,
        shadow_mode,
    })
}

#[cfg(test)]
mod tests;
