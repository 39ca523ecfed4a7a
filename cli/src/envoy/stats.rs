//! Labels for the filter's stats: `stats_config.stats_tags` of the bootstrap,
//! which are known again by their names. The bootstrap has no record of what it
//! was, so a listener's says what stood there empty.

use btp_policy::node::{Node, Value};

use super::json::node;
use super::tree::{WrongKind, field, field_mut, list_mut, object_mut, remove as take_out, text};

/// Name and regex of each label. The first group is cut out of the stat's
/// name, the second is the label's value.
const TAGS: [(&str, &str); 2] = [
    ("btp_namespace", r"^wasmcustom\.btp\.(([^.]+)\.)"),
    ("btp_policy", r"^wasmcustom\.btp\.[^.]+\.(([^.]+)\.)"),
];

const CONFIG: &str = "stats_config";
const LIST: &str = "stats_tags";

/// Which of the two fields around them stands in a bootstrap with nothing in
/// it; removing what is added must leave it there.
pub(crate) fn empty(bootstrap: &Node) -> Option<&'static str> {
    let config = field(bootstrap, CONFIG)?;
    match (&config.value, field(config, LIST).map(|it| &it.value)) {
        (_, Some(Value::List(tags))) if tags.is_empty() => Some(LIST),
        (Value::Map(fields), _) if fields.is_empty() => Some(CONFIG),
        _ => None,
    }
}

/// Adds them to a bootstrap.
///
/// # Errors
/// Something else is where they go.
pub(crate) fn add(bootstrap: &mut Node) -> Result<(), WrongKind> {
    let config = object_mut(bootstrap, CONFIG)?;
    let tags = list_mut(config, LIST).map_err(|it| it.below(CONFIG))?;
    let ours = TAGS.iter();
    tags.extend(ours.map(|(name, regex)| node!({ "tag_name": (*name), "regex": (*regex) })));
    Ok(())
}

/// Removes them, and what was there for their sake alone; `empty` is what stood
/// there before.
pub(crate) fn remove(bootstrap: &mut Node, empty: Option<&str>) {
    let Some(config) = field_mut(bootstrap, CONFIG) else {
        return;
    };
    let Some(Value::List(tags)) = field_mut(config, LIST).map(|node| &mut node.value) else {
        return;
    };
    let before = tags.len();
    tags.retain(|tag| {
        let name = text(tag, "tag_name");
        !TAGS.iter().any(|(ours, _)| name == Some(*ours))
    });
    if tags.len() == before || !tags.is_empty() || empty == Some(LIST) {
        return;
    }
    take_out(config, LIST);
    let is_bare = matches!(&config.value, Value::Map(entries) if entries.is_empty());
    if is_bare && empty != Some(CONFIG) {
        take_out(bootstrap, CONFIG);
    }
}
