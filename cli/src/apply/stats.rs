//! Labels for the filter's stats: `stats_config.stats_tags` of the bootstrap,
//! which are known again by their names.

use btp_policy::node::{Node, Value};

use crate::envoy::json::{object, string};
use crate::envoy::tree::{field_mut, list_mut, object_mut, text};

/// Name and regex of each label. The first group is cut out of the stat's
/// name, the second is the label's value.
const TAGS: [(&str, &str); 2] = [
    ("btp_namespace", r"^wasmcustom\.btp\.(([^.]+)\.)"),
    ("btp_policy", r"^wasmcustom\.btp\.[^.]+\.(([^.]+)\.)"),
];

/// Adds them to a bootstrap.
pub(crate) fn add(bootstrap: &mut Node) {
    let tags = list_mut(object_mut(bootstrap, "stats_config"), "stats_tags");
    tags.extend(
        TAGS.iter()
            .map(|(name, regex)| object([("tag_name", string(*name)), ("regex", string(*regex))])),
    );
}

/// Removes them, and what was there for their sake alone.
pub(crate) fn remove(bootstrap: &mut Node) {
    let Some(config) = field_mut(bootstrap, "stats_config") else {
        return;
    };
    let Some(Value::List(tags)) = field_mut(config, "stats_tags").map(|node| &mut node.value)
    else {
        return;
    };
    let before = tags.len();
    tags.retain(|tag| {
        let name = text(tag, "tag_name");
        !TAGS.iter().any(|(ours, _)| name == Some(*ours))
    });
    if tags.len() == before || !tags.is_empty() {
        return;
    }
    drop_field(config, "stats_tags");
    if matches!(&config.value, Value::Map(entries) if entries.is_empty()) {
        drop_field(bootstrap, "stats_config");
    }
}

fn drop_field(node: &mut Node, name: &str) {
    if let Value::Map(entries) = &mut node.value
        && let Some(place) = crate::envoy::tree::position(entries, name)
    {
        entries.remove(place);
    }
}
