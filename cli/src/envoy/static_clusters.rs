//! The list of clusters in a bootstrap that has none: created for a cluster of ours, and
//! removed with it. A listener's record tells what was missing.

use btp_policy::node::{Node, Value};

use super::tree::{WrongKind, field, field_mut, list_mut, object_mut, remove as take_out};

const RESOURCES: &str = "static_resources";
const LIST: &str = "clusters";

/// Which of the two fields a bootstrap lacks.
pub(crate) fn missing(bootstrap: &Node) -> Option<&'static str> {
    match field(bootstrap, RESOURCES) {
        None => Some(RESOURCES),
        Some(resources) => field(resources, LIST).is_none().then_some(LIST),
    }
}

/// Makes the list.
///
/// # Errors
/// Something else is where it goes.
pub(crate) fn make(bootstrap: &mut Node) -> Result<(), WrongKind> {
    let resources = object_mut(bootstrap, RESOURCES)?;
    list_mut(resources, LIST).map_err(|it| it.below(RESOURCES))?;
    Ok(())
}

/// Takes the list out, if nothing is in it, and what was missing around it.
pub(crate) fn remove(bootstrap: &mut Node, missing: &str) {
    let Some(resources) = field_mut(bootstrap, RESOURCES) else {
        return;
    };
    let is_empty = |it: &Node| matches!(&it.value, Value::List(items) if items.is_empty());
    if !field(resources, LIST).is_some_and(is_empty) {
        return;
    }
    take_out(resources, LIST);
    let is_bare = matches!(&resources.value, Value::Map(entries) if entries.is_empty());
    if missing == RESOURCES && is_bare {
        take_out(bootstrap, RESOURCES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use btp_policy::json;

    #[test]
    fn what_was_made_goes_again_and_nothing_else() {
        for (before, lacks) in [
            ("{}", Some(RESOURCES)),
            (r#"{"static_resources":{}}"#, Some(LIST)),
            (r#"{"staticResources":{"listeners":[]}}"#, Some(LIST)),
            (r#"{"static_resources":{"clusters":[]}}"#, None),
        ] {
            let old = json::parse(before.as_bytes()).unwrap();
            let mut new = old.clone();
            assert_eq!(missing(&new), lacks, "{before}");
            make(&mut new).unwrap();
            if let Some(lacks) = lacks {
                assert_ne!(new, old, "{before}");
                remove(&mut new, lacks);
            }
            assert_eq!(new, old, "{before}");
        }
    }
}
