//! `docker compose --profile fleet up`, as far as it goes without images: its Envoys with
//! their configurations, a rate limit service that reads the same file, and what the
//! example's README tries.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use btp_tests::bootstrap::read_yaml;
use btp_tests::rate_limit_service::Format;
use btp_tests::readme::Readme;
use btp_tests::{Bootstrap, Envoy, RateLimitService, Redis, Upstream, repo};
use serde_json::Value;

const EXAMPLE: &str = "examples/global-rate-limit";

/// The file of limits in the example's folder.
fn limits(format: Format) -> String {
    let service = match format {
        Format::Envoy => "ratelimit",
        Format::Limitador => "limitador",
    };
    format!("{EXAMPLE}/{service}/limits.yaml")
}

async fn run_readme(envoys: &str, format: Format) -> Result<()> {
    let redis = Redis::start().await?;
    let limits = repo::path(limits(format));
    let mut service = RateLimitService::start(format, &limits, &redis).await?;
    let upstream = Upstream::start().await?;
    let mut bootstrap = Bootstrap::load(format!("{EXAMPLE}/{envoys}"))?;
    bootstrap
        .redirect_cluster("backend", upstream.addr())?
        .redirect_cluster("btp.ratelimit", service.address())?
        // A busy machine takes longer.
        .replace_text("0.100s", "20s");
    let (first, second) = (
        Envoy::start(&bootstrap).await?,
        Envoy::start(&bootstrap).await?,
    );
    let addresses = [
        ("localhost:10001", first.addr().to_string()),
        ("localhost:9911", first.admin_addr().to_string()),
        ("localhost:10002", second.addr().to_string()),
        ("localhost:9912", second.admin_addr().to_string()),
    ];
    let readme = Readme::load(&repo::path(format!("{EXAMPLE}/README.md")))?;
    let (with, without) = readme.split_at("stop ratelimit")?;
    ensure!(with.steps().len() == 6 && without.steps().len() == 3);
    with.run(&addresses).await?;
    service.stop()?;
    without.run(&addresses).await?;
    first.assert_vm_alive().await?;
    second.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_envoys_do_what_the_readme_shows() -> Result<()> {
    run_readme("envoy.yaml", Format::Envoy).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_envoys_with_the_module_do_so() -> Result<()> {
    run_readme("module.yaml", Format::Envoy).await
}

#[tokio::test(flavor = "multi_thread")]
async fn limitador_counts_the_same() -> Result<()> {
    run_readme("envoy.yaml", Format::Limitador).await
}

/// The text that a service of docker-compose.yml has where a list of keys leads.
fn text<'a>(service: &'a Value, keys: &[&str]) -> Result<&'a str> {
    let value = keys.iter().fold(service, |value, key| &value[*key]);
    value
        .as_str()
        .with_context(|| format!("{} in {service}", keys.join(".")))
}

/// The services of each profile; those of none start always.
#[test]
fn the_services_of_a_profile_start_only_when_it_is_asked_for() -> Result<()> {
    let compose = read_yaml(&repo::path("docker-compose.yml"))?;
    let services = compose["services"].as_object().context("no services")?;
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, service) in services {
        let profile = service["profiles"][0].as_str().unwrap_or_default();
        found.entry(profile).or_default().push(name);
    }
    found.values_mut().for_each(|names| names.sort_unstable());
    let wanted = BTreeMap::from([
        ("", vec!["build", "envoy", "upstream"]),
        ("fleet", vec!["envoy-1", "envoy-2", "ratelimit", "redis"]),
        ("observe", vec!["grafana", "prometheus"]),
    ]);
    assert_eq!(found, wanted);
    Ok(())
}

/// What the containers are told of files and of each other is there.
#[test]
fn the_containers_find_their_files_and_each_other() -> Result<()> {
    let compose = read_yaml(&repo::path("docker-compose.yml"))?;
    let service = &compose["services"]["ratelimit"];
    assert_eq!(text(service, &["environment", "RUNTIME_ROOT"])?, "/limits");
    let mounted = &service["volumes"][0];
    assert_eq!(text(mounted, &["target"])?, "/limits");
    assert_eq!(text(mounted, &["source"])?, format!("./{EXAMPLE}"));
    // It takes every file there for one of limits.
    let folder = text(service, &["environment", "RUNTIME_APPDIRECTORY"])?;
    let mut found = Vec::new();
    for entry in fs::read_dir(repo::path(EXAMPLE).join(folder))? {
        found.push(entry?.path());
    }
    assert_eq!(found, [repo::path(limits(Format::Envoy))]);
    // As docker-compose.yml says how Limitador is started.
    let text_of_file = fs::read_to_string(repo::path("docker-compose.yml"))?;
    ensure!(text_of_file.contains(" /limits/limitador/limits.yaml redis redis://redis:6379"));
    ensure!(repo::path(limits(Format::Limitador)).is_file());
    for envoy in ["envoy-1", "envoy-2"] {
        let envoy = &compose["services"][envoy];
        let command = text(&envoy["command"][2], &[])?;
        ensure!(command.contains(&format!("/{EXAMPLE}/$$config")));
        for file in ["envoy.yaml", "module.yaml"] {
            ensure!(command.contains(&format!("config={file}")));
            let text = fs::read_to_string(repo::path(EXAMPLE).join(file))?;
            for host in ["address: ratelimit", "address: upstream"] {
                ensure!(text.contains(host), "{file}: {host}");
            }
        }
    }
    Ok(())
}
