//! The dynamic module as Envoy loads it: its configuration, as text and as a Struct, and
//! what it refuses. Whichever build the other tests run on.

use anyhow::{Result, ensure};
use btp_tests::build::module_filter;
use btp_tests::module::{self, bootstrap, commanded, filter, panics, policies};
use btp_tests::{Envoy, Request, Upstream, repo};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_module_loads_and_lets_requests_pass() -> Result<()> {
    let (envoy, upstream) = module::start(&repo::module()?).await?;
    let response = envoy.send(Request::post("/x", "body")).await?;
    ensure!(response.status == 200, "{response:?}");
    ensure!(upstream.requests().len() == 1);
    // It obeys nobody: commands are for the planted copy.
    let response = commanded(&envoy, "request_headers").await?;
    ensure!(response.status == 200 && panics(&envoy).await? == 0);
    // The same name in Prometheus as the .wasm's statistics have there.
    let prometheus = envoy.admin_get("/stats/prometheus").await?;
    let named = prometheus
        .lines()
        .any(|line| line.starts_with("btp_panics"));
    ensure!(named, "{prometheus}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_struct_is_the_same_configuration_as_its_text() -> Result<()> {
    let upstream = Upstream::start().await?;
    let file = repo::module()?;
    let of = |value: Value| {
        let value = json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": value});
        json!({"name": "module", "typed_config": module_filter(&file, &value)})
    };
    let good = json!({"policies": [{"metadata": {"name": "p"}, "spec": {}}]});
    let envoy = Envoy::start(&bootstrap(of(good), &upstream)?).await?;
    ensure!(envoy.get("/x").await?.status == 200);
    let bad = json!({"policies": [{"metadata": {"name": "p"}, "spec": {"retry": 7}}]});
    let log = Envoy::fails_to_start(&bootstrap(of(bad), &upstream)?).await?;
    ensure!(
        log.contains("configuration refused: policies[0].spec.retry"),
        "{log}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_is_refused_with_the_reason() -> Result<()> {
    let upstream = Upstream::start().await?;
    let file = repo::module()?;
    for (text, reason) in [
        ("{", "configuration refused: "),
        (
            r#"{"polices": []}"#,
            "configuration refused: polices: is not a known field",
        ),
    ] {
        let log = Envoy::fails_to_start(&bootstrap(filter(&file, text), &upstream)?).await?;
        let line = log.lines().find(|line| line.contains(reason));
        ensure!(
            line.is_some_and(|it| it.contains("][error][dynamic_modules]")),
            "{log}"
        );
    }
    let mut other = filter(&file, &policies("p"));
    other["typed_config"]["filter_name"] = "other".into();
    let log = Envoy::fails_to_start(&bootstrap(other, &upstream)?).await?;
    ensure!(
        log.contains(r#"configuration refused: filter_name is "other""#),
        "{log}"
    );
    let bad = bootstrap(filter(&file, "{"), &upstream)?;
    let validation = Envoy::validate(&bad).await?;
    ensure!(!validation.ok && validation.log.contains("configuration refused: "));
    Ok(())
}
