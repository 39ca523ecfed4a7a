//! Envoy configurations: the repository's own files, adapted to a test.
//!
//! [`Bootstrap::load`] keeps a file as people copy it and changes only what a
//! test on a shared machine must: the filter's path, the listeners' ports and
//! the admin address. [`Builder`] makes a minimal one from nothing.

mod applied;
mod builder;
mod ecds;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::build::WASM_TYPE;
use crate::repo;
pub use builder::{Builder, PLUGIN_NAME, Route, cluster, upstream_filtered, wasm_filter};
pub use ecds::EcdsFile;

/// Where the shipped configurations expect the filter.
pub const MOUNTED_WASM: &str = "/etc/envoy/backend_traffic_policy.wasm";

/// The same of the module.
pub const MOUNTED_MODULE: &str = "/etc/envoy/libbackend_traffic_policy.so";

const STRING_VALUE: &str = "type.googleapis.com/google.protobuf.StringValue";

/// An Envoy configuration and how to run it.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    config: Value,
    concurrency: u32,
}

impl Bootstrap {
    /// Loads a YAML or JSON file, given relative to the repository's root.
    pub fn load(file: impl AsRef<Path>) -> Result<Self> {
        let mut bootstrap = Self::from_value(read_yaml(&repo::path(file))?);
        bootstrap.isolate();
        for (mounted, built) in [
            (MOUNTED_WASM, repo::wasm as fn() -> _),
            (MOUNTED_MODULE, repo::module),
        ] {
            if bootstrap.mentions(mounted) {
                bootstrap.replace_text(mounted, &built()?.display().to_string());
            }
        }
        Ok(bootstrap)
    }

    /// Takes a configuration as it is; one worker thread.
    pub fn from_value(config: Value) -> Self {
        Self {
            config,
            concurrency: 1,
        }
    }

    /// Number of worker threads.
    pub fn with_concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// Number of worker threads.
    pub fn concurrency(&self) -> u32 {
        self.concurrency
    }

    /// The configuration.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// Changes anything.
    pub fn edit(&mut self, change: impl FnOnce(&mut Value)) -> &mut Self {
        change(&mut self.config);
        self
    }

    /// Sends what goes to cluster `name` to `endpoint` instead, without DNS.
    pub fn redirect_cluster(&mut self, name: &str, endpoint: SocketAddr) -> Result<&mut Self> {
        let cluster = self
            .config
            .pointer_mut("/static_resources/clusters")
            .and_then(Value::as_array_mut)
            .and_then(|clusters| clusters.iter_mut().find(|c| c["name"] == name))
            .with_context(|| format!("no cluster {name:?}"))?;
        without_dns(cluster);
        cluster["load_assignment"] = load_assignment(name, endpoint);
        Ok(self)
    }

    /// Sends what goes to a host by name to `endpoint` instead, without DNS, whichever
    /// clusters have it: `btp apply` makes copies of clusters. One without it is an error.
    pub fn redirect_host(&mut self, host: &str, endpoint: SocketAddr) -> Result<&mut Self> {
        let mut found = false;
        let clusters = self
            .config
            .pointer_mut("/static_resources/clusters")
            .and_then(Value::as_array_mut);
        for cluster in clusters.into_iter().flatten() {
            let mut is_of_cluster = false;
            visit(&mut cluster["load_assignment"], &mut |value| {
                if value["address"] == host {
                    value["address"] = endpoint.ip().to_string().into();
                    value["port_value"] = endpoint.port().into();
                    is_of_cluster = true;
                }
            });
            if is_of_cluster {
                found = true;
                without_dns(cluster);
            }
        }
        found
            .then_some(self)
            .with_context(|| format!("no cluster sends to {host:?}"))
    }

    /// Gives every instance of the filter this plugin configuration.
    pub fn configure_plugin(&mut self, plugin: &Value) -> Result<&mut Self> {
        let mut found = false;
        visit(&mut self.config, &mut |value| {
            if value["@type"] == WASM_TYPE
                && let Some(config) = value.get_mut("config")
            {
                config["configuration"] = plugin_configuration(plugin);
                found = true;
            }
        });
        found
            .then_some(self)
            .context("no wasm filter in this configuration")
    }

    /// Replaces every string that equals `from`, for example a mounted path.
    pub fn replace_text(&mut self, from: &str, to: &str) -> &mut Self {
        visit(&mut self.config, &mut |value| {
            if value == from {
                *value = to.into();
            }
        });
        self
    }

    fn mentions(&mut self, text: &str) -> bool {
        let mut found = false;
        visit(&mut self.config, &mut |value| found |= value == text);
        found
    }

    /// Only loopback, only ports of the system's choice; a name for each listener, so that
    /// its port can be looked up.
    fn isolate(&mut self) {
        self.config["admin"]["address"] = any_port();
        let listeners = self
            .config
            .pointer_mut("/static_resources/listeners")
            .and_then(Value::as_array_mut);
        for (i, listener) in listeners.into_iter().flatten().enumerate() {
            let address = &mut listener["address"];
            if let Some(socket) = address.get_mut("socket_address") {
                let protocol = socket["protocol"].take();
                *address = any_port();
                if !protocol.is_null() {
                    address["socket_address"]["protocol"] = protocol;
                }
            }
            if listener.get("name").is_none() {
                listener["name"] = format!("listener_{i}").into();
            }
        }
    }
}

/// Reads a YAML (or JSON) file.
pub fn read_yaml(file: &Path) -> Result<Value> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("parsing {}", file.display()))
}

/// Takes a cluster's endpoints as addresses.
fn without_dns(cluster: &mut Value) {
    if let Some(cluster) = cluster.as_object_mut() {
        for dns in ["cluster_type", "dns_lookup_family", "dns_refresh_rate"] {
            cluster.remove(dns);
        }
        cluster.insert("type".into(), "STATIC".into());
    }
}

fn any_port() -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}})
}

fn load_assignment(cluster: &str, endpoint: SocketAddr) -> Value {
    json!({
        "cluster_name": cluster,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {
            "address": endpoint.ip().to_string(),
            "port_value": endpoint.port(),
        }}}}]}],
    })
}

fn plugin_configuration(plugin: &Value) -> Value {
    json!({"@type": STRING_VALUE, "value": plugin.to_string()})
}

/// Calls `f` with a value and everything in it, from the outside in.
pub fn visit(value: &mut Value, f: &mut impl FnMut(&mut Value)) {
    f(value);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, f)),
        Value::Object(fields) => fields.values_mut().for_each(|field| visit(field, f)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Bootstrap {
        let yaml = r#"
admin: {address: {socket_address: {address: 0.0.0.0, port_value: 9901}}}
static_resources:
  listeners:
  - address: {socket_address: {address: 0.0.0.0, port_value: 10000}}
    filter:
      "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
      config: {vm_config: {code: {local: {filename: /etc/envoy/x.wasm}}}}
  - {name: named, address: {pipe: {path: "@x"}}}
  clusters:
  - {name: backend, type: STRICT_DNS, dns_lookup_family: V4_ONLY}
"#;
        Bootstrap::from_value(serde_saphyr::from_str(yaml).unwrap())
    }

    #[test]
    fn isolation_frees_ports_and_names_listeners() {
        let mut bootstrap = sample();
        bootstrap.isolate();
        let config = bootstrap.config();
        assert_eq!(config["admin"]["address"], any_port());
        let listeners = &config["static_resources"]["listeners"];
        assert_eq!(listeners[0]["address"], any_port());
        assert_eq!(listeners[0]["name"], "listener_0");
        assert_eq!(listeners[1]["name"], "named");
        assert_eq!(listeners[1]["address"], json!({"pipe": {"path": "@x"}}));
    }

    #[test]
    fn a_redirected_cluster_is_static() {
        let mut bootstrap = sample();
        let endpoint = "127.0.0.1:1234".parse().unwrap();
        bootstrap.redirect_cluster("backend", endpoint).unwrap();
        let cluster = &bootstrap.config()["static_resources"]["clusters"][0];
        assert_eq!(cluster["type"], "STATIC");
        assert!(cluster.get("dns_lookup_family").is_none());
        assert_eq!(
            cluster.pointer("/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/port_value"),
            Some(&json!(1234))
        );
        assert!(bootstrap.redirect_cluster("other", endpoint).is_err());
    }

    #[test]
    fn the_plugin_configuration_is_a_json_string() {
        let mut bootstrap = sample();
        bootstrap
            .configure_plugin(&json!({"policies": []}))
            .unwrap();
        bootstrap.replace_text("/etc/envoy/x.wasm", "/here.wasm");
        let plugin = &bootstrap.config()["static_resources"]["listeners"][0]["filter"]["config"];
        assert_eq!(plugin["configuration"]["value"], r#"{"policies":[]}"#);
        assert_eq!(
            plugin["vm_config"]["code"]["local"]["filename"],
            "/here.wasm"
        );
        let mut bare = Bootstrap::from_value(json!({}));
        assert!(bare.configure_plugin(&json!({})).is_err());
    }
}
