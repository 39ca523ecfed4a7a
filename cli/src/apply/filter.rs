//! The filter in a connection manager: which policies it is given, how many
//! instances there are, and where they stand.

use btp_policy::attach::Gateway;
use btp_policy::node::{Node, Value};
use btp_policy::problem::Problems;
use btp_policy::read::At;
use btp_policy::spec::{BufferMode, Capability, Owner, RequestBuffer, owner_of};

use super::options::Options;
use crate::envoy::json::{list, object, string};
use crate::envoy::plugin::{NAME, is_instance};
use crate::envoy::tree::{field, find, items, list_mut, object_mut, set, text, type_of};

/// The name of the second instance.
pub(crate) const LATE: &str = "backend_traffic_policy_late";

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

/// The name of the instance behind the router, which sees every try.
pub(crate) const UPSTREAM: &str = "backend_traffic_policy_upstream";

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

/// What a spec needs of the filter.
#[derive(Debug)]
pub(crate) struct Needs {
    /// In front of the router.
    pub(crate) capabilities: Vec<Capability>,
    /// Behind it, where every try is seen.
    pub(crate) behind: Vec<Capability>,
    /// The largest body that is gathered before it goes on, in bytes.
    pub(crate) gathers: Option<u64>,
}

impl Needs {
    pub(crate) fn of(spec: &Node) -> Self {
        let is_there = |name: &str| match spec.field(name).map(|node| &node.value) {
            Some(Value::List(rules)) => rules.iter().any(|rule| !is_internal_redirect(rule)),
            Some(_) if name == "rateLimit" => find(spec, &["rateLimit", "local"]).is_some(),
            found => found.is_some(),
        };
        let fault = spec.field("faultInjection");
        let is_behind = fault.and_then(|it| text(it, "position")) == Some("Upstream");
        let named = |(name, capability): &(&str, Capability)| match capability {
            // `retry` by itself is Envoy's.
            Capability::Retry => {
                let is_ours = find(spec, &["retry", "methods"]).is_some();
                (is_ours || is_there("retryConstraint")).then_some(*capability)
            }
            Capability::FaultInjection if is_behind => None,
            _ => is_there(name).then_some(*capability),
        };
        let capabilities: Vec<Capability> = Capability::ALL.iter().filter_map(named).collect();
        let constraint = spec.field("retryConstraint");
        let is_gated = constraint.is_some_and(|it| text(it, "mode") != Some("Reserve"));
        let mut behind = Vec::new();
        behind.extend(is_gated.then_some(Capability::Retry));
        behind.extend(is_behind.then_some(Capability::FaultInjection));
        let buffer = spec.field("requestBuffer");
        let buffer =
            buffer.and_then(|it| RequestBuffer::read(At::root(it), &mut Problems::default()));
        let gathered = buffer.filter(|it| it.mode == BufferMode::Buffer);
        Self {
            capabilities,
            behind,
            gathers: gathered.map(|it| it.largest().get()),
        }
    }
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
        set(&mut config, "position", string("Upstream"));
        instances.push(instance(UPSTREAM, None, behind.to_vec(), config));
    }
    instances
}

/// Puts the instances into a connection manager.
pub(crate) fn insert(hcm: &mut Node, instances: &[Instance], options: &Options) {
    for instance in instances {
        let filter = match &options.ecds {
            Some(folder) => {
                let folder = folder.trim_end_matches('/');
                discovery(instance, &format!("{folder}/{}", instance.file))
            }
            None => object([
                ("name", string(&instance.name)),
                ("typed_config", typed_config(instance, &options.wasm)),
            ]),
        };
        let filters = list_mut(hcm, "http_filters");
        match instance.place {
            Some(place) => filters.insert(place.min(filters.len()), filter),
            None => put_behind_router(filters, filter),
        }
    }
}

/// Puts a filter first among those that every try passes.
fn put_behind_router(filters: &mut [Node], filter: Node) {
    let Some(router) = filters.last_mut() else {
        return;
    };
    let config = object_mut(router, "typed_config");
    let filters = list_mut(config, "upstream_http_filters");
    if filters.is_empty() {
        let codec = object([("@type", string(CODEC_TYPE))]);
        filters.push(object([
            ("name", string("envoy.filters.http.upstream_codec")),
            ("typed_config", codec),
        ]));
    }
    filters.insert(0, filter);
}

const CODEC_TYPE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec";

/// The resource of an instance in a file that Envoy watches.
pub(crate) fn resource(instance: &Instance, wasm: &str) -> Node {
    object([
        (
            "@type",
            string("type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"),
        ),
        ("name", string(&instance.name)),
        ("typed_config", typed_config(instance, wasm)),
    ])
}

/// Whether the filter stands there already, and not by our doing.
pub(crate) fn is_there(hcm: &Node) -> bool {
    items(hcm, "http_filters").iter().any(is_instance)
}

impl Contents<'_> {
    /// The plugin configuration of an instance that enforces these
    /// capabilities; `None`: all.
    fn config(&self, enforce: Option<&[Capability]>) -> Node {
        let mut fields = vec![("policies", list(self.policies.clone()))];
        fields.extend(self.config_maps.clone().map(|maps| ("configMaps", maps)));
        if let Some(gateway) = self.gateway {
            fields.push(("gateway", place_of(gateway)));
        }
        if let Some(enforce) = enforce {
            let names = Capability::ALL.iter();
            let names = names.filter(|(_, capability)| enforce.contains(capability));
            let names = names.map(|(name, _)| string(*name));
            fields.push(("enforce", list(names)));
        }
        fields.push(("nativeFields", string("Applied")));
        if self.gathers && enforce.is_none_or(|it| it.contains(&Capability::RequestBuffer)) {
            let yes = Node::unplaced(Value::Bool(true));
            fields.push(("allowOnHeadersStopIteration", yes));
        }
        Node::unplaced(Value::map(fields))
    }
}

/// The setting `gateway`.
fn place_of(gateway: &Gateway) -> Node {
    let mut place = vec![
        ("name", string(&gateway.name.name)),
        ("namespace", string(&gateway.name.namespace)),
    ];
    place.extend(gateway.listener.as_ref().map(|it| ("listener", string(it))));
    if !gateway.labels.is_empty() {
        let labels = gateway.labels.iter();
        let labels = labels.map(|(key, value)| crate::envoy::tree::entry(key, string(value)));
        let labels = Node::unplaced(Value::Map(labels.collect()));
        place.push(("labels", labels));
    }
    Node::unplaced(Value::map(place))
}

/// A policy without what Envoy itself puts into force. `retry` is Envoy's, but
/// a budget looks at it.
pub(crate) fn without_native(mut policy: Node, keeps_retry: bool) -> Node {
    let Some(spec) = crate::envoy::tree::field_mut(&mut policy, "spec") else {
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

/// Whether a rule of a `responseOverride` is Envoy's own to do.
pub(crate) fn is_internal_redirect(rule: &Node) -> bool {
    rule.field("redirect")
        .is_some_and(|it| it.field("mode").is_none())
}

fn typed_config(instance: &Instance, wasm: &str) -> Node {
    let code = object([("local", object([("filename", string(wasm))]))]);
    let vm = object([
        ("vm_id", string(NAME)),
        ("runtime", string("envoy.wasm.runtime.v8")),
        ("code", code),
    ]);
    // As text and not as a Struct: Envoy's YAML reader makes strings of the
    // fractions in a Struct.
    let json = super::json_out::write(&instance.config);
    let configuration = object([
        (
            "@type",
            string("type.googleapis.com/google.protobuf.StringValue"),
        ),
        ("value", string(json)),
    ]);
    let mut config = object([
        ("name", string(&instance.name)),
        ("root_id", string(NAME)),
        ("failure_policy", string("FAIL_RELOAD")),
        // Here and not in the VM's configuration, which has it since 1.40 only.
        (
            "capability_restriction_config",
            super::capabilities::restriction(),
        ),
        ("vm_config", vm),
        ("configuration", configuration),
    ]);
    if instance
        .config
        .field("allowOnHeadersStopIteration")
        .is_some()
    {
        let yes = Node::unplaced(Value::Bool(true));
        set(&mut config, "allow_on_headers_stop_iteration", yes);
    }
    object([("@type", string(WASM_TYPE)), ("config", config)])
}

const WASM_TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

fn discovery(instance: &Instance, path: &str) -> Node {
    let source = object([
        ("path_config_source", object([("path", string(path))])),
        ("resource_api_version", string("V3")),
    ]);
    object([
        ("name", string(&instance.name)),
        (
            "config_discovery",
            object([
                ("config_source", source),
                ("type_urls", list(vec![string(WASM_TYPE)])),
            ]),
        ),
    ])
}
