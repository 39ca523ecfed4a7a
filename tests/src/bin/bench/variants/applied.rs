//! Configurations as `btp apply` writes them: what Envoy can do itself is Envoy's, and the
//! filter has the rest.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use btp_tests::{Bootstrap, Build, Builder};
use serde_json::{Value, json};

use super::{FIVE_APPLIED, FOUR_APPLIED, Kind, PLAIN, Variant, ours};

pub(super) fn all(backend: SocketAddr) -> Result<Vec<Variant>> {
    let mut variants = Vec::new();
    for (what, spec) in [
        ("one limit, by `btp apply`", ours::one_limit()),
        (FOUR_APPLIED, ours::four()),
        (FIVE_APPLIED, ours::five()),
    ] {
        for (kind, build) in [(Kind::Wasm, Build::Wasm), (Kind::Module, Build::Module)] {
            let plain = Variant::quiet(what, kind, vec![]);
            variants.push(apply(plain, build, &spec, backend)?);
        }
    }
    Ok(variants)
}

/// Runs the command on a listener without filters.
fn apply(plain: Variant, build: Build, spec: &Value, backend: SocketAddr) -> Result<Variant> {
    let mut config = Builder::new().cluster(PLAIN, backend).build()?;
    config.edit(|config| {
        config["static_resources"]["listeners"] = json!([plain.listener_config()]);
    });
    let policy = json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "BackendTrafficPolicy",
        "metadata": {"name": ours::policy_name(plain.what)},
        "spec": ours::targeting(&["direct", "proxied"], spec.clone()),
    });
    let (applied, said) = config.applied_as(build, &policy, &[])?;
    let (listener, clusters) = parts(&applied).context(said)?;
    // The clusters of this one alone: the plain one is there for all.
    let clusters = clusters.into_iter().filter(|it| it["name"] != PLAIN);
    Ok(Variant {
        applied: Some((listener, clusters.collect())),
        ..plain
    })
}

fn parts(applied: &Bootstrap) -> Option<(Value, Vec<Value>)> {
    let resources = &applied.config()["static_resources"];
    let [listener] = resources["listeners"].as_array()?.as_slice() else {
        return None;
    };
    let clusters = resources["clusters"].as_array()?.clone();
    Some((listener.clone(), clusters))
}
