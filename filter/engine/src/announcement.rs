//! The log messages about a loaded configuration, the same in every build of the filter.
//!
//! They are written piece by piece, because a configuration may have thousands of policies
//! and is loaded with little free memory.

use std::fmt::Write as _;

use btp_policy::hash::fnv1a;
use btp_policy::spec::Capability;
use btp_policy::{PluginConfig, Position};

use crate::plan::Plan;

/// Which build of the filter it is.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// How Envoy runs it: `wasm` or `module`.
    pub kind: &'static str,
    /// The commit it was built from; `None`: unknown.
    pub commit: Option<&'static str>,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// For the record.
    Information,
    /// Something may be wrong.
    Warning,
}

/// Says which configuration this is, what becomes of each policy, and what is unwise. `text`
/// is what the host has handed over; its hash is part of the versions that `btp apply --ecds`
/// writes.
pub fn announce(
    config: &PluginConfig,
    text: &[u8],
    build: Build,
    mut log: impl FnMut(Severity, &str),
) {
    log(Severity::Information, &headline(config, text, build));
    for status in config.attachments.statuses() {
        log(Severity::Information, &format!("policy {status}"));
    }
    for warning in &config.warnings {
        log(Severity::Warning, &warning.to_string());
    }
}

/// Says that the configuration is compiled, and what an operator should know of it.
pub fn announce_plan(plan: &Plan, millis: u128, mut log: impl FnMut(Severity, &str)) {
    log(
        Severity::Information,
        &format!("configuration loaded in {millis} ms"),
    );
    for notice in plan.notices() {
        log(Severity::Information, &notice);
    }
}

fn headline(config: &PluginConfig, text: &[u8], build: Build) -> String {
    let Build { kind, commit } = build;
    let (version, commit) = (env!("CARGO_PKG_VERSION"), commit.unwrap_or("unknown"));
    let hash = fnv1a(0, text);
    let count = config.policies.len();
    let policies = if count == 1 { "policy" } else { "policies" };
    let position = match config.position {
        Position::Downstream => "Downstream",
        Position::Upstream => "Upstream",
    };
    let mut line = format!(
        "version {version}, commit {commit}, build {kind}, configuration {hash:016x}, \
         {count} {policies}, position {position}"
    );
    // Several instances in front of the router are told apart by it.
    let all = Capability::ALL.iter();
    let own: Vec<&str> = all
        .filter(|(_, it)| config.enforce.has(*it))
        .map(|(name, _)| *name)
        .collect();
    if own.len() < Capability::ALL.len() {
        let _ = write!(line, ", enforces {}", own.join(" and "));
    }
    if config.disabled {
        let _ = write!(line, ", disabled: nothing is enforced");
    }
    line
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const BUILD: Build = Build {
        kind: "wasm",
        commit: Some("0123456789ab"),
    };

    fn lines(text: &str) -> Vec<(Severity, String)> {
        let config = PluginConfig::parse(text.as_bytes()).expect("is valid");
        let mut lines = Vec::new();
        let mut log = |severity, line: &str| lines.push((severity, line.to_owned()));
        announce(&config, text.as_bytes(), BUILD, &mut log);
        announce_plan(&Plan::compile(config), 3, &mut log);
        lines
    }

    #[test]
    fn a_configuration_is_named_before_its_policies() {
        let text = r#"{"policies": [{"metadata": {"name": "p"}, "spec": {}}]}"#;
        let version = env!("CARGO_PKG_VERSION");
        let hash = fnv1a(0, text.as_bytes());
        let wanted = [
            format!(
                "version {version}, commit 0123456789ab, build wasm, configuration {hash:016x}, \
                 1 policy, position Downstream"
            ),
            "policy default/p: Accepted: everything".to_owned(),
            "configuration loaded in 3 ms".to_owned(),
        ];
        let said: Vec<String> = lines(text).into_iter().map(|(_, line)| line).collect();
        assert_eq!(said, wanted);
    }

    #[test]
    fn what_is_unwise_is_a_warning() {
        let text = r#"{"policies": [], "position": "Upstream", "disabled": true}"#;
        let said = lines(text);
        let (_, head) = said.first().expect("there is a line");
        let tail = "0 policies, position Upstream, enforces faultInjection and retry, disabled: \
                    nothing is enforced";
        assert!(head.ends_with(tail), "{head}");
        let text = r#"{"policies": [{"metadata": {"name": "p"},
            "spec": {"timeout": {"tcp": {"connectTimeout": "1s"}}}}], "nativeFields": "Ignore"}"#;
        let said = lines(text);
        let warns = |(severity, _): &(Severity, String)| *severity == Severity::Warning;
        assert_eq!(said.iter().filter(|it| warns(it)).count(), 1, "{said:?}");
    }
}
