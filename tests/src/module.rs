//! The dynamic module as a filter of its own name, which the harness leaves as it is:
//! what these tests say is about the module, whichever build the others run on.
//!
//! Panics are planted in a copy of it that is built with the shipped one's profile
//! (`filter/module/src/planted.rs`); what ships has no code for that. The copy does what
//! a request's header `x-planted` says.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::bootstrap::{PLUGIN_NAME, cluster, upstream_filtered};
use crate::build::{MODULE_TYPE, module_filter, with_plain_names};
use crate::{Bootstrap, Builder, EcdsFile, Envoy, Request, Response, Route, Upstream};

/// The counter of caught panics, in Envoy's statistics.
pub const PANICS: &str = "dynamicmodulescustom.btp.panics";
/// A filter that is not ours, to take the module's place.
pub const HEADER_MUTATION: &str =
    "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";

/// The module in this file as an HTTP filter, with this plugin configuration.
pub fn filter(file: &Path, text: &str) -> Value {
    json!({"name": "module", "typed_config": module_filter(file, &string(text))})
}

/// A plugin configuration as the message that Envoy hands to the module.
pub fn string(text: &str) -> Value {
    json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text})
}

/// The plugin configuration of a policy that does nothing.
pub fn policies(name: &str) -> String {
    policy(name, &json!({}))
}

/// The plugin configuration of one policy.
pub fn policy(name: &str, spec: &Value) -> String {
    json!({"policies": [{"metadata": {"name": name}, "spec": spec}]}).to_string()
}

/// This filter before an upstream (the route `all`), and before a route that Envoy
/// answers (`/direct`).
pub fn bootstrap(filter: Value, upstream: &Upstream) -> Result<Bootstrap> {
    let builder = Builder::new()
        .http_filter(filter)
        .route(Route::direct("/direct", 200, "hello"))
        .route(Route::cluster("/", "backend").named("all"))
        .cluster_h2("backend", upstream.addr());
    named(builder)
}

/// The configuration, with the module's metrics under the names of the .wasm in
/// Prometheus.
pub fn named(builder: Builder) -> Result<Bootstrap> {
    let mut bootstrap = builder.build()?;
    bootstrap.edit(with_plain_names);
    Ok(bootstrap)
}

/// The cluster `backend` with this filter at the upstream position.
pub fn cluster_behind(filter: Value, upstream: &Upstream) -> Result<Value> {
    const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let mut cluster = upstream_filtered(cluster("backend", upstream.addr()), &json!({}))?;
    cluster["typed_extension_protocol_options"][OPTIONS]["http_filters"][0] = filter;
    Ok(cluster)
}

/// A filter that Envoy reads from a file, which may be the module or [`HEADER_MUTATION`].
pub fn discovering(file: &EcdsFile, upstream: &Upstream) -> Result<Bootstrap> {
    let source = json!({"resource_api_version": "V3", "path_config_source": {"path": file.path()}});
    let filter = json!({"name": PLUGIN_NAME, "config_discovery": {
        "config_source": source, "type_urls": [MODULE_TYPE, HEADER_MUTATION]}});
    bootstrap(filter, upstream)
}

/// Starts an Envoy with the module in this file and a policy that does nothing.
pub async fn start(file: &Path) -> Result<(Envoy, Upstream)> {
    start_with(file, &policies("p")).await
}

/// The same with this plugin configuration.
pub async fn start_with(file: &Path, text: &str) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let envoy = Envoy::start(&bootstrap(filter(file, text), &upstream)?).await?;
    Ok((envoy, upstream))
}

/// Sends a request that commands the planted copy.
pub async fn commanded(envoy: &Envoy, command: &str) -> Result<Response> {
    envoy
        .send(Request::get("/x").header("x-planted", command))
        .await
}

/// Panics that were counted so far.
pub async fn panics(envoy: &Envoy) -> Result<u64> {
    Ok(envoy.own_stat(PANICS).await?.unwrap_or(0))
}

/// Whether it is what a client gets for a panic.
pub fn is_answered_for(response: &Response) -> bool {
    response.status == 500 && response.text() == "internal error\n"
}
