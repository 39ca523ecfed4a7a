//! `btp explain`: the effective policy of a route, and its fields.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use btp_policy::node::{Node, Value};
use btp_policy::path::Path;
use btp_policy::policy::MergeType;
use btp_policy::problem::{Problem, Problems};
use btp_policy::read::Cursor;
use btp_policy::spec::lint;
use btp_policy::{PluginConfig, Policy, Regexes, merge};

use super::answer::{Answer, Enforced, Explained, Field, Governing};
use crate::apply::services::native_spec;
use crate::commands::files::{Files, Summary};
use crate::commands::json::{self, ReportFormat};
use crate::commands::{Error, Outcome};
use crate::diagnostics::{self, Finding, Format, Source};
use crate::documents::Object;
use crate::file_error::FileError;
use crate::output;
use crate::plugin_config_builder::{Instance, NativeFields, compose, in_its_file};
use crate::spec_fields::{capability_of, spec_fields};

/// Prints what governs; false if the policies were refused.
pub(super) fn run(
    files: &Files,
    route: Option<&str>,
    instance: &Instance,
    format: ReportFormat,
) -> Result<Outcome, Error> {
    let mut input = files.read(None)?;
    let summary = Summary::of_explained(&input);
    let mut findings = input.take_findings();
    files.refuse_none(&input, &mut findings);
    // Explaining is not enforcing: everything that can be read is shown.
    let instance = Instance {
        gateway: instance.gateway.clone(),
        listener: instance.listener.clone(),
        listener_set: instance.listener_set.clone(),
        native_fields: Some(NativeFields::Applied),
        enforce: Some(Vec::new()),
        allow_on_headers_stop_iteration: false,
        access_log: false,
    };
    let node = compose(&input, &instance);
    let config = match PluginConfig::from_node(&node) {
        Ok(config) => config,
        Err(problems) => {
            findings.extend(problems.into_iter().map(|problem| {
                let (problem, location) = in_its_file(problem, &input);
                Finding::error(problem, location)
            }));
            refuse(summary, &findings, &input.sources, format)?;
            if format == ReportFormat::Text {
                output::print(&invalid(&node))?;
            }
            return Ok(Outcome::Refused);
        }
    };
    if !diagnostics::is_fine(&findings) {
        refuse(summary, &findings, &input.sources, format)?;
        return Ok(Outcome::Refused);
    }
    let warnings: Vec<Vec<Problem>> = input.policies.iter().map(warnings).collect();
    let specs = input.specs();
    let explanation = Explanation { config, specs };
    let mut answer = Answer::default();
    if route.is_none() {
        let statuses = explanation.config.attachments.statuses().iter();
        answer
            .policies
            .extend(statuses.zip(&warnings).map(|(it, of_it)| {
                let warnings: Vec<String> = of_it.iter().map(ToString::to_string).collect();
                let mut status = json::status(it);
                status["warnings"] = warnings.into();
                status
            }));
        let routes = explanation.targeted_routes();
        let routes = routes.iter().map(|it| explanation.place(Some(it)));
        answer.places.extend(routes);
    }
    answer.places.push(explanation.place(route));
    if format == ReportFormat::Json {
        json::print(answer.as_json(), summary, &findings, &input.sources)?;
        return Ok(Outcome::Fine);
    }
    summary.print(&findings, &input.sources, Format::Text)?;
    let mut out = String::new();
    if route.is_none() {
        explanation.write_statuses(&warnings, &mut out);
    }
    for place in &answer.places {
        if !out.is_empty() {
            out.push('\n');
        }
        place.write(&mut out);
    }
    output::print(&out)?;
    Ok(Outcome::Fine)
}

/// Prints why there is nothing to explain.
pub(super) fn refuse(
    summary: Summary,
    findings: &[Finding],
    sources: &[Source],
    format: ReportFormat,
) -> Result<(), FileError> {
    match format {
        ReportFormat::Text => summary.print(findings, sources, Format::Text),
        ReportFormat::Json => {
            let nothing = Answer::default().as_json();
            json::print(nothing, summary, findings, sources)
        }
    }
}

struct Explanation<'a> {
    config: PluginConfig,
    specs: Vec<Option<&'a Node>>,
}

/// Names the policies that are wrong; what is wrong has been said.
fn invalid(config: &Node) -> String {
    let mut out = String::new();
    let Some(Value::List(policies)) = config.field("policies").map(|node| &node.value) else {
        return out;
    };
    out.push_str("policies\n");
    for node in policies {
        let mut problems = Problems::default();
        Policy::read(Cursor::root(node), &Regexes::default(), &mut problems);
        let metadata = |name| node.field("metadata")?.field(name)?.as_str();
        let namespace = metadata("namespace").unwrap_or("default");
        let name = metadata("name").unwrap_or("(no name)");
        let _ = match problems.into_vec().len() {
            0 => writeln!(out, "  {namespace}/{name}: valid"),
            count => {
                let errors = if count == 1 { "error" } else { "errors" };
                writeln!(
                    out,
                    "  {namespace}/{name}: Accepted=False (Invalid): {count} {errors}, listed above"
                )
            }
        };
    }
    out
}

fn warnings(policy: &Object) -> Vec<Problem> {
    let mut warnings = Problems::default();
    if let Some(spec) = native_spec(&policy.node) {
        let path = Path::Field(&Path::Root, "spec");
        lint(Cursor { node: &spec, path }, &mut warnings);
    }
    warnings.into_vec()
}

impl Explanation<'_> {
    /// Says what became of each policy, and what is unwise about it.
    fn write_statuses(&self, warnings: &[Vec<Problem>], out: &mut String) {
        out.push_str("policies\n");
        let statuses = self.config.attachments.statuses();
        for (status, warnings) in statuses.iter().zip(warnings) {
            let _ = write!(out, "  {status}");
            for warning in warnings {
                let _ = write!(out, "; Warning: {warning}");
            }
            out.push('\n');
        }
    }

    /// Names of the routes that policies target.
    fn targeted_routes(&self) -> BTreeSet<String> {
        let targets = self.config.policies.iter().flat_map(|it| &it.targets);
        let routes = targets.filter(|target| target.kind.is_http_route());
        let name = |target: &btp_policy::policy::Target| match &target.section {
            Some(section) => format!("{}/{section}", target.object),
            None => target.object.to_string(),
        };
        routes.map(name).collect()
    }

    /// The policies of a route, or every other request.
    fn place(&self, route: Option<&str>) -> Explained {
        Explained {
            title: match route {
                Some(name) => format!("route {name}"),
                None => "every other request".to_owned(),
            },
            route: route.map(str::to_owned),
            effective_policy: self.effective_policy(route),
            ..Explained::default()
        }
    }

    fn effective_policy(&self, route: Option<&str>) -> Option<Governing> {
        let attachments = &self.config.attachments;
        let index = attachments.effective_policy(route.map(str::as_bytes))?;
        let policy = self.policy(index)?;
        let parent = attachments
            .parent()
            .filter(|parent| *parent != index)
            .and_then(|parent| Some((parent, self.policy(parent)?, policy.merge?)));
        let mut fields = Vec::new();
        if let Some(spec) = self.spec(index) {
            let above = parent.and_then(|(parent, policy, how)| {
                Some((self.spec(parent)?, policy.name.to_string(), how))
            });
            let merged = match &above {
                Some((above, _, how)) => merge::merge(above, spec, *how),
                None => spec.clone(),
            };
            let origin = |path: &[&str]| match &above {
                Some((_, name, _)) if find(spec, path).is_none() => name.clone(),
                _ => policy.name.to_string(),
            };
            fields.extend(spec_fields(&merged).iter().map(|it| Field {
                name: it.name(),
                value: serde_json::to_string(it.value).unwrap_or_default(),
                policy: origin(&it.path),
                enforced: Enforced::By(match it.capability() {
                    Some(_) => "filter",
                    None => "Envoy",
                }),
            }));
            if let Some((above, name, MergeType::Strategic)) = &above {
                add_united_rules(spec, above, name, &mut fields);
            }
        }
        Some(Governing {
            policy: policy.name.to_string(),
            merged_with: parent.map(|(_, parent, _)| parent.name.to_string()),
            how: parent.map(|(_, _, how)| match how {
                MergeType::Strategic => "StrategicMerge",
                MergeType::Json => "JSONMerge",
            }),
            fields,
        })
    }

    fn policy(&self, index: usize) -> Option<&Policy> {
        self.config.policies.get(index)
    }

    fn spec(&self, index: usize) -> Option<&Node> {
        self.specs.get(index).copied().flatten()
    }
}

/// What a strategic merge adds to the child's rate limit rules.
fn add_united_rules(child: &Node, parent: &Node, name: &str, fields: &mut Vec<Field>) {
    for kind in ["local", "global"] {
        let rules = merge::added_rules(parent, child, kind);
        if !rules.is_empty() {
            let path = ["rateLimit", kind, "rules"];
            fields.push(Field {
                name: format!("{} (added)", path.join(".")),
                value: serde_json::to_string(&rules).unwrap_or_default(),
                policy: name.to_owned(),
                enforced: Enforced::By(enforcer(&path)),
            });
        }
    }
}

fn enforcer(path: &[&str]) -> &'static str {
    match capability_of(path) {
        Some(_) => "filter",
        None => "Envoy",
    }
}

fn find<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, name| node.field(name))
}
