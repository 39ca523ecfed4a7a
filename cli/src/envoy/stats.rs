//! Labels for the filter's statistics: `stats_config.stats_tags` of the bootstrap,
//! which are known again by their names. The bootstrap has no record of what it
//! was, so a listener's says what was there and empty.
//!
//! Only the .wasm needs them: the module's metrics have labels.

use btp_policy::node::{Node, Value};

use super::json::node;
use super::tree::{
    WrongKind, field, field_mut, items, list_mut, object_mut, remove as take_out, text,
};

/// Name of each label, and its regex after the [`ROOT`] of names. The first group is cut
/// out of the name, the second is the label's value. A namespace has no dots, a policy's
/// name may have some, and neither has an underscore, which the first word of every
/// metric has.
const TAGS: [(&str, &str); 7] = [
    ("btp_namespace", r"(([a-z0-9-]+|_others)\.)"),
    ("btp_policy", r"[^.]+\.(([a-z0-9.-]+?)\.)[a-z]+_"),
    (
        "btp_rule",
        r"[^.]+\.[a-z0-9.-]+?\.(?:rate_limit|response_override)\.(([^.]+)\.)",
    ),
    (
        "btp_class",
        r"[^.]+\.[a-z0-9.-]+?\.rate_limit\.[^.]+\.class_limited(\.([^.]+))$",
    ),
    (
        "btp_route",
        r"[^.]+\.[a-z0-9.-]+?\.(btp_route\.([^.]+)\.)retry_budget_",
    ),
    (
        "btp_cluster",
        r"[^.]+\.[a-z0-9.-]+?\.(btp_cluster\.([^.]+)\.)retry_budget_",
    ),
    ("btp_vm", r"vm_memory_bytes(\.([0-9]+))$"),
];

/// How names begin. Envoys after 1.40 put the HTTP connection manager in front of those of
/// the router's upstream filters.
const ROOT: &str = r"^(?:http\.[^.]+\.)?wasmcustom\.btp\.";

/// Cuts off what is in front. Its value is empty, which is to say that there is no label.
const SCOPE: (&str, &str) = ("btp_scope", r"^(http\.[^.]+\.())wasmcustom\.btp\.");

const CONFIG: &str = "stats_config";
const LIST: &str = "stats_tags";

/// Which of the two fields around them a bootstrap has, but empty; removing the additions
/// must keep it.
pub(crate) fn empty(bootstrap: &Node) -> Option<&'static str> {
    let config = field(bootstrap, CONFIG)?;
    match (&config.value, field(config, LIST).map(|it| &it.value)) {
        (_, Some(Value::List(tags))) if tags.is_empty() => Some(LIST),
        (Value::Map(fields), _) if fields.is_empty() => Some(CONFIG),
        _ => None,
    }
}

/// Whether a bootstrap has all of them.
pub(crate) fn are_labelled(bootstrap: &Node) -> bool {
    let tags = field(bootstrap, CONFIG).map_or(&[][..], |config| items(config, LIST));
    ours().all(|(name, regex)| {
        let is_it =
            |tag: &Node| text(tag, "tag_name") == Some(name) && text(tag, "regex") == Some(&regex);
        tags.iter().any(is_it)
    })
}

/// Adds them to a bootstrap.
///
/// # Errors
/// Something else is where they go.
pub(crate) fn add(bootstrap: &mut Node) -> Result<(), WrongKind> {
    let config = object_mut(bootstrap, CONFIG)?;
    let tags = list_mut(config, LIST).map_err(|it| it.below(CONFIG))?;
    tags.extend(
        ours().map(|(name, regex)| node!({ "tag_name": (name), "regex": (regex.as_str()) })),
    );
    Ok(())
}

/// Removes them, and the fields that were created for them; `empty` is the field that was
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
        !ours().any(|(ours, _)| name == Some(ours))
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

fn ours() -> impl Iterator<Item = (&'static str, String)> {
    let (scope, regex) = SCOPE;
    let labels = TAGS.iter();
    [(scope, regex.to_owned())]
        .into_iter()
        .chain(labels.map(|(name, regex)| (*name, format!("{ROOT}{regex}"))))
}
