//! Everything people copy: example policies and ready Envoy configurations. The commands of
//! their READMEs run in `terminal.rs`.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use btp_tests::bootstrap::read_yaml;
use btp_tests::{Bootstrap, Envoy, Upstream, repo};
use serde_json::Value;

/// The policies of these stand side by side in the demo.
const EXAMPLES: [&str; 2] = ["fault-injection", "response-override"];

/// These are alone: they govern everything, or need more of Envoy's
/// configuration.
const ALONE: [&str; 9] = [
    "branded-error-pages",
    "fault-recipes",
    "hide-backend-errors",
    "maintenance-page",
    "rate-limit",
    "request-buffer",
    "retry-budget",
    "retry-storm",
    "slow-clients",
];

#[test]
fn the_native_example_is_the_translation_of_its_policy() -> Result<()> {
    let policy = read_yaml(&repo::path("examples/native-fields/policy.yaml"))?;
    let mut bootstrap = Bootstrap::load("examples/native-fields/envoy.yaml")?;
    let before = bootstrap.config().clone();
    bootstrap.govern("backend", &policy["spec"])?;
    assert_eq!(bootstrap.config(), &before);
    Ok(())
}

/// `btp plugin-config` of these policy files.
fn plugin_config(examples: &[&str]) -> Result<Value> {
    let files = examples
        .iter()
        .map(|name| repo::path(format!("examples/{name}/policy.yaml")));
    let mut command = Command::new(repo::cli()?);
    command.args(["plugin-config", "--allow-on-headers-stop-iteration"]);
    for file in files {
        command.arg("-f").arg(file);
    }
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What a policy says, without what may be left out.
fn essence(config: &Value) -> Result<Vec<(String, Value)>> {
    let policies = config["policies"].as_array().context("no policies")?;
    let essence = |policy: &Value| {
        (
            policy["metadata"]["name"].to_string(),
            policy["spec"].clone(),
        )
    };
    Ok(policies.iter().map(essence).collect())
}

fn inline_plugin(file: &str) -> Result<Value> {
    let config = read_yaml(&repo::path(file))?;
    let filter = config
        .pointer(
            "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0",
        )
        .or_else(|| config.pointer("/resources/0"))
        .context("no filter")?;
    let value = &filter["typed_config"]["config"]["configuration"]["value"];
    // A `StringValue` holds JSON, a `Struct` is the configuration itself.
    match value.as_str() {
        Some(text) => Ok(serde_json::from_str(text)?),
        None => Ok(value.clone()),
    }
}

#[test]
fn the_ready_configurations_hold_the_examples_policies() -> Result<()> {
    for example in EXAMPLES.iter().chain(&ALONE) {
        let inline = inline_plugin(&format!("examples/{example}/envoy.yaml"))?;
        assert_eq!(
            essence(&inline)?,
            essence(&plugin_config(&[*example])?)?,
            "{example}"
        );
    }
    let all = essence(&plugin_config(&EXAMPLES)?)?;
    for file in ["envoy/envoy.yaml", "envoy/ecds/backend_traffic_policy.yaml"] {
        assert_eq!(essence(&inline_plugin(file)?)?, all, "{file}");
    }
    let table: Value =
        serde_json::from_slice(&std::fs::read(repo::path("tests/scenarios/demo.json"))?)?;
    assert_eq!(essence(&table["config"])?, all, "tests/scenarios/demo.json");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_accepts_every_configuration_we_ship() -> Result<()> {
    let ecds = repo::path("envoy/ecds/backend_traffic_policy.yaml");
    let directory = tempfile::tempdir()?;
    let local = directory.path().join("filter.yaml");
    let wasm = repo::wasm()?.display().to_string();
    let text = std::fs::read_to_string(ecds)?;
    std::fs::write(
        &local,
        text.replace(btp_tests::bootstrap::MOUNTED_WASM, &wasm),
    )?;
    for file in [
        "envoy/envoy.yaml",
        "envoy/access-log.yaml",
        "envoy/module.yaml",
        "envoy/upstream.yaml",
        "envoy/without-filter.yaml",
        "envoy/filter-by-ecds.yaml",
        "examples/fault-injection/envoy.yaml",
        "examples/fault-recipes/envoy.yaml",
        "examples/request-buffer/envoy.yaml",
        "examples/response-override/envoy.yaml",
        "examples/retry-budget/envoy.yaml",
        "examples/retry-storm/envoy.yaml",
        "examples/native-fields/envoy.yaml",
        "examples/apply/bootstrap.yaml",
        "examples/apply/envoy.yaml",
        "examples/dynamic-module/bootstrap.yaml",
        "examples/global-rate-limit/bootstrap.yaml",
        "examples/global-rate-limit/envoy.yaml",
        "examples/global-rate-limit/module.yaml",
        "examples/dynamic-module/envoy.yaml",
        "examples/listener-sets/bootstrap.yaml",
        "examples/listener-sets/envoy.yaml",
        "examples/overload/bootstrap.yaml",
        "examples/overload/envoy.yaml",
        "examples/sessions/bootstrap.yaml",
        "examples/sessions/envoy.yaml",
        "examples/tracing/bootstrap.yaml",
        "examples/tracing/envoy.yaml",
        "examples/rate-limit/envoy.yaml",
        "examples/branded-error-pages/envoy.yaml",
        "examples/hide-backend-errors/envoy.yaml",
        "examples/maintenance-page/envoy.yaml",
        "examples/slow-clients/envoy.yaml",
    ] {
        let mut bootstrap = Bootstrap::load(file)?;
        bootstrap.replace_text(
            "/etc/envoy/ecds/backend_traffic_policy.yaml",
            &local.display().to_string(),
        );
        let validation = Envoy::validate(&bootstrap).await?;
        ensure!(validation.ok, "{file}: {}", validation.log);
    }
    Ok(())
}

/// What the demo's backend answers is what the scripted upstream and the
/// engine's tests take for granted.
#[tokio::test(flavor = "multi_thread")]
async fn the_demo_backend_keeps_the_convention() -> Result<()> {
    let demo = Envoy::start(&Bootstrap::load("envoy/upstream.yaml")?).await?;
    let scripted = Upstream::start().await?;
    for path in [
        "/",
        "/a/status/404",
        "/status/503?bytes=1000",
        "/x?empty",
        "/x?ct=text/html",
        "/x?h=x-more:yes",
        "/status/204",
        "/status/304",
        "/x?chunked&bytes=10",
    ] {
        let one = demo.get(path).await?;
        let other = btp_tests::client::h1::get(scripted.addr(), path).await?;
        ensure!(
            one.status == other.status && one.body == other.body,
            "{path}: {one:?} {other:?}"
        );
        for name in [
            "content-type",
            "x-upstream",
            "x-more",
            "content-length",
            "transfer-encoding",
        ] {
            if one.body.is_empty() && name.contains('-') && name != "x-upstream" {
                continue;
            }
            ensure!(
                one.header(name) == other.header(name),
                "{path} {name}: {one:?} {other:?}"
            );
        }
    }
    Ok(())
}
