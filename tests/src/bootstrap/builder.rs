//! A minimal bootstrap from nothing: one listener `main`, our filter first,
//! whatever filters, routes and clusters the test adds, the router last.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Bootstrap, EcdsFile, any_port, load_assignment, plugin_configuration, visit};
use crate::build::WASM_TYPE;
use crate::repo;

/// Name and root id of the filter in every configuration of this project.
pub const PLUGIN_NAME: &str = "backend_traffic_policy";

const HCM: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
const FILE_LOG: &str = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";
const UPSTREAM_CODEC: &str =
    "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec";
const HTTP_OPTIONS: &str =
    "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// One route of the built configuration, as Envoy's `Route`.
#[derive(Clone, Debug)]
pub struct Route(Value);

/// Collects a configuration; [`Builder::build`] ends it.
#[derive(Clone, Debug)]
pub struct Builder {
    filter: Option<Filter>,
    stop_iteration: bool,
    http_filters: Vec<Value>,
    routes: Vec<Value>,
    clusters: Vec<Value>,
    listeners: Vec<Value>,
    access_log: Option<Value>,
    buffer_limit: Option<u32>,
    concurrency: u32,
}

#[derive(Clone, Debug)]
enum Filter {
    Static(Value),
    Discovered(String),
}

impl Route {
    /// A prefix that goes to a cluster.
    pub fn cluster(prefix: &str, cluster: &str) -> Self {
        Self(json!({"match": {"prefix": prefix}, "route": {"cluster": cluster}}))
    }

    /// A prefix that Envoy answers itself.
    pub fn direct(prefix: &str, status: u16, body: &str) -> Self {
        Self(json!({
            "match": {"prefix": prefix},
            "direct_response": {"status": status, "body": {"inline_string": body}},
        }))
    }

    /// Names the route.
    pub fn named(mut self, name: &str) -> Self {
        self.0["name"] = name.into();
        self
    }

    /// Changes anything about it.
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.0);
        self
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// No filter, no route, no cluster; one worker thread.
    pub fn new() -> Self {
        Self {
            filter: None,
            stop_iteration: false,
            http_filters: Vec::new(),
            routes: Vec::new(),
            clusters: Vec::new(),
            listeners: Vec::new(),
            access_log: None,
            buffer_limit: None,
            concurrency: 1,
        }
    }

    /// Puts our filter first, with this plugin configuration.
    pub fn plugin(mut self, configuration: &Value) -> Self {
        self.filter = Some(Filter::Static(configuration.clone()));
        self
    }

    /// Puts our filter first, with the configuration that `file` holds.
    pub fn plugin_from(mut self, file: &EcdsFile) -> Self {
        self.filter = Some(Filter::Discovered(file.path().display().to_string()));
        self
    }

    /// Sets `allow_on_headers_stop_iteration` of [`Self::plugin`]'s filter; an
    /// [`EcdsFile`] has its own.
    pub fn stop_iteration(mut self, allow: bool) -> Self {
        self.stop_iteration = allow;
        self
    }

    /// Adds an HTTP filter between ours and the router.
    pub fn http_filter(mut self, filter: Value) -> Self {
        self.http_filters.push(filter);
        self
    }

    /// Adds a route; the first match wins.
    pub fn route(mut self, route: Route) -> Self {
        self.routes.push(route.0);
        self
    }

    /// Adds a cluster that is spoken to in HTTP/1.
    pub fn cluster(self, name: &str, endpoint: SocketAddr) -> Self {
        self.raw_cluster(cluster(name, endpoint))
    }

    /// Adds a cluster that is spoken to in HTTP/2.
    pub fn cluster_h2(self, name: &str, endpoint: SocketAddr) -> Self {
        let mut cluster = cluster(name, endpoint);
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": HTTP_OPTIONS,
                "explicit_http_config": {"http2_protocol_options": {}},
            },
        });
        self.raw_cluster(cluster)
    }

    /// Adds a cluster as given.
    pub fn raw_cluster(mut self, cluster: Value) -> Self {
        self.clusters.push(cluster);
        self
    }

    /// Adds a further listener as given.
    pub fn listener(mut self, listener: Value) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Writes one line of this format per request to `file`.
    pub fn access_log(mut self, file: &Path, format: &str) -> Self {
        self.access_log = Some(json!({
            "name": "envoy.access_loggers.file",
            "typed_config": {
                "@type": FILE_LOG,
                "path": file.display().to_string(),
                "log_format": {"text_format_source": {"inline_string": format!("{format}\n")}},
            },
        }));
        self
    }

    /// Sets the main listener's `per_connection_buffer_limit_bytes`.
    pub fn buffer_limit(mut self, bytes: u32) -> Self {
        self.buffer_limit = Some(bytes);
        self
    }

    /// Number of worker threads.
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// The configuration; an error when the filter is wanted and not built.
    pub fn build(self) -> Result<Bootstrap> {
        let mut filters = Vec::new();
        match &self.filter {
            Some(Filter::Static(plugin)) => filters.push(wasm_filter(plugin, self.stop_iteration)?),
            Some(Filter::Discovered(path)) => filters.push(discovered_filter(path)),
            None => {}
        }
        filters.extend(self.http_filters);
        filters.push(json!({
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": ROUTER},
        }));

        let mut main = json!({
            "name": "main",
            "address": any_port(),
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": {
                    "@type": HCM,
                    "stat_prefix": "main",
                    "codec_type": "AUTO",
                    "access_log": self.access_log.into_iter().collect::<Vec<_>>(),
                    "http_filters": filters,
                    "route_config": {
                        "name": "main",
                        "virtual_hosts": [
                            {"name": "main", "domains": ["*"], "routes": self.routes},
                        ],
                    },
                },
            }]}],
        });
        if let Some(bytes) = self.buffer_limit {
            main["per_connection_buffer_limit_bytes"] = bytes.into();
        }
        let mut listeners = vec![main];
        listeners.extend(self.listeners);

        Ok(Bootstrap::from_value(json!({
            "node": {"id": "test", "cluster": "test"},
            "admin": {"address": any_port()},
            "stats_flush_interval": "1s",
            "static_resources": {"listeners": listeners, "clusters": self.clusters},
        }))
        .with_concurrency(self.concurrency))
    }
}

/// A static cluster with one endpoint.
pub fn cluster(name: &str, endpoint: SocketAddr) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": load_assignment(name, endpoint),
    })
}

/// The same cluster with our filter at its upstream position, where it sees
/// each try.
pub fn upstream_filtered(mut cluster: Value, plugin: &Value) -> Result<Value> {
    const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let mut filter = wasm_filter(plugin, false)?;
    // A root of its own in the same VM.
    filter["typed_config"]["config"]["name"] = format!("{PLUGIN_NAME}_upstream").into();
    let options = &mut cluster["typed_extension_protocol_options"][OPTIONS];
    options["@type"] = HTTP_OPTIONS.into();
    if options.get("explicit_http_config").is_none() {
        options["explicit_http_config"] = json!({"http_protocol_options": {}});
    }
    options["http_filters"] = json!([filter, {
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": {"@type": UPSTREAM_CODEC},
    }]);
    Ok(cluster)
}

/// Our filter as an HTTP filter entry.
pub fn wasm_filter(plugin: &Value, stop_iteration: bool) -> Result<Value> {
    Ok(json!({
        "name": PLUGIN_NAME,
        "typed_config": wasm_config(plugin, stop_iteration)?,
    }))
}

pub(super) fn wasm_config(plugin: &Value, stop_iteration: bool) -> Result<Value> {
    let wasm = repo::wasm()?;
    Ok(json!({
        "@type": WASM_TYPE,
        "config": {
            "name": PLUGIN_NAME,
            "root_id": PLUGIN_NAME,
            "vm_config": {
                "vm_id": "btp",
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": wasm.display().to_string()}},
            },
            "configuration": plugin_configuration(plugin),
            "failure_policy": "FAIL_RELOAD",
            "capability_restriction_config": {"allowed_capabilities": capabilities()?},
            "allow_on_headers_stop_iteration": stop_iteration,
        },
    }))
}

/// What the filter needs, and no more, as everybody is told to allow.
fn capabilities() -> Result<Value> {
    let names = repo::capabilities()?.into_iter();
    Ok(names.map(|name| (name, json!({}))).collect())
}

fn discovered_filter(path: &str) -> Value {
    json!({
        "name": PLUGIN_NAME,
        "config_discovery": {
            "config_source": {
                "path_config_source": {"path": path},
                "resource_api_version": "V3",
            },
            "type_urls": [WASM_TYPE],
        },
    })
}

impl Bootstrap {
    /// The HTTP connection manager of listener `name`, to change anything.
    pub fn edit_http(&mut self, name: &str, change: impl FnOnce(&mut Value)) -> Result<&mut Self> {
        let listener = self
            .config
            .pointer_mut("/static_resources/listeners")
            .and_then(Value::as_array_mut)
            .and_then(|listeners| listeners.iter_mut().find(|l| l["name"] == name))
            .with_context(|| format!("no listener {name:?}"))?;
        let mut change = Some(change);
        visit(listener, &mut |value| {
            if value["@type"] == HCM
                && let Some(change) = change.take()
            {
                change(value);
            }
        });
        match change {
            None => Ok(self),
            Some(_) => anyhow::bail!("listener {name:?} has no HTTP connection manager"),
        }
    }
}
