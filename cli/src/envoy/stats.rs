//! Labels for the filter's stats: `stats_config.stats_tags` of the bootstrap,
//! which are known again by their names.

use btp_policy::node::{Node, Value};

use super::json::node;
use super::tree::{field_mut, list_mut, object_mut, remove as take_out, text};

/// Name and regex of each label. The first group is cut out of the stat's
/// name, the second is the label's value.
const TAGS: [(&str, &str); 2] = [
    ("btp_namespace", r"^wasmcustom\.btp\.(([^.]+)\.)"),
    ("btp_policy", r"^wasmcustom\.btp\.[^.]+\.(([^.]+)\.)"),
];

/// Adds them to a bootstrap.
pub(crate) fn add(bootstrap: &mut Node) {
    let tags = list_mut(object_mut(bootstrap, "stats_config"), "stats_tags");
    let ours = TAGS.iter();
    tags.extend(ours.map(|(name, regex)| node!({ "tag_name": (*name), "regex": (*regex) })));
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
    take_out(config, "stats_tags");
    if matches!(&config.value, Value::Map(entries) if entries.is_empty()) {
        take_out(bootstrap, "stats_config");
    }
}
