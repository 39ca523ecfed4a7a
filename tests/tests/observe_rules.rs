//! The rules and alerts of envoy/observe, by Prometheus' own tool.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use btp_tests::bootstrap::read_yaml;
use btp_tests::prometheus::CONFIG;
use btp_tests::repo;
use regex_lite::Regex;
use serde_json::Value;

fn promtool(arguments: &[&str]) -> Result<()> {
    let folder = repo::path(CONFIG);
    let folder = folder.parent().context("is in a folder")?;
    let mut promtool = Command::new(repo::promtool()?);
    let output = promtool.args(arguments).current_dir(folder).output()?;
    ensure!(
        output.status.success(),
        "promtool {arguments:?}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[test]
fn rules_and_configuration_are_valid() -> Result<()> {
    promtool(&["check", "config", "prometheus.yaml"])?;
    promtool(&["check", "rules", "rules.yaml", "alerts.yaml"])
}

#[test]
fn each_alert_fires_and_does_not_fire() -> Result<()> {
    promtool(&["test", "rules", "alerts_test.yaml"])?;
    let tests = read_yaml(&repo::path("envoy/observe/alerts_test.yaml"))?;
    let tests = tests["tests"].as_array().context("has tests")?;
    let tested: Vec<&Value> = tests
        .iter()
        .flat_map(|test| test["alert_rule_test"].as_array())
        .flatten()
        .collect();
    let guide = fs::read_to_string(repo::path("docs/guides/observe.md"))?;
    for alert in alerts()? {
        let of_alert = || tested.iter().filter(|it| it["alertname"] == *alert);
        let fires = |it: &&Value| it["exp_alerts"].as_array().is_some_and(|it| !it.is_empty());
        let is_tested = of_alert().any(fires) && !of_alert().all(fires);
        ensure!(is_tested, "{alert} is tested by half");
        ensure!(
            guide.contains(&format!("### {alert}\n")),
            "{alert}: no advice"
        );
    }
    Ok(())
}

fn alerts() -> Result<Vec<String>> {
    let file = read_yaml(&repo::path("envoy/observe/alerts.yaml"))?;
    let groups = file["groups"].as_array().context("has groups")?;
    let rules = groups.iter().flat_map(|group| group["rules"].as_array());
    let mut names = Vec::new();
    for rule in rules.flatten() {
        let name = rule["alert"].as_str().context("is an alert")?;
        let runbook = rule["annotations"]["runbook"].as_str().unwrap_or_default();
        let wanted = format!("docs/guides/observe.md#{}", name.to_lowercase());
        ensure!(runbook == wanted, "{name}: {runbook}, not {wanted}");
        names.push(name.to_owned());
    }
    Ok(names)
}

/// What nobody counts would never fire, and never show.
#[test]
fn all_series_are_those_of_the_reference() -> Result<()> {
    let page = fs::read_to_string(repo::path("docs/reference/metrics.md"))?;
    let name = Regex::new(r"\bbtp_[a-z_]+\b")?;
    let mut used = BTreeSet::new();
    for file in [
        "rules.yaml",
        "alerts.yaml",
        "alerts_test.yaml",
        "grafana/dashboards/btp.json",
    ] {
        let text = fs::read_to_string(repo::path("envoy/observe").join(file))?;
        used.extend(name.find_iter(&text).map(|it| it.as_str().to_owned()));
    }
    ensure!(used.len() > 30, "only {used:?}");
    let unknown: Vec<&String> = used
        .iter()
        .filter(|name| {
            let ends = ["_bucket", "_sum"];
            let base = ends.iter().find_map(|end| name.strip_suffix(end));
            !page.contains(&format!("`{}`", base.unwrap_or(name)))
        })
        .collect();
    ensure!(unknown.is_empty(), "{unknown:?}");
    Ok(())
}
