//! The dashboard that Grafana gets: its queries as Prometheus gets them, and what Grafana
//! would not forgive. Grafana itself is not among the tests' programs.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use regex_lite::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::bootstrap::read_yaml;
use crate::repo;

const FILE: &str = "envoy/observe/grafana/dashboards/btp.json";
const DATASOURCE: &str = "envoy/observe/grafana/provisioning/datasources/prometheus.yaml";

/// How wide a dashboard is.
const COLUMNS: u32 = 24;

/// Variables that are Grafana's own.
const BUILT_IN: [&str; 1] = ["__rate_interval"];

/// What is looked at of its file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dashboard {
    schema_version: u32,
    uid: String,
    templating: Templating,
    panels: Vec<Panel>,
}

/// A query of a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Query<'a> {
    /// The panel's title.
    pub panel: &'a str,
    /// `A` is its first query.
    pub letter: &'a str,
    /// In PromQL, with variables.
    pub expression: &'a str,
}

/// A variable that people choose values of.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// `label_values(SELECTOR, LABEL)`.
    pub definition: String,
    all_value: String,
    datasource: Source,
}

#[derive(Clone, Debug, Deserialize)]
struct Templating {
    list: Vec<Variable>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Panel {
    id: u32,
    title: String,
    #[serde(rename = "type")]
    kind: String,
    grid_pos: Place,
    #[serde(default)]
    targets: Vec<Target>,
    datasource: Option<Source>,
}

#[derive(Clone, Debug, Deserialize)]
struct Place {
    x: u32,
    y: u32,
    w: u32,
    h: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    ref_id: String,
    expr: String,
    datasource: Source,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Source {
    #[serde(rename = "type")]
    kind: String,
    uid: String,
}

impl Dashboard {
    /// The shipped one.
    pub fn load() -> Result<Self> {
        let text = fs::read_to_string(repo::path(FILE))?;
        serde_json::from_str(&text).with_context(|| format!("parsing {FILE}"))
    }

    /// All queries, panel by panel.
    pub fn queries(&self) -> impl Iterator<Item = Query<'_>> {
        self.panels.iter().flat_map(|panel| {
            panel.targets.iter().map(|target| Query {
                panel: &panel.title,
                letter: &target.ref_id,
                expression: &target.expr,
            })
        })
    }

    /// The variables, in the order in which one narrows the next.
    pub fn variables(&self) -> &[Variable] {
        &self.templating.list
    }

    /// An expression as Prometheus gets it: variables have `chosen` values or all, and rates
    /// go over `window`.
    pub fn substituted(&self, expression: &str, window: &str, chosen: &[(&str, &str)]) -> String {
        let mut text = expression.replace("$__rate_interval", window);
        for variable in self.variables() {
            let value = chosen.iter().find(|(name, _)| *name == variable.name);
            let value = value.map_or(variable.all_value.as_str(), |(_, value)| value);
            text = text.replace(&format!("${}", variable.name), value);
        }
        text
    }

    /// What is wrong with it, as far as it can be known without Grafana.
    pub fn problems(&self) -> Result<Vec<String>> {
        let source = provisioned()?;
        let mut problems = Vec::new();
        let mut claim = |is_right: bool, what: String| {
            if !is_right {
                problems.push(what);
            }
        };
        claim(self.schema_version >= 36, "schemaVersion is too old".into());
        claim(!self.uid.is_empty(), "it has no uid".into());

        let ids: BTreeSet<u32> = self.panels.iter().map(|panel| panel.id).collect();
        claim(ids.len() == self.panels.len(), "ids repeat".into());
        let titles: BTreeSet<&str> = self.panels.iter().map(|it| it.title.as_str()).collect();
        claim(titles.len() == self.panels.len(), "titles repeat".into());

        let known: Vec<&str> = self.variables().iter().map(|it| it.name.as_str()).collect();
        let used = Regex::new(r"\$\{?(\w+)")?;
        let mut asked: Vec<(&str, &str)> = self
            .variables()
            .iter()
            .map(|it| (it.name.as_str(), it.definition.as_str()))
            .collect();
        for (i, panel) in self.panels.iter().enumerate() {
            let title = panel.title.as_str();
            claim(panel.grid_pos.fits(), format!("{title}: outside"));
            for other in &self.panels[..i] {
                let is_apart = panel.grid_pos.is_apart_from(&other.grid_pos);
                claim(is_apart, format!("{title} overlaps {}", other.title));
            }
            let is_row = panel.kind == "row";
            claim(
                panel.targets.is_empty() == is_row,
                format!("{title}: queries"),
            );
            claim(
                is_row || panel.datasource.as_ref() == Some(&source),
                format!("{title}: the data source"),
            );
            let letters: BTreeSet<&str> = panel.targets.iter().map(|it| &*it.ref_id).collect();
            claim(
                letters.len() == panel.targets.len(),
                format!("{title}: refIds repeat"),
            );
            for target in &panel.targets {
                claim(
                    !target.expr.is_empty(),
                    format!("{title}: a query is empty"),
                );
                claim(
                    target.datasource == source,
                    format!("{title}: a query's data source"),
                );
                asked.push((title, &target.expr));
            }
        }
        for variable in self.variables() {
            claim(
                variable.datasource == source,
                format!("${}: the data source", variable.name),
            );
        }
        for (whose, text) in &asked {
            for name in used.captures_iter(text).filter_map(|it| it.get(1)) {
                let name = name.as_str();
                claim(
                    known.contains(&name) || BUILT_IN.contains(&name),
                    format!("{whose}: ${name} is no variable"),
                );
            }
        }
        for name in known {
            let is_used = asked
                .iter()
                .any(|(_, text)| text.contains(&format!("${name}")));
            claim(is_used, format!("${name} is used nowhere"));
        }
        Ok(problems)
    }
}

impl Variable {
    /// The selector and the label of its definition.
    pub fn asks(&self) -> Result<(&str, &str)> {
        let inside = self.definition.strip_prefix("label_values(");
        let inside = inside.and_then(|it| it.strip_suffix(')'));
        let parts = inside.and_then(|it| it.rsplit_once(", "));
        parts.with_context(|| format!("{} is no label_values(…)", self.definition))
    }
}

impl Place {
    fn fits(&self) -> bool {
        self.w > 0 && self.h > 0 && self.x + self.w <= COLUMNS
    }

    fn is_apart_from(&self, other: &Self) -> bool {
        self.x + self.w <= other.x
            || other.x + other.w <= self.x
            || self.y + self.h <= other.y
            || other.y + other.h <= self.y
    }
}

/// The data source that Grafana is given.
fn provisioned() -> Result<Source> {
    let file = read_yaml(&repo::path(DATASOURCE))?;
    let sources = file["datasources"].as_array().context("has data sources")?;
    ensure!(sources.len() == 1, "more than one data source");
    let text = |key: &str| {
        let value = sources[0].get(key).and_then(Value::as_str);
        value
            .map(str::to_owned)
            .with_context(|| format!("no {key}"))
    };
    Ok(Source {
        kind: text("type")?,
        uid: text("uid")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_dashboard_has_no_problem() {
        let problems = Dashboard::load().unwrap().problems().unwrap();
        assert!(problems.is_empty(), "{problems:#?}");
    }

    #[test]
    fn problems_are_found() {
        let good = Dashboard::load().unwrap();
        let found = |change: fn(&mut Dashboard)| {
            let mut bad = good.clone();
            change(&mut bad);
            bad.problems().unwrap()
        };
        type Change = fn(&mut Dashboard);
        let cases: [(Change, &str); 7] = [
            (|it| it.panels[1].id = it.panels[2].id, "ids repeat"),
            (|it| it.panels[2].grid_pos.x -= 1, "overlaps"),
            (|it| it.panels[1].grid_pos.x = 23, "outside"),
            (|it| it.panels[1].targets.clear(), "queries"),
            (|it| it.panels[1].targets[0].expr.clear(), "empty"),
            (
                |it| it.panels[1].targets[0].expr += "$nobody",
                "$nobody is no variable",
            ),
            (
                |it| it.panels[1].targets[0].datasource.uid += "x",
                "data source",
            ),
        ];
        for (change, wanted) in cases {
            let problems = found(change);
            assert!(
                problems.iter().any(|it| it.contains(wanted)),
                "{wanted}: {problems:?}"
            );
        }
    }

    #[test]
    fn variables_are_replaced() {
        let board = Dashboard::load().unwrap();
        let text = board.substituted(
            r#"rate(x{a=~"$policy", b=~"$rule"}[$__rate_interval])"#,
            "5m",
            &[("rule", "r")],
        );
        assert_eq!(text, r#"rate(x{a=~".*", b=~"r"}[5m])"#);
    }
}
