//! Native fields put into a test's configuration, as `btp` translates them.

pub mod dns;
pub mod origin;
pub mod specs;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use btp::translate::{Change, Context, Outcome, Target, apply_change, translate};
use btp_policy::node::Node;
use serde_json::{Value, json};

use crate::bootstrap::cluster;
use crate::{Bootstrap, Builder, Envoy, Reply, Route, Upstream, wait};

/// Long enough for whatever a test waits for.
pub const SOON: Duration = Duration::from_secs(30);

impl Bootstrap {
    /// Puts a `spec` into force for cluster `name` and the routes to it.
    pub fn govern(&mut self, name: &str, spec: &Value) -> Result<&mut Self> {
        let spec = node(spec)?;
        let changes = translate(&spec, &Context::default());
        let changes = match changes {
            Ok(changes) => changes,
            Err(problems) => {
                let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
                bail!("cannot be translated: {}", said.join("; "));
            }
        };
        let mut failed = None;
        self.edit(|config| {
            for change in &changes {
                let done = each_object(config, name, change.target, &mut |object| {
                    perform(object, change).map(drop)
                });
                failed = failed.take().or(done.err());
            }
        });
        failed.map_or(Ok(self), Err)
    }
}

/// A cluster of several endpoints.
pub fn cluster_of(name: &str, endpoints: &[SocketAddr]) -> Value {
    let mut it = cluster(name, ([127, 0, 0, 1], 9).into());
    let endpoint = |address: &SocketAddr| {
        json!({"endpoint": {"address": {"socket_address": {
        "address": address.ip().to_string(), "port_value": address.port()}}}})
    };
    let endpoints: Vec<Value> = endpoints.iter().map(endpoint).collect();
    it["load_assignment"]["endpoints"] = json!([{ "lb_endpoints": endpoints }]);
    it
}

/// So many upstreams.
pub async fn upstreams(count: usize) -> Result<Vec<Upstream>> {
    let mut upstreams = Vec::new();
    for _ in 0..count {
        upstreams.push(Upstream::start().await?);
    }
    Ok(upstreams)
}

/// Where they listen.
pub fn addresses(upstreams: &[Upstream]) -> Vec<SocketAddr> {
    upstreams.iter().map(Upstream::addr).collect()
}

/// Cluster and route `backend` of these upstreams.
pub fn backend(upstreams: &[Upstream]) -> Result<Bootstrap> {
    Builder::new()
        .raw_cluster(cluster_of("backend", &addresses(upstreams)))
        .route(Route::cluster("/", "backend"))
        .build()
}

/// An Envoy before these upstreams, which are governed by `spec`.
pub async fn governed(upstreams: &[Upstream], spec: &Value) -> Result<Envoy> {
    let mut bootstrap = backend(upstreams)?;
    bootstrap.govern("backend", spec)?;
    Envoy::start(&bootstrap).await
}

/// The same reply, more often than any test needs it.
pub fn many(reply: &Reply) -> impl Iterator<Item = Reply> {
    std::iter::repeat_n(reply.clone(), 100_000)
}

/// An address at which nobody listens.
pub fn nobody() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Waits until a counter or gauge has a value such as wanted.
pub async fn wait_for_stat(envoy: &Envoy, name: &str, wanted: impl Fn(u64) -> bool) -> Result<()> {
    wait::until_async(name, SOON, async || {
        let value = envoy.stat(name).await?;
        Ok(value.filter(|value| wanted(*value)).map(drop))
    })
    .await
}

/// Performs a change on an object in serde's form.
pub fn perform(object: &mut Value, change: &Change) -> Result<Outcome> {
    let mut tree = node(object)?;
    let outcome = apply_change(&mut tree, change)
        .map_err(anyhow::Error::msg)
        .with_context(|| format!("{} at {}", change.field, change.path))?;
    *object = serde_json::to_value(&tree)?;
    Ok(outcome)
}

fn node(value: &Value) -> Result<Node> {
    btp_policy::json::parse(value.to_string().as_bytes())
        .map_err(|problem| anyhow::anyhow!("{problem}"))
}

fn each_object(
    config: &mut Value,
    cluster: &str,
    target: Target,
    change: &mut impl FnMut(&mut Value) -> Result<()>,
) -> Result<()> {
    if target == Target::Bootstrap {
        return change(config);
    }
    if target == Target::Cluster {
        let clusters = config.pointer_mut("/static_resources/clusters");
        let clusters = clusters.and_then(Value::as_array_mut);
        let found = clusters
            .into_iter()
            .flatten()
            .find(|it| it["name"] == cluster);
        return change(found.with_context(|| format!("no cluster {cluster:?}"))?);
    }
    let mut done = Ok(());
    crate::bootstrap::visit(config, &mut |value| {
        let is_it = match target {
            Target::Route => sends_to(&value["route"], cluster),
            _ => value.get("http_filters").is_some() && value.get("stat_prefix").is_some(),
        };
        if is_it && done.is_ok() {
            done = change(value);
        }
    });
    done
}

fn sends_to(action: &Value, cluster: &str) -> bool {
    let weighted = action["weighted_clusters"]["clusters"].as_array();
    let mut weighted = weighted.into_iter().flatten();
    action["cluster"] == cluster || weighted.any(|it| it["name"] == cluster)
}
