//! What is compared: listeners that differ in their HTTP filters, and in what of their
//! routes and clusters belongs to these.

mod applied;
mod floors;
mod native;
mod ours;
mod replay;

use std::net::SocketAddr;

use anyhow::Result;
use btp_tests::bootstrap::cluster;
use btp_tests::{Bootstrap, Builder};
use serde_json::{Value, json};

use crate::traffic::Traffic;
pub(crate) use ours::{builds, four, targeting};

/// Which filter does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Nobody.
    Control,
    /// Envoy's own filters.
    Envoy,
    /// A filter in Envoy's sandbox.
    Wasm,
    /// A dynamic module.
    Module,
    /// The hostcalls of a filter in Envoy's sandbox, and nothing else.
    Replay,
}

/// One listener.
pub(crate) struct Variant {
    /// The work; the same whoever does it.
    pub(crate) what: &'static str,
    pub(crate) kind: Kind,
    /// What it is asked, and what the status of each answer is.
    pub(crate) asked: Vec<(Traffic, u16)>,
    filters: Vec<Value>,
    /// Changes to the routes: native filters have some of their settings there.
    route: Value,
    /// The cluster of the proxied route.
    cluster: &'static str,
    /// The listener and the clusters that `btp apply` has made of it.
    applied: Option<(Value, Vec<Value>)>,
}

/// What the others are compared with.
pub(crate) const CONTROL: &str = "no filter";
/// The same once more: the difference to it is what the machine adds or takes.
pub(crate) const CONTROL_AGAIN: &str = "no filter, again";
/// A filter without work: what it costs to have one of its kind.
pub(crate) const NOTHING: &str = "does nothing";
pub(crate) const FOUR: &str = "four capabilities";
pub(crate) const FOUR_SILENT: &str = "four, without x-ratelimit headers";
pub(crate) const FIVE: &str = "all five";
pub(crate) const FOUR_APPLIED: &str = "four, by `btp apply`";
pub(crate) const FIVE_APPLIED: &str = "all five, by `btp apply`";

const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters.http";
const HCM: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const PLAIN: &str = "backend";

impl Kind {
    pub(crate) const FILTERS: [Self; 3] = [Self::Wasm, Self::Module, Self::Envoy];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Control => "Envoy",
            Self::Envoy => "Envoy's own",
            Self::Wasm => ".wasm",
            Self::Module => "module",
            Self::Replay => "replay of .wasm",
        }
    }
}

impl Variant {
    /// Every request passes.
    fn quiet(what: &'static str, kind: Kind, filters: Vec<Value>) -> Self {
        Self {
            what,
            kind,
            asked: vec![(Traffic::Direct, 200), (Traffic::Proxied, 200)],
            filters,
            route: json!({}),
            cluster: PLAIN,
            applied: None,
        }
    }

    /// Every request of this kind is answered with this status.
    fn firing(
        what: &'static str,
        kind: Kind,
        filter: Value,
        (traffic, status): (Traffic, u16),
    ) -> Self {
        Self {
            asked: vec![(traffic, status)],
            ..Self::quiet(what, kind, vec![filter])
        }
    }

    /// For tables.
    pub(crate) fn name(&self) -> String {
        match self.kind {
            Kind::Control => self.what.to_owned(),
            kind => format!("{}: {}", kind.name(), self.what),
        }
    }

    /// Its listener's name.
    pub(crate) fn listener(&self) -> String {
        let mut letters = self.name().to_lowercase();
        // There is one for each kind of traffic.
        if self.kind == Kind::Replay {
            let asked = self.asked.iter().map(|(traffic, _)| traffic.name());
            letters.extend(asked);
        }
        letters.replace(|it: char| !it.is_ascii_alphanumeric(), "_")
    }

    fn listener_config(&self) -> Value {
        if let Some((listener, _)) = &self.applied {
            return listener.clone();
        }
        let mut filters = self.filters.clone();
        filters.push(json!({"name": "envoy.filters.http.router",
            "typed_config": {"@type": format!("{FILTERS}.router.v3.Router")}}));
        let mut proxied = json!({"cluster": self.cluster});
        if let (Some(route), Some(changes)) = (proxied.as_object_mut(), self.route.as_object()) {
            route.extend(changes.clone());
        }
        let routes = json!([
            {"name": "direct", "match": {"path": "/direct"},
             "direct_response": {"status": 200, "body": {"inline_string": "hello\n"}}},
            {"name": "proxied", "match": {"prefix": "/"}, "route": proxied}]);
        json!({
            "name": self.listener(),
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": {
                    "@type": HCM,
                    "stat_prefix": "bench",
                    "http_filters": filters,
                    "route_config": {"virtual_hosts": [
                        {"name": "all", "domains": ["*"], "routes": routes}]}}}]}]})
    }
}

/// Some of them, in this order.
pub(crate) fn some(backend: SocketAddr, wanted: &[(Kind, &str)]) -> Result<Vec<Variant>> {
    let mut variants = all(backend)?;
    let place = |it: &Variant| {
        let mut wanted = wanted.iter();
        wanted.position(|other| *other == (it.kind, it.what))
    };
    variants.retain(|it| place(it).is_some());
    variants.sort_by_key(place);
    Ok(variants)
}

/// All of them; the control comes first.
pub(crate) fn all(backend: SocketAddr) -> Result<Vec<Variant>> {
    let mut control = Variant::quiet(CONTROL, Kind::Control, vec![]);
    control.asked.extend([
        (Traffic::Refused, 200),
        (Traffic::Upload, 200),
        (Traffic::Absent, 404),
    ]);
    let mut again = Variant::quiet(CONTROL_AGAIN, Kind::Control, vec![]);
    again.asked.clone_from(&control.asked);
    let mut variants = vec![control];
    variants.extend(floors::all()?);
    variants.extend(ours::quiet()?);
    variants.extend(native::quiet());
    variants.extend(applied::all(backend)?);
    variants.extend(native::firing());
    variants.extend(ours::firing()?);
    // As far from the first as can be, so that it shows how far a round drifts.
    variants.push(again);
    Ok(variants)
}

/// An Envoy with a listener for each.
pub(crate) fn bootstrap(variants: &[Variant], backend: SocketAddr) -> Result<Bootstrap> {
    let mut builder = clusters(Builder::new(), backend);
    for variant in variants {
        builder = builder.listener(variant.listener_config());
        for cluster in variant.applied.iter().flat_map(|(_, clusters)| clusters) {
            builder = builder.raw_cluster(cluster.clone());
        }
    }
    let mut bootstrap = builder.build()?;
    // What Envoy does beside requests shall not fall into the measuring of some.
    bootstrap.edit(|config| config["stats_flush_interval"] = json!("60s"));
    Ok(bootstrap)
}

fn clusters(builder: Builder, backend: SocketAddr) -> Builder {
    let mut budgeted = cluster(native::BUDGETED, backend);
    budgeted["circuit_breakers"] = json!({"thresholds": [
        {"retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 3}}]});
    builder.cluster(PLAIN, backend).raw_cluster(budgeted)
}
