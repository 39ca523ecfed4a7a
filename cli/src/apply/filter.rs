//! The filter in a connection manager: which policies it is given, how many
//! instances there are, and where they stand.

mod insert;

use btp_policy::attach::Gateway;
use btp_policy::node::{Node, Value};
use btp_policy::spec::{Capability, Owner, owner_of};

use super::needs::is_internal_redirect;
use crate::envoy::json::{IntoNode, list, node, object, put};
use crate::envoy::plugin::{NAME, is_instance};
use crate::envoy::tree::{field, field_mut, items, set, type_of};
pub(crate) use insert::{file, insert};

/// The name of the second instance.
pub(crate) const LATE: &str = "backend_traffic_policy_late";

/// The name of the instance behind the router, which sees every try.
pub(crate) const UPSTREAM: &str = "backend_traffic_policy_upstream";

/// HTTP filters that say who the client is and what it may do.
const AUTHENTICATION: [&str; 6] = [
    "ExtAuthz",
    "JwtAuthentication",
    "OAuth2",
    "BasicAuth",
    "ApiKeyAuth",
    "RBAC",
];

/// What comes before authentication; the rest comes after it.
const EARLY: [Capability; 2] = [Capability::FaultInjection, Capability::ResponseOverride];

/// What the instances of a connection manager are given alike.
#[derive(Debug)]
pub(crate) struct Contents<'a> {
    pub(crate) policies: Vec<Node>,
    pub(crate) config_maps: Option<Node>,
    pub(crate) gateway: Option<&'a Gateway>,
    /// Whether bodies are gathered.
    pub(crate) gathers: bool,
}

/// One instance of the filter.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) name: String,
    /// Its place in `http_filters`; `None`: it stands behind the router.
    pub(crate) place: Option<usize>,
    pub(crate) capabilities: Vec<Capability>,
    /// Its plugin configuration.
    pub(crate) config: Node,
    /// The name of the file that holds it, if it has one.
    pub(crate) file: String,
}

/// The instances that a connection manager needs for these capabilities, in
/// front of the router and behind it.
pub(crate) fn instances(
    hcm: &Node,
    wanted: &[Capability],
    behind: &[Capability],
    contents: &Contents<'_>,
) -> Vec<Instance> {
    let is_auth = |filter: &Node| {
        let kind = field(filter, "typed_config").and_then(type_of);
        kind.is_some_and(|kind| AUTHENTICATION.contains(&kind))
    };
    let last_auth = items(hcm, "http_filters").iter().rposition(is_auth);
    let (early, late): (Vec<Capability>, Vec<Capability>) =
        wanted.iter().partition(|it| EARLY.contains(it));
    let instance = |name: &str, place, capabilities: Vec<Capability>, config| Instance {
        name: name.to_owned(),
        place,
        capabilities,
        config,
        file: String::new(),
    };
    let mut instances = Vec::new();
    match last_auth.filter(|_| !late.is_empty()) {
        None if wanted.is_empty() => {}
        None => {
            let config = contents.config(None);
            instances.push(instance(NAME, Some(0), wanted.to_vec(), config));
        }
        Some(last_auth) => {
            if !early.is_empty() {
                let config = contents.config(Some(&early));
                instances.push(instance(NAME, Some(0), early, config));
            }
            let place = last_auth + 1 + instances.len();
            let config = contents.config(Some(&late));
            instances.push(instance(LATE, Some(place), late, config));
        }
    }
    if !behind.is_empty() {
        let mut config = contents.config(Some(behind));
        set(&mut config, "position", node!("Upstream"));
        instances.push(instance(UPSTREAM, None, behind.to_vec(), config));
    }
    instances
}

/// Whether the filter stands there already, and not by our doing.
pub(crate) fn is_there(hcm: &Node) -> bool {
    items(hcm, "http_filters").iter().any(is_instance)
}

impl Contents<'_> {
    /// The plugin configuration of an instance that enforces these
    /// capabilities; `None`: all.
    fn config(&self, enforce: Option<&[Capability]>) -> Node {
        let mut config = node!({ "policies": (list(self.policies.clone())) });
        put(&mut config, "configMaps", self.config_maps.clone());
        put(&mut config, "gateway", self.gateway.map(gateway_setting));
        let names = enforce.map(|enforce| {
            let names = Capability::ALL.iter();
            let names = names.filter(|(_, capability)| enforce.contains(capability));
            list(names.map(|(name, _)| name.into_node()))
        });
        put(&mut config, "enforce", names);
        put(&mut config, "nativeFields", Some("Applied"));
        let gathers =
            self.gathers && enforce.is_none_or(|it| it.contains(&Capability::RequestBuffer));
        put(
            &mut config,
            "allowOnHeadersStopIteration",
            gathers.then_some(true),
        );
        config
    }
}

/// The setting `gateway`.
fn gateway_setting(gateway: &Gateway) -> Node {
    let mut setting = node!({
        "name": (&gateway.name.name),
        "namespace": (&gateway.name.namespace),
    });
    put(&mut setting, "listener", gateway.listener.as_ref());
    let labels = gateway.labels.iter();
    let labels = object(labels.map(|(key, value)| (key, value.into_node())));
    let is_labelled = !gateway.labels.is_empty();
    put(&mut setting, "labels", is_labelled.then_some(labels));
    setting
}

/// A policy without what Envoy itself puts into force. `retry` is Envoy's, but
/// a budget looks at it.
pub(crate) fn without_native(mut policy: Node, keeps_retry: bool) -> Node {
    let Some(spec) = field_mut(&mut policy, "spec") else {
        return policy;
    };
    if let Value::Map(entries) = &mut spec.value {
        entries.retain(|entry| {
            let is_redirect = match &entry.node.value {
                Value::List(rules) => rules.iter().any(is_internal_redirect),
                _ => false,
            };
            let is_ours = entry.key != "retry" || keeps_retry;
            is_ours && owner_of(&entry.key) != Some(Owner::Envoy) && !is_redirect
        });
    }
    policy
}
