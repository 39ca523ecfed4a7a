//! Configurations that take memory.

use serde_json::{Value, json};

/// The same configuration with so many small policies more, for routes that
/// there are not: about 4 KiB each while they are loaded.
pub fn with_bulk(mut plugin: Value, policies: usize) -> Value {
    let small = (0..policies).map(|index| {
        json!({
            "metadata": {"name": format!("small-{index}")},
            "spec": {
                "targetRefs": [{
                    "group": "gateway.networking.k8s.io",
                    "kind": "HTTPRoute",
                    "name": format!("zz{index}"),
                }],
                "requestBuffer": {"limit": 1000 + index, "mode": "Stream"},
            },
        })
    });
    if let Some(policies) = plugin["policies"].as_array_mut() {
        policies.extend(small);
    }
    plugin
}
