//! Builds the plugin configuration from input files, and maps a place in it back to a place
//! in a file.

use btp_policy::node::{Entry, Node, Value};
use btp_policy::path::{FieldPath, Step};
use btp_policy::problem::Problem;
use clap::{Args, ValueEnum};

use crate::diagnostics::Location;
use crate::documents::{Input, Object};
use crate::envoy::json::{IntoNode, list, node, object, put};

/// Which instance of the filter the configuration is for.
#[derive(Args, Debug, Default)]
pub(crate) struct Instance {
    /// The Gateway that this Envoy serves
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    pub(crate) gateway: Option<String>,
    /// The listener of that Gateway, by its name in the Gateway
    #[arg(long, value_name = "NAME", requires = "gateway")]
    pub(crate) listener: Option<String>,
    /// The ListenerSet that contains this listener, if it is not the Gateway's own
    #[arg(long, value_name = "[NAMESPACE/]NAME", requires = "gateway")]
    pub(crate) listener_set: Option<String>,
    /// How to treat fields that Envoy's own configuration enforces
    #[arg(long, value_enum)]
    pub(crate) native_fields: Option<NativeFields>,
    /// Fields that this instance enforces, such as faultInjection,responseOverride
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) enforce: Option<Vec<String>>,
    /// State that Envoy's configuration of the filter enables
    /// allow_on_headers_stop_iteration
    #[arg(long)]
    pub(crate) allow_on_headers_stop_iteration: bool,
    /// Let this instance show access logs which policy and rule made which decision:
    /// %FILTER_STATE(wasm.btp_decision:PLAIN)%
    #[arg(long)]
    pub(crate) access_log: bool,
}

/// `nativeFields`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NativeFields {
    /// They are an error
    Refuse,
    /// They are left out
    Ignore,
    /// They are in force already
    Applied,
}

impl NativeFields {
    fn name(self) -> &'static str {
        match self {
            Self::Refuse => "Refuse",
            Self::Ignore => "Ignore",
            Self::Applied => "Applied",
        }
    }
}

/// The plugin configuration of these files.
pub(crate) fn compose(input: &Input, instance: &Instance) -> Node {
    let policies = objects(&input.policies, &["labels", "creationTimestamp"]);
    let mut config = node!({ "policies": (policies) });
    let has_maps = !input.config_maps.is_empty();
    let maps = has_maps.then(|| objects(&input.config_maps, &[]));
    put(&mut config, "configMaps", maps);
    let selects = input.policies.iter().any(|it| picks_namespaces(&it.node));
    put(
        &mut config,
        "namespaces",
        selects.then(|| namespaces(input)),
    );
    if let Some(gateway) = &instance.gateway {
        let named = |text: &str| {
            let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
            node!({ "name": name, "namespace": namespace })
        };
        let mut place = named(gateway);
        put(&mut place, "listener", instance.listener.as_deref());
        let set = instance.listener_set.as_deref();
        put(&mut place, "listenerSet", set.map(named));
        put(&mut config, "gateway", Some(place));
    }
    let native = instance.native_fields.map(NativeFields::name);
    put(&mut config, "nativeFields", native);
    let names = instance.enforce.as_ref();
    let names = names.map(|names| list(names.iter().map(IntoNode::into_node)));
    put(&mut config, "enforce", names);
    let waits = instance.allow_on_headers_stop_iteration;
    let name = "allowOnHeadersStopIteration";
    put(&mut config, name, waits.then_some(true));
    put(
        &mut config,
        "accessLog",
        instance.access_log.then_some(true),
    );
    config
}

/// The place in a file of a problem with the composed configuration.
pub(crate) fn in_its_file(mut problem: Problem, input: &Input) -> (Problem, Location) {
    let [Step::Field(list), Step::Item(index), rest @ ..] = problem.path.steps() else {
        return (problem, Location::Nowhere);
    };
    let objects = match &**list {
        "policies" => &input.policies,
        "configMaps" => &input.config_maps,
        _ => return (problem, Location::Nowhere),
    };
    let Some(object) = objects.get(*index) else {
        return (problem, Location::Nowhere);
    };
    let path: FieldPath = rest.iter().cloned().collect();
    if !problem.mark.is_known() {
        problem.mark = path.closest(&object.node).mark;
    }
    problem.path = path;
    (problem, Location::File(object.source))
}

/// Whether a policy looks into namespaces by their labels.
fn picks_namespaces(policy: &Node) -> bool {
    let selectors = policy
        .field("spec")
        .and_then(|it| it.field("targetSelectors"));
    let Some(Value::List(selectors)) = selectors.map(|it| &it.value) else {
        return false;
    };
    let from = |it: &Node| {
        it.field("namespaces")?
            .field("from")?
            .as_str()
            .map(str::to_owned)
    };
    selectors
        .iter()
        .any(|it| from(it).as_deref() == Some("Selector"))
}

/// What is known of namespaces, as the filter reads it.
fn namespaces(input: &Input) -> Node {
    list(input.namespaces.iter().map(|(name, namespace)| {
        let labels = namespace.labels.iter();
        let labels = labels.map(|(name, value)| (name.clone(), value.into_node()));
        node!({ "name": (name), "labels": (object(labels)) })
    }))
}

/// The objects without what a cluster adds to them.
fn objects(objects: &[Object], metadata: &[&str]) -> Node {
    let clean = |object: &Object| {
        let mut node = object.node.clone();
        if let Value::Map(entries) = &mut node.value {
            entries.retain(|entry| entry.key != "status");
            let found = entries.iter_mut().find(|entry| entry.key == "metadata");
            if let Some(entry) = found {
                clean_metadata(entry, metadata);
            }
        }
        node
    };
    list(objects.iter().map(clean))
}

/// Keeps what the filter uses, and what it would refuse.
fn clean_metadata(metadata: &mut Entry, used: &[&str]) {
    const ADDED: [&str; 12] = [
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generation",
        "labels",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    if let Value::Map(entries) = &mut metadata.node.value {
        entries.retain(|entry| {
            let key = entry.key.as_str();
            used.contains(&key) || !ADDED.contains(&key)
        });
    }
}
