//! `capability_restriction_config` with an entry missing: whatever it is, it
//! does not switch policies off without a word.
//!
//! All other tests run under the whole list.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use btp_tests::{Bootstrap, Builder, EcdsFile, Envoy, Route, repo, wait};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const CALLBACK: &str = "proxy_on_";
/// Only what is printed before the VM dies of a panic or of a lack of memory
/// goes through these.
const HARMLESS: [&str; 4] = ["environ_get", "environ_sizes_get", "fd_write", "proc_exit"];

fn abort(status: u16) -> Value {
    let spec = json!({"faultInjection": {"abort": {"httpStatus": status}}});
    json!({"policies": [{"metadata": {"name": "p"}, "spec": spec}]})
}

/// A plugin's restriction, without one entry.
fn leave_out(plugin: &mut Value, name: &str) -> Result<()> {
    let restriction = &mut plugin["capability_restriction_config"];
    let allowed = restriction["allowed_capabilities"].as_object_mut();
    let allowed = allowed.context("there is a restriction")?;
    ensure!(allowed.remove(name).is_some(), "{name} is not in it");
    Ok(())
}

fn bootstrap_without(name: &str) -> Result<Bootstrap> {
    let mut bootstrap = Builder::new()
        .plugin(&abort(501))
        .route(Route::direct("/", 200, "passed"))
        .build()?;
    let mut done = Ok(());
    bootstrap.edit_http("main", |http| {
        done = leave_out(&mut http["http_filters"][0]["typed_config"]["config"], name);
    })?;
    done.map(|()| bootstrap)
}

/// What `btp lint --bootstrap` finds wrong; `None`: nothing.
fn lint(bootstrap: &Bootstrap) -> Result<Option<String>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("envoy.json");
    fs::write(&file, bootstrap.config().to_string())?;
    let mut btp = Command::new(repo::cli()?);
    let output = btp.args(["lint", "--bootstrap"]).arg(&file).output()?;
    let said = String::from_utf8(output.stderr)?;
    Ok((!output.status.success()).then_some(said))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostcall_that_is_left_out_is_refused_by_name_or_harmless() -> Result<()> {
    let file = EcdsFile::new(&abort(501), false)?;
    let bootstrap = Builder::new()
        .plugin_from(&file)
        .route(Route::direct("/", 200, "passed"))
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    let whole: Value = serde_json::from_slice(&fs::read(file.path())?)?;
    let mut in_force = 501;
    let mut rejected = 0;
    for (name, status) in hostcalls()?.iter().zip(502..) {
        let mut resource = whole.clone();
        resource["version_info"] = status.to_string().into();
        let plugin = &mut resource["resources"][0]["typed_config"]["config"];
        plugin["configuration"]["value"] = abort(status).to_string().into();
        leave_out(plugin, name)?;
        file.replace_text(&resource.to_string())?;
        if HARMLESS.contains(&name.as_str()) {
            in_force = status;
        } else {
            rejected += 1;
        }
        wait::until_async(&format!("Envoy to judge {name}"), PATIENCE, async || {
            let count = envoy
                .stats_matching(r"^extension_config_discovery\..*\.(config_fail|update_rejected)$")
                .await?;
            let is_rejected = count.values().any(|count| *count >= rejected);
            let is_in_force = envoy.get("/").await?.status == in_force;
            Ok((is_rejected && is_in_force).then_some(()))
        })
        .await
        .with_context(|| envoy.log())?;
        ensure!(envoy.get("/").await?.status == in_force, "{name}");
    }
    let log = envoy.log();
    for name in hostcalls()? {
        let of_filter = format!("allowed_capabilities lacks {name}, which the filter");
        let of_envoy = format!("restricted proxy-wasm capability: {name}");
        let is_named = match name.as_str() {
            // What it cannot log Envoy does.
            "proxy_log" => log.contains(&of_envoy),
            _ => log.contains(&of_filter),
        };
        let is_harmless = HARMLESS.contains(&name.as_str());
        ensure!(is_named != is_harmless, "{name}: {log}");
    }
    envoy.stop();
    Ok(())
}

/// The filter cannot see what is not called: this is why `btp lint` and
/// `btp apply` look for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_is_left_out_is_found_by_lint() -> Result<()> {
    let names = repo::capabilities()?;
    let callbacks = names.iter().filter(|it| it.starts_with(CALLBACK));
    let mut count = 0;
    for name in callbacks {
        let found = lint(&bootstrap_without(name)?)?.unwrap_or_default();
        ensure!(
            found.contains(&format!("lacks {name}, so Envoy")),
            "{found}"
        );
        count += 1;
    }
    ensure!(count >= 10, "only {count} callbacks");
    let whole = Builder::new()
        .plugin(&abort(501))
        .route(Route::direct("/", 200, "passed"))
        .build()?;
    ensure!(lint(&whole)?.is_none());

    // Known to be wrong, and Envoy's doing.
    let envoy = Envoy::start(&bootstrap_without("proxy_on_request_headers")?).await?;
    ensure!(envoy.get("/").await?.status == 200);
    envoy.stop();
    // The filter answers for a configuration that it was never given.
    let envoy = Envoy::start(&bootstrap_without("proxy_on_configure")?).await?;
    let response = envoy.get("/").await?;
    ensure!(response.status == 503, "{response:?}");
    envoy.stop();
    let log = Envoy::fails_to_start(&bootstrap_without("proxy_on_context_create")?).await?;
    ensure!(log.contains("Unable to create Wasm plugin"), "{log}");
    Ok(())
}

fn hostcalls() -> Result<Vec<String>> {
    let mut names = repo::capabilities()?;
    names.retain(|it| !it.starts_with(CALLBACK));
    ensure!(names.len() >= 20, "only {} hostcalls", names.len());
    Ok(names)
}
