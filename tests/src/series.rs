//! What Prometheus scrapes, and that it is the same wherever the filter is.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regex_lite::Regex;
use serde_json::{Value, json};

use crate::bootstrap::{cluster, upstream_filtered, wasm_filter};
use crate::{Bootstrap, Builder, Envoy, Route, Upstream, wait};

/// Series and their values, without labels that are empty or Envoy's own.
pub type Series = BTreeMap<String, u64>;

/// Labels of the policy that [`plugin`] has.
pub const POLICY: &str = r#"btp_namespace="team",btp_policy="p.q""#;

/// How long to wait for what is shown late.
pub const PATIENCE: Duration = Duration::from_secs(20);

const CODEC: &str =
    "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec";

/// Where the instances of the filter are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a listener.
    Listener,
    /// In a listener, and among its router's upstream filters.
    ListenerAndRouter,
    /// Among the router's upstream filters.
    Router,
    /// In a listener, and among the filters of a cluster.
    ListenerAndCluster,
    /// Among the filters of a cluster.
    Cluster,
}

/// The plugin configuration of a policy with this `spec`.
pub fn plugin(position: &str, spec: &Value) -> Value {
    json!({"position": position, "policies":
        [{"metadata": {"namespace": "team", "name": "p.q"}, "spec": spec}]})
}

/// With the labels that every shipped configuration has.
pub fn labelled(mut bootstrap: Bootstrap) -> Result<Bootstrap> {
    let shipped = Bootstrap::load("examples/apply/envoy.yaml")?;
    let tags = shipped.config()["stats_config"]["stats_tags"].clone();
    ensure!(tags.as_array().is_some_and(|tags| tags.len() > 2), "{tags}");
    bootstrap.edit(|config| config["stats_config"]["stats_tags"] = tags);
    Ok(bootstrap)
}

/// What Prometheus makes of the statistics whose names begin so.
pub async fn scraped(envoy: &Envoy, prefix: &str) -> Result<Series> {
    let text = envoy.admin_get("/stats/prometheus").await?;
    // As docs/reference/metrics.md says.
    let of_cluster = Regex::new("^envoy_cluster_.+_dynamicmodulescustom_(btp_.+)$")?;
    let mut found = Series::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let (name, labels) = name.split_once('{').context("has labels")?;
        let name = of_cluster.replace(name, "$1");
        if !name.starts_with(prefix) || name.ends_with("_bucket") || name.ends_with("_sum") {
            continue;
        }
        let labels: Vec<&str> = labels
            .trim_end_matches('}')
            .split(',')
            .filter(|it| !it.ends_with("=\"\"") && !it.starts_with("envoy_"))
            .collect();
        let value: u64 = value.parse().context("is a count")?;
        *found
            .entry(format!("{name}{{{}}}", labels.join(",")))
            .or_default() += value;
    }
    Ok(found)
}

impl Place {
    /// All places.
    pub const ALL: [Self; 5] = [
        Self::Listener,
        Self::ListenerAndRouter,
        Self::Router,
        Self::ListenerAndCluster,
        Self::Cluster,
    ];

    /// Counts three delayed requests here, and finds them under the same names as anywhere.
    pub async fn check(self) -> Result<()> {
        let is_behind = self != Self::Listener;
        let position = if is_behind { "Upstream" } else { "Downstream" };
        let delay = json!({"position": position, "delay": {"fixedDelay": "5ms"}});
        let spec = json!({"faultInjection": delay});
        let upstream = Upstream::start().await?;
        let envoy = Envoy::start(&labelled(self.bootstrap(&spec, &upstream)?)?).await?;
        for _ in 0..3 {
            ensure!(envoy.get("/").await?.status == 200);
        }
        let names = [
            "btp_fault_delays_injected",
            "btp_fault_delay_milliseconds_count",
        ];
        let wanted: Series = names
            .iter()
            .map(|name| (format!("{name}{{{POLICY}}}"), 3))
            .collect();
        let mut last = Series::new();
        let waited = wait::until_async("the delays", PATIENCE, async || {
            last = scraped(&envoy, "btp_fault_delay").await?;
            Ok((last == wanted).then_some(()))
        });
        waited.await.with_context(|| format!("there are {last:?}"))
    }

    fn bootstrap(self, spec: &Value, upstream: &Upstream) -> Result<Bootstrap> {
        let behind = plugin("Upstream", spec);
        let mut backend = cluster("back.end", upstream.addr());
        if matches!(self, Self::Cluster | Self::ListenerAndCluster) {
            backend = upstream_filtered(backend, &behind)?;
        }
        let mut builder = Builder::new()
            .raw_cluster(backend)
            .route(Route::cluster("/", "back.end"));
        if !matches!(self, Self::Cluster | Self::Router) {
            builder = builder.plugin(&plugin("Downstream", spec));
        }
        let mut bootstrap = builder.build()?;
        if matches!(self, Self::Router | Self::ListenerAndRouter) {
            let filter = wasm_filter(&behind, false)?;
            bootstrap.edit_http("main", |http| {
                let filters = http["http_filters"].as_array_mut();
                if let Some(router) = filters.and_then(|filters| filters.last_mut()) {
                    router["typed_config"]["upstream_http_filters"] = json!([filter,
                        {"name": "codec", "typed_config": {"@type": CODEC}}]);
                }
            })?;
        }
        Ok(bootstrap)
    }
}
