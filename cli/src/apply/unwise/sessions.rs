//! `sessionPersistence` that does not keep clients at their endpoint: one cookie for
//! several clusters, and clusters that send to others.

use std::collections::BTreeSet;

use btp_policy::Code;
use btp_policy::node::Node;

use super::Unwise;
use crate::apply::effective::Effective;
use crate::apply::services::SESSION_PERSISTENCE;
use crate::apply::uses::{Uses, clusters_named_by};
use crate::envoy::files::Config;
use crate::envoy::model::Model;
use crate::envoy::tree::{field, find, text};

/// What has no effect, once for each policy and cluster.
pub(super) fn lost(
    config: &Config,
    model: &Model,
    uses: &Uses,
    effective: &[Effective],
) -> Vec<Unwise> {
    let mut found: Vec<Unwise> = Vec::new();
    let mut add = |policy, path: &'static str, code, reason| {
        let unwise = Unwise {
            policy,
            path: path.into(),
            code,
            reason,
        };
        if !found.contains(&unwise) {
            found.push(unwise);
        }
    };
    for it in effective {
        if field(&it.spec, SESSION_PERSISTENCE).is_none() {
            continue;
        }
        let groups = groups(config, model, it);
        if let Some(name) = find(&it.spec, &[SESSION_PERSISTENCE, "cookie", "name"])
            && groups.len() > 1
        {
            let name = name.as_str().unwrap_or_default();
            let all: BTreeSet<&str> = groups.iter().flatten().copied().collect();
            let all: Vec<&str> = all.into_iter().collect();
            let reason = format!(
                "sets the same cookie {name} for several clusters ({}): a client that uses more \
                 than one loses its endpoint at each change; leave the name out for one cookie \
                 per cluster",
                all.join(", ")
            );
            let path = "spec.sessionPersistence.cookie.name";
            add(it.policy, path, Code::SharedCookie, reason);
        }
        for name in groups.into_iter().flatten().collect::<BTreeSet<&str>>() {
            let cluster = uses.places.get(name).and_then(|it| config.at(it));
            if cluster.is_some_and(is_aggregate) {
                let reason = format!(
                    "has no effect on cluster {name}, which sends to other clusters: Envoy sets \
                     the cookie or header, but ignores it"
                );
                let path = "spec.sessionPersistence";
                add(it.policy, path, Code::SessionOfAggregate, reason);
            }
        }
    }
    found
}

/// The clusters that share a session, for each of a policy's sessions.
fn groups<'a>(config: &'a Config, model: &Model, it: &'a Effective) -> BTreeSet<BTreeSet<&'a str>> {
    let of_services = it.clusters.keys().map(|name| [name.as_str()].into());
    let routes = it.routes.iter();
    let routes = routes.filter_map(|(_, id)| config.at(&model.route(*id).address));
    let named = routes.map(clusters_named_by).filter(|it| !it.is_empty());
    named.chain(of_services).collect()
}

fn is_aggregate(cluster: &Node) -> bool {
    let kind = field(cluster, "cluster_type").and_then(|it| text(it, "name"));
    kind == Some("envoy.clusters.aggregate")
}
