//! A policy as the filter sees it: read and merged by the filter's own code, from the two
//! documents that apply at a place.

use btp_policy::node::Node;
use btp_policy::policy::MergeType;
use btp_policy::problem::in_one_line;
use btp_policy::{HeldHeaders, PluginConfig, Policy};

use crate::apply::effective::Effective;
use crate::documents::Input;
use crate::envoy::json::{list, node, put};
use crate::envoy::tree::{remove, set};
use crate::plugin_config_builder::{Instance, NativeFields, compose};

/// The most problems that are named.
const MOST_PROBLEMS: usize = 3;

/// What the filter makes of a spec that is in force.
///
/// # Errors
/// It would refuse it.
pub(in super::super) fn merged(
    it: &Effective,
    policies: &[Policy],
    specs: &[Option<&Node>],
    input: &Input,
) -> Result<Policy, String> {
    let instance = Instance {
        native_fields: Some(NativeFields::Applied),
        ..Instance::default()
    };
    let mut config = compose(input, &instance);
    let document = |policy: usize, targets: Option<Node>, how: Option<MergeType>| {
        let name = &policies[policy].name;
        let mut spec = specs[policy]?.clone();
        for field in ["targetRef", "targetRefs", "targetSelectors", "mergeType"] {
            remove(&mut spec, field);
        }
        put(&mut spec, "targetRefs", targets);
        put(
            &mut spec,
            "mergeType",
            how.map(|it| match it {
                MergeType::Strategic => "StrategicMerge",
                MergeType::Json => "JSONMerge",
            }),
        );
        Some(node!({
            "metadata": { "name": (&name.name), "namespace": (&name.namespace) },
            "spec": (spec),
        }))
    };
    let target = |kind: &str| {
        list([node!({
            "group": "gateway.networking.k8s.io", "kind": kind, "name": "here",
        })])
    };
    let documents = match it.parents.first().copied() {
        None => vec![document(it.policy, None, None).ok_or_else(nowhere)?],
        Some(parent) => {
            let namespace = &policies[parent].name.namespace;
            set(
                &mut config,
                "gateway",
                node!({ "name": "here", "namespace": namespace }),
            );
            let how = policies[it.policy].merge;
            vec![
                document(parent, Some(target("Gateway")), None).ok_or_else(nowhere)?,
                document(it.policy, Some(target("HTTPRoute")), how).ok_or_else(nowhere)?,
            ]
        }
    };
    set(&mut config, "policies", list(documents));
    remove(&mut config, "namespaces");
    let config = PluginConfig::from_node_with(&config, HeldHeaders::Always);
    let config = config.map_err(|problems| in_one_line(&problems, MOST_PROBLEMS))?;
    let name = &policies[it.policy].name;
    let mut found = config.policies.into_iter();
    found.find(|it| it.name == *name).ok_or_else(nowhere)
}

fn nowhere() -> String {
    "no such policy".to_owned()
}
