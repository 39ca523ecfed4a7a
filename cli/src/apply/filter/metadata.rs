//! The filter that makes nested dynamic metadata readable for a dynamic module: it copies
//! the values to the filter state, as JSON.

use btp_policy::node::Node;

use crate::apply::selectors::Nested;
use crate::envoy::json::{list, node};

const TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config";

/// How the names of these filters begin.
const NAME: &str = "btp.metadata";

/// One for all of these values, in front of the instance with this name; `None` if
/// there are none.
pub(super) fn filter(instance: &str, values: &[Nested]) -> Option<Node> {
    let values = values.iter().filter(|it| it.unsayable().is_none());
    let entries: Vec<Node> = values.map(entry).collect();
    // As many as there are instances, and each name once.
    let suffix = instance.strip_prefix(crate::envoy::plugin::NAME);
    let name = format!("{NAME}{}", suffix.unwrap_or_default());
    (!entries.is_empty()).then(|| {
        let entries = list(entries);
        node!({
            "name": name,
            "typed_config": { "@type": TYPE, "on_request_headers": entries }
        })
    })
}

/// What it must do for one value. What is not there is written, too, as `null`: a value
/// that an earlier filter of this kind has found may be gone.
pub(crate) fn entry(value: &Nested) -> Node {
    node!({
        "object_key": (value.state_key()),
        "factory_key": "envoy.string",
        "format_string": { "json_format": { "value": (value.operator()) } }
    })
}
