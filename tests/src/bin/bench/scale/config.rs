//! Configurations with many routes and many policies.

use anyhow::{Context, Result};
use btp_tests::{Bootstrap, Builder};
use serde_json::{Value, json};

use crate::variants::{Kind, builds, four, targeting};

/// The host of a route.
pub(super) fn host(route: usize) -> String {
    format!("shop-{route}.example")
}

/// Routes of a host each, which Envoy answers, behind this filter.
pub(super) fn configuration(routes: usize, filter: Option<Value>) -> Result<Bootstrap> {
    let mut builder = Builder::new();
    if let Some(filter) = filter {
        builder = builder.http_filter(filter);
    }
    let mut bootstrap = builder.build()?;
    bootstrap.edit(|config| config["stats_flush_interval"] = json!("60s"));
    let hosts: Vec<Value> = (0..routes).map(virtual_host).collect();
    bootstrap.edit_http("main", |http| {
        http["route_config"]["virtual_hosts"] = hosts.into();
    })?;
    Ok(bootstrap)
}

fn virtual_host(route: usize) -> Value {
    json!({"name": format!("host-{route}"), "domains": [host(route)], "routes": [
        {"name": name(route), "match": {"prefix": "/"},
         "direct_response": {"status": 200, "body": {"inline_string": "hello\n"}}}]})
}

fn name(route: usize) -> String {
    format!("route-{route}")
}

/// A filter of this kind with so many policies; none for the control.
pub(super) fn plugin(kind: Kind, policies: usize, abort: u16) -> Result<Option<Value>> {
    if kind == Kind::Control {
        return Ok(None);
    }
    let builds = builds(&policies_for(policies, abort, 0.0001))?.into_iter();
    let mut builds = builds.filter(|(it, _)| *it == kind);
    let (_, filter) = builds.next().context("no such build")?;
    Ok(Some(filter))
}

/// Four capabilities for each route; this share of the requests, in percent, is aborted
/// with this status.
pub(super) fn policies_for(count: usize, abort: u16, percent: f64) -> Value {
    let policy = |route: usize| {
        let mut spec = four();
        spec["faultInjection"] = json!({"abort": {"httpStatus": abort, "percentage": percent}});
        json!({"metadata": {"name": format!("policy-{route}")},
               "spec": targeting(&[&name(route)], spec)})
    };
    json!({"policies": (0..count).map(policy).collect::<Vec<_>>(),
        "allowOnHeadersStopIteration": true})
}
