//! Envoy's runtime as a dynamic module needs it: with a switch on, its metrics have their
//! own names in Prometheus (`btp_…`), without a prefix of Envoy's.
//!
//! The switch is in a layer of its own, below all layers of the person, which override it.
//! The bootstrap has no record of its former content: the layer is recognized by its name,
//! and a listener's record tells which field was there and empty.

use btp_policy::node::{Node, Value};

use super::json::node;
use super::tree::{
    WrongKind, field, field_mut, items, list_mut, object_mut, remove as take_out, text,
};

/// The switch.
pub(crate) const SWITCH: &str =
    "envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix";

/// Our layer.
const LAYER: &str = "btp.apply";

const CONFIG: &str = "layered_runtime";
const LIST: &str = "layers";

/// A layer of the person's that sets the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SwitchLayer {
    pub(crate) layer: String,
    pub(crate) is_on: bool,
}

/// The static layer of a bootstrap that sets the switch; the uppermost wins.
pub(crate) fn switch_layer(bootstrap: &Node) -> Option<SwitchLayer> {
    let layers = field(bootstrap, CONFIG).map_or(&[][..], |it| items(it, LIST));
    layers.iter().rev().find_map(|layer| {
        let is_on = value_in(field(layer, "static_layer")?, SWITCH)?;
        let layer = text(layer, "name").unwrap_or_default().to_owned();
        Some(SwitchLayer { layer, is_on })
    })
}

/// Which of the two fields around the layers a bootstrap has, but empty; removing the
/// additions must keep it.
pub(crate) fn empty(bootstrap: &Node) -> Option<&'static str> {
    let config = field(bootstrap, CONFIG)?;
    match (&config.value, field(config, LIST).map(|it| &it.value)) {
        (_, Some(Value::List(layers))) if layers.is_empty() => Some(LIST),
        (Value::Map(fields), _) if fields.is_empty() => Some(CONFIG),
        _ => None,
    }
}

/// Has a bootstrap turn the switch on.
///
/// # Errors
/// Something else is where the layers go.
pub(crate) fn add(bootstrap: &mut Node) -> Result<(), WrongKind> {
    let config = object_mut(bootstrap, CONFIG)?;
    let layers = list_mut(config, LIST).map_err(|it| it.below(CONFIG))?;
    let layer = node!({ "name": LAYER, "static_layer": { (SWITCH): true } });
    layers.insert(0, layer);
    Ok(())
}

/// Removes the additions and the fields that were created for them; `empty` is the field
/// that was there before.
pub(crate) fn remove(bootstrap: &mut Node, empty: Option<&str>) {
    let Some(config) = field_mut(bootstrap, CONFIG) else {
        return;
    };
    let Some(Value::List(layers)) = field_mut(config, LIST).map(|node| &mut node.value) else {
        return;
    };
    let before = layers.len();
    layers.retain(|it| text(it, "name") != Some(LAYER));
    if layers.len() == before || !layers.is_empty() || empty == Some(LIST) {
        return;
    }
    take_out(config, LIST);
    let is_bare = matches!(&config.value, Value::Map(entries) if entries.is_empty());
    if is_bare && empty != Some(CONFIG) {
        take_out(bootstrap, CONFIG);
    }
}

/// A flag in a layer, whose keys may be names with dots or nested, as Envoy reads it.
fn value_in(layer: &Node, name: &str) -> Option<bool> {
    let Value::Map(entries) = &layer.value else {
        return None;
    };
    entries.iter().find_map(|entry| {
        let rest = name.strip_prefix(entry.key.as_str())?;
        match &entry.node.value {
            Value::Bool(is_on) if rest.is_empty() => Some(*is_on),
            Value::String(text) if rest.is_empty() => text.to_ascii_lowercase().parse().ok(),
            _ => value_in(&entry.node, rest.strip_prefix('.')?),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use btp_policy::json;

    fn tree(text: &str) -> Node {
        json::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_uppermost_layer_of_a_person_wins_however_it_is_spelt() {
        let of = |layers: &str| {
            let bootstrap = format!(r#"{{"layeredRuntime":{{"layers":[{layers}]}}}}"#);
            switch_layer(&tree(&bootstrap)).map(|it| (it.layer, it.is_on))
        };
        let flat = format!(r#"{{"name":"a","static_layer":{{"{SWITCH}":true}}}}"#);
        let nested = r#"{"name":"b","staticLayer":{"envoy":{"reloadable_features":
            {"dynamic_modules_strip_custom_stat_prefix":"False"}}}}"#;
        let other = r#"{"name":"c","static_layer":{"envoy":{"reloadable_features":{"x":true}}}}"#;
        assert_eq!(of(&flat), Some(("a".to_owned(), true)));
        let all = format!("{flat},{nested},{other}");
        assert_eq!(of(&all), Some(("b".to_owned(), false)));
        assert_eq!(of(other), None);
    }

    #[test]
    fn what_is_added_stands_below_all_else_and_goes_again() {
        for before in [
            "{}",
            r#"{"layered_runtime":{}}"#,
            r#"{"layered_runtime":{"layers":[]}}"#,
            r#"{"layered_runtime":{"layers":[{"name":"own"}]}}"#,
        ] {
            let mut bootstrap = tree(before);
            let empty = empty(&bootstrap);
            let own = items(field(&bootstrap, CONFIG).unwrap_or(&tree("{}")), LIST).len();
            add(&mut bootstrap).unwrap();
            let layers = items(field(&bootstrap, CONFIG).unwrap(), LIST);
            assert_eq!(layers.len(), own + 1, "{before}");
            assert_eq!(text(&layers[0], "name"), Some(LAYER));
            remove(&mut bootstrap, empty);
            assert_eq!(serde_json::to_string(&bootstrap).unwrap(), before);
        }
    }
}
