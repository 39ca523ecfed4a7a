//! The filter that puts nested values of dynamic metadata where a dynamic module can
//! read them: into the filter state, as JSON.

use std::collections::BTreeSet;

use btp_policy::node::Node;

use crate::apply::selectors::NestedPath;
use crate::envoy::json::{list, node};

const TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config";

/// How the names of these filters begin.
const NAME: &str = "btp.metadata";

/// One for all of these values, in front of the instance with this name; `None` if
/// there are none.
pub(super) fn filter(instance: &str, paths: &BTreeSet<NestedPath>) -> Option<Node> {
    let entries = list(paths.iter().map(entry));
    // As many as there are instances, and each name once.
    let suffix = instance.strip_prefix(crate::envoy::plugin::NAME);
    let name = format!("{NAME}{}", suffix.unwrap_or_default());
    (!paths.is_empty()).then(|| {
        node!({
            "name": name,
            "typed_config": { "@type": TYPE, "on_request_headers": entries }
        })
    })
}

/// What it must do for one value. What is not there is written, too, as `null`: a value
/// that an earlier filter of this kind has found may be gone.
pub(crate) fn entry(path: &NestedPath) -> Node {
    node!({
        "object_key": (path.key()),
        "factory_key": "envoy.string",
        "format_string": { "json_format": { "value": (path.operator()) } }
    })
}
