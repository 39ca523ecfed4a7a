//! `btp explain`: which policy governs a route, and what is in force there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use btp_policy::node::{Node, Value};
use btp_policy::path::Path;
use btp_policy::policy::MergeType;
use btp_policy::problem::{Problem, Problems};
use btp_policy::read::At;
use btp_policy::spec::by_hand;
use btp_policy::{PluginConfig, Policy, Regexes, advice, merge};

use crate::commands::{Error, Outcome};
use crate::diagnostics::{self, Finding, Format};
use crate::documents::{Input, Object};
use crate::output;
use crate::plugin_config_builder::{Instance, NativeFields, compose, in_its_file};
use crate::spec_fields::{capability_of, spec_fields};

/// Prints what governs; false if the policies were refused.
pub(super) fn run(
    files: &[PathBuf],
    route: Option<&str>,
    instance: &Instance,
) -> Result<Outcome, Error> {
    let mut input = Input::read(files)?;
    let mut findings = input.take_findings();
    // Explaining is not enforcing: everything that can be read is shown.
    let instance = Instance {
        gateway: instance.gateway.clone(),
        listener: instance.listener.clone(),
        native_fields: Some(NativeFields::Applied),
        enforce: Some(Vec::new()),
        allow_on_headers_stop_iteration: false,
    };
    let node = compose(&input, &instance);
    let config = match PluginConfig::from_node(&node) {
        Ok(config) => config,
        Err(problems) => {
            findings.extend(problems.into_iter().map(|problem| {
                let (problem, location) = in_its_file(problem, &input);
                Finding::error(problem, location)
            }));
            diagnostics::print(&findings, &input.sources, Format::Text)?;
            output::print(&invalid(&node))?;
            return Ok(Outcome::Refused);
        }
    };
    diagnostics::print(&findings, &input.sources, Format::Text)?;
    if !diagnostics::is_fine(&findings) {
        return Ok(Outcome::Refused);
    }
    let warnings = input.policies.iter().map(warnings).collect();
    let specs = input.specs();
    let explanation = Explanation {
        config,
        specs,
        warnings,
    };
    let mut out = String::new();
    match route {
        Some(route) => explanation.route(Some(route), &mut out),
        None => explanation.everything(&mut out),
    }
    output::print(&out)?;
    Ok(Outcome::Fine)
}

struct Explanation<'a> {
    config: PluginConfig,
    specs: Vec<Option<&'a Node>>,
    /// What is unwise about each policy.
    warnings: Vec<Vec<Problem>>,
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
        Policy::read(At::root(node), &Regexes::default(), &mut problems);
        let metadata = |name| node.field("metadata")?.field(name)?.as_str();
        let namespace = metadata("namespace").unwrap_or("default");
        let name = metadata("name").unwrap_or("(no name)");
        let _ = match problems.into_vec().len() {
            0 => writeln!(out, "  {namespace}/{name}: fine by itself"),
            count => writeln!(
                out,
                "  {namespace}/{name}: Accepted=False (Invalid): problems in it, said above: {count}"
            ),
        };
    }
    out
}

fn warnings(policy: &Object) -> Vec<Problem> {
    let mut warnings = Problems::default();
    if let Some(node) = policy.node.field("spec") {
        let path = Path::Field(&Path::Root, "spec");
        advice::advise(At { node, path }, &mut warnings);
    }
    warnings.into_vec()
}

impl Explanation<'_> {
    fn everything(&self, out: &mut String) {
        out.push_str("policies\n");
        let statuses = self.config.attachments.statuses();
        for (status, warnings) in statuses.iter().zip(&self.warnings) {
            let _ = write!(out, "  {status}");
            for warning in warnings {
                let _ = write!(out, "; Warning: {warning}");
            }
            out.push('\n');
        }
        for route in self.targeted_routes() {
            out.push('\n');
            self.route(Some(&route), out);
        }
        out.push('\n');
        self.route(None, out);
    }

    /// Names of the routes that policies target.
    fn targeted_routes(&self) -> BTreeSet<String> {
        let targets = self.config.policies.iter().flat_map(|it| &it.targets);
        let routes =
            targets.filter(|target| target.kind.is_route() && target.kind.has_counterpart());
        let name = |target: &btp_policy::policy::Target| match &target.section {
            Some(section) => format!("{}/{section}", target.object),
            None => target.object.to_string(),
        };
        routes.map(name).collect()
    }

    fn route(&self, route: Option<&str>, out: &mut String) {
        let what = match route {
            Some(name) => format!("route {name}"),
            None => "every other request".to_owned(),
        };
        let attachments = &self.config.attachments;
        let governing = attachments.governing(route.map(str::as_bytes));
        let Some((index, policy)) = governing.and_then(|it| Some((it, self.policy(it)?))) else {
            let _ = writeln!(out, "{what}: no policy");
            return;
        };
        let parent = attachments
            .parent()
            .filter(|parent| *parent != index)
            .and_then(|parent| Some((parent, self.policy(parent)?, policy.merge?)));
        match parent {
            Some((_, parent, how)) => {
                let how = match how {
                    MergeType::Strategic => "StrategicMerge",
                    MergeType::Json => "JSONMerge",
                };
                let _ = writeln!(
                    out,
                    "{what}: {}, merged with {} ({how})",
                    policy.name, parent.name
                );
            }
            None => {
                let _ = writeln!(out, "{what}: {}", policy.name);
            }
        }
        let mut lines = Vec::new();
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
            lines.extend(spec_fields(&merged).iter().map(|it| {
                let value = serde_json::to_string(it.value).unwrap_or_default();
                [
                    it.name(),
                    value,
                    origin(&it.path),
                    enforcer(&it.path).to_owned(),
                ]
            }));
            if let Some((above, name, MergeType::Strategic)) = &above {
                add_united_rules(spec, above, name, &mut lines);
            }
        }
        write_table(&lines, out);
    }

    fn policy(&self, index: usize) -> Option<&Policy> {
        self.config.policies.get(index)
    }

    fn spec(&self, index: usize) -> Option<&Node> {
        self.specs.get(index).copied().flatten()
    }
}

/// A field in force: path, value, policy, who enforces it.
type Line = [String; 4];

/// What a strategic merge adds to the child's rate limit rules.
fn add_united_rules(child: &Node, parent: &Node, name: &str, lines: &mut Vec<Line>) {
    for kind in ["local", "global"] {
        let rules = merge::added_rules(parent, child, kind);
        if !rules.is_empty() {
            let path = ["rateLimit", kind, "rules"];
            lines.push([
                format!("{} (added)", path.join(".")),
                serde_json::to_string(&rules).unwrap_or_default(),
                name.to_owned(),
                enforcer(&path).to_owned(),
            ]);
        }
    }
}

fn enforcer(path: &[&str]) -> &'static str {
    let is_by_hand = path.first().is_some_and(|name| by_hand(name).is_some());
    match capability_of(path) {
        Some(_) => "filter",
        None if is_by_hand => "nobody",
        None => "Envoy",
    }
}

fn find<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, name| node.field(name))
}

fn write_table(lines: &[Line], out: &mut String) {
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let (path_width, name_width, by_width) = (width(0), width(2), width(3));
    for [path, value, name, by] in lines {
        let _ = writeln!(
            out,
            "  {path:path_width$}  {by:by_width$}  {name:name_width$}  {value}"
        );
    }
}
