//! The filter in a connection manager: its policies, the number of instances, and their
//! places.

mod insert;
mod metadata;

use std::fmt;

use btp_policy::attach::{Gateway, ListenerSet};
use btp_policy::labels::Labels;
use btp_policy::node::{Node, Value};
use btp_policy::scalar::ObjectName;
use btp_policy::spec::{Capability, Owner, owner_of};

use super::order::{Group, Spot, Why};
use super::redirects;
use super::selectors::Nested;
use crate::envoy::json::{IntoNode, list, node, object, put};
use crate::envoy::plugin::{AFTER_AUTH, Build, NAME, UPSTREAM, build_of};
use crate::envoy::tree::{field, field_mut, find, items, remove, set};
pub(crate) use insert::{file, filter, insert, insert_upstream};
pub(crate) use metadata::entry as metadata_entry;

/// What the instances of a connection manager are given alike.
#[derive(Debug)]
pub(crate) struct Contents<'a> {
    pub(crate) policies: Vec<Node>,
    pub(crate) config_maps: Option<Node>,
    pub(crate) gateway: Option<&'a Gateway>,
    /// The labels of namespaces, if a policy picks by them.
    pub(crate) namespaces: Option<Node>,
    pub(crate) root_id: String,
    /// What is known beforehand of the routes in front of the router.
    pub(crate) attachment: Option<Node>,
    /// Whether bodies are buffered.
    pub(crate) gathers: bool,
    /// Whether access logs are told of decisions.
    pub(crate) access_log: bool,
}

/// One instance of the filter.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) name: String,
    /// What Envoy tells its configuration from others by.
    pub(crate) root_id: String,
    /// Its index in `http_filters`; `None`: behind the router.
    pub(crate) place: Option<usize>,
    pub(crate) why: Why,
    pub(crate) groups: Vec<Group>,
    pub(crate) capabilities: Vec<Capability>,
    /// Its plugin configuration.
    pub(crate) config: Node,
    /// The name of the file that holds it, if it has one.
    pub(crate) file: String,
    /// The filter that must be right in front of it, or in front of the router if the
    /// instance is behind the router.
    pub(crate) front: Option<Node>,
}

/// The instances that a connection manager needs for these capabilities, in
/// front of the router and behind it: one for both groups if they have one
/// place, as an instance costs. They go in one after the other.
pub(crate) fn instances(
    wanted: &[Capability],
    spot: impl Fn(Group) -> Spot,
    behind: &[Capability],
    contents: &Contents<'_>,
) -> Vec<Instance> {
    let of = |group: Group| -> Vec<Capability> {
        let all = wanted.iter().copied();
        all.filter(|it| Group::of(*it) == group).collect()
    };
    let groups: Vec<Group> = Group::ALL
        .into_iter()
        .filter(|it| !of(*it).is_empty())
        .collect();
    let instance = |name: &str, spot: Spot, groups: &[Group], config| Instance {
        name: name.to_owned(),
        root_id: contents.root_id.clone(),
        place: Some(spot.place),
        why: spot.why,
        groups: groups.to_vec(),
        capabilities: groups.iter().flat_map(|it| of(*it)).collect(),
        config,
        file: String::new(),
        front: None,
    };
    let mut instances = Vec::new();
    match groups[..] {
        [] => {}
        [group] => {
            let config = contents.config(None);
            instances.push(instance(NAME, spot(group), &groups, config));
        }
        [faults, limits, ..] => match shared(spot(faults), spot(limits)) {
            Some(spot) => {
                let config = contents.config(None);
                instances.push(instance(NAME, spot, &groups, config));
            }
            None => {
                for (name, group) in [(NAME, faults), (AFTER_AUTH, limits)] {
                    let config = contents.config(Some(&of(group)));
                    instances.push(instance(name, spot(group), &[group], config));
                }
                instances.sort_by_key(|it| it.place);
            }
        },
    }
    if !behind.is_empty() {
        let mut config = contents.config(Some(behind));
        // A cluster may have requests of other connection managers.
        remove(&mut config, "attachment");
        set(&mut config, "position", node!("Upstream"));
        instances.push(Instance {
            name: UPSTREAM.to_owned(),
            root_id: contents.root_id.clone(),
            place: None,
            why: Why::Tries,
            groups: Vec::new(),
            capabilities: behind.to_vec(),
            config,
            file: String::new(),
            front: None,
        });
    }
    instances
}

/// Gives instances the filters that they need in front of them, by what each reads of
/// nested metadata, and the places that they will all have then.
pub(crate) fn make_room(instances: &mut [Instance], reads: impl Fn(&Instance) -> Vec<Nested>) {
    let mut before = 0;
    for instance in instances {
        instance.front = metadata::filter(&instance.name, &reads(instance));
        before += usize::from(instance.front.is_some());
        if let Some(place) = &mut instance.place {
            *place += before;
            before += 1;
        }
    }
}

/// The place of both, if it is one.
fn shared(faults: Spot, limits: Spot) -> Option<Spot> {
    let is_usual = |it: Spot| matches!(it.why, Why::Usual(_));
    let why = match (is_usual(faults), is_usual(limits)) {
        (true, true) => Why::Shared,
        (true, false) => limits.why,
        (false, _) => faults.why,
    };
    let place = faults.place;
    (place == limits.place).then_some(Spot { place, why })
}

/// A filter of ours that stands somewhere already, and not by our doing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Already {
    build: Build,
    list: &'static str,
}

impl Already {
    /// In front of the router of a connection manager.
    pub(crate) fn in_front(hcm: &Node) -> Option<Self> {
        Self::among(items(hcm, "http_filters"), "http_filters")
    }

    /// Behind it.
    pub(crate) fn behind(hcm: &Node) -> Option<Self> {
        const LIST: &str = "upstream_http_filters";
        let router = items(hcm, "http_filters").last()?;
        Self::among(items(field(router, "typed_config")?, LIST), LIST)
    }

    /// In this list of filters.
    pub(crate) fn among(filters: &[Node], list: &'static str) -> Option<Self> {
        let build = filters.iter().find_map(build_of)?;
        Some(Self { build, list })
    }
}

/// Prints as a predicate whose subject is the owner of the list.
impl fmt::Display for Already {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { build, list } = self;
        let build = match build {
            Build::Wasm => "a .wasm",
            Build::Module => "a dynamic module",
        };
        write!(
            formatter,
            "already contains the filter, as {build}, and btp apply did not add it: remove it \
             from {list}"
        )
    }
}

impl Instance {
    /// Whether one of these policies is in its configuration with this field of
    /// `spec`.
    pub(crate) fn is_given(&self, policies: &[&ObjectName], path: &[&str]) -> bool {
        let is_meant = |policy: &Node| {
            let name = find(policy, &["metadata", "name"]).and_then(Node::as_str);
            let namespace = find(policy, &["metadata", "namespace"]).and_then(Node::as_str);
            let namespace = namespace.unwrap_or("default");
            let mut policies = policies.iter();
            policies.any(|it| Some(it.name.as_str()) == name && it.namespace == namespace)
        };
        let has_field = |policy: &Node| {
            let spec = field(policy, "spec");
            spec.is_some_and(|spec| find(spec, path).is_some())
        };
        let given = items(&self.config, "policies").iter();
        given.filter(|it| is_meant(it)).any(has_field)
    }
}

impl Contents<'_> {
    /// The plugin configuration of an instance that enforces these
    /// capabilities; `None`: all.
    fn config(&self, enforce: Option<&[Capability]>) -> Node {
        let mut config = node!({ "policies": (list(self.policies.clone())) });
        put(&mut config, "configMaps", self.config_maps.clone());
        put(&mut config, "namespaces", self.namespaces.clone());
        put(&mut config, "gateway", self.gateway.map(gateway_setting));
        put(&mut config, "attachment", self.attachment.clone());
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
        put(&mut config, "accessLog", self.access_log.then_some(true));
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
    let set = gateway.listener_set.as_ref();
    let set = set.map(|ListenerSet { name, labels }| {
        let mut set = node!({ "name": (&name.name), "namespace": (&name.namespace) });
        put(&mut set, "labels", labels_setting(labels));
        set
    });
    put(&mut setting, "listenerSet", set);
    put(&mut setting, "labels", labels_setting(&gateway.labels));
    setting
}

/// Labels, if there are some.
fn labels_setting(labels: &Labels) -> Option<Node> {
    let all = labels.iter();
    let all = object(all.map(|(key, value)| (key, value.into_node())));
    (!labels.is_empty()).then_some(all)
}

/// A policy without what Envoy itself puts into force. `retry` is Envoy's, but
/// a budget looks at it.
pub(crate) fn without_native(mut policy: Node, keeps_retry: bool) -> Node {
    let Some(spec) = field_mut(&mut policy, "spec") else {
        return policy;
    };
    if let Value::Map(entries) = &mut spec.value {
        entries.retain_mut(|entry| {
            let is_empty = match &mut entry.node.value {
                Value::List(rules) if entry.key == "responseOverride" => {
                    let before = rules.len();
                    *rules = redirects::for_filter(rules);
                    rules.is_empty() && before > 0
                }
                // A limit that a service counts is no change for the filter.
                Value::Map(_) if entry.key == "rateLimit" => {
                    let had_global = remove(&mut entry.node, "global").is_some();
                    let is_bare = matches!(&entry.node.value, Value::Map(it) if it.is_empty());
                    had_global && is_bare
                }
                _ => false,
            };
            let is_ours = entry.key != "retry" || keeps_retry;
            let is_native = owner_of(&entry.key).is_some_and(Owner::is_native);
            is_ours && !is_native && !is_empty
        });
    }
    policy
}
