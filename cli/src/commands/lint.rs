//! `btp lint`: errors in policies, and warnings about them.

mod baseline;
mod bootstrap;
mod filter;

use std::collections::BTreeSet;
use std::path::PathBuf;

use btp_policy::Code;
use btp_policy::attach::{Attachments, Environment, Reason};
use btp_policy::node::Node;
use btp_policy::path::FieldPath;
use btp_policy::policy::{MergeType, TargetKind, is_of_services};
use btp_policy::problem::{Problem, Problems};
use btp_policy::read::Cursor;
use btp_policy::scalar::ObjectName;
use btp_policy::spec::{check_crd, check_native, lint};
use btp_policy::{Policy, Regexes};
use clap::{Args, ValueEnum};

use super::files::{Files, Summary, required};
use super::{Error, Outcome};
use crate::apply::options::object_name;
use crate::apply::services::native_spec;
use crate::diagnostics::{self, Finding, Format, Levels, Location};
use crate::documents::{Input, Object};

/// The arguments of `btp lint`.
#[derive(Args, Debug)]
#[command(group = required(&["bootstrap"]))]
pub(super) struct Arguments {
    #[command(flatten)]
    files: Files,
    /// Also check an Envoy configuration, `-` for stdin: whether its instances of the
    /// filter overlap, and whether its settings fit the policies
    #[arg(long, value_name = "FILE")]
    bootstrap: Option<PathBuf>,
    /// The Gateway that this whole Envoy serves, as for btp apply: routes without a
    /// namespace are in the Gateway's
    #[arg(long, value_name = "[NAMESPACE/]NAME", requires = "bootstrap")]
    gateway: Option<String>,
    /// Which rules apply
    #[arg(long, value_enum, default_value_t = Profile::Btp)]
    profile: Profile,
    /// Also refuse fields that are not in Envoy Gateway's CRD: btp's extensions
    #[arg(long)]
    portable: bool,
    /// How to print the findings
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    levels: Levels,
}

/// Which rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Profile {
    /// btp's: the whole API and its extensions, and what Envoy Gateway or Envoy would
    /// refuse later
    Btp,
    /// Only those of Envoy Gateway's CRD
    Crd,
}

/// Prints what is wrong; false if anything is.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Error> {
    let Arguments {
        files,
        bootstrap,
        gateway,
        profile,
        portable,
        format,
        levels,
    } = arguments;
    let mut input = files.read(bootstrap.as_deref())?;
    let mut summary = Summary::of(&input);
    let mut findings = Vec::new();
    let mut fine = Vec::new();
    if *profile == Profile::Crd {
        // It knows one policy at a time, and an old spelling is an unknown field to it.
        findings.append(&mut input.findings);
        findings.retain(|finding| finding.severity == diagnostics::Severity::Error);
        for policy in input.policies.iter().chain(&input.twice.policies) {
            let found = crd_problems(&policy.written);
            add(&mut findings, found, Finding::error, policy);
        }
    } else {
        findings.append(&mut input.take_findings());
        let regexes = Regexes::default();
        let policies: Vec<_> = input
            .policies
            .iter()
            .map(|policy| check(policy, *portable, &regexes, &mut findings))
            .collect();
        // Off, and yet to be right when they are on again; or to be renamed.
        let off = input.off.iter().map(|it| &it.policy);
        for policy in off.chain(&input.twice.policies) {
            check(policy, *portable, &regexes, &mut findings);
        }
        if let Some(policies) = policies.into_iter().collect::<Option<Vec<_>>>() {
            check_together(&policies, &input, &mut findings);
            filter::check(&input, &mut findings);
            fine = policies;
        }
    }
    files.refuse_none(&input, &mut findings);
    if let Some(bootstrap) = bootstrap {
        let before = input.sources.len();
        let gateway = gateway.as_deref().map(object_name);
        bootstrap::lint(bootstrap, gateway, &fine, &mut input, &mut findings)?;
        summary.envoy_files = input.sources.len() - before;
    }
    let allowed = levels.set(&mut findings);
    summary.print(&findings, &input.sources, *format)?;
    allowed.map_err(Error::Allowed)?;
    Ok(match diagnostics::is_fine(&findings) {
        true => Outcome::Fine,
        false => Outcome::Refused,
    })
}

/// Checks one policy; gives it if nothing is wrong with it.
fn check(
    object: &Object,
    portable: bool,
    regexes: &Regexes,
    findings: &mut Vec<Finding>,
) -> Option<Policy> {
    let mut problems = Problems::default();
    // As in the filter, all policies share the regexes and their bound.
    let policy = Policy::read(Cursor::root(&object.node), regexes, &mut problems);
    let spec = native_spec(&object.node);
    if let Some(spec) = &spec {
        check_native(at_spec(spec), &mut problems);
    }
    let is_fine = problems.is_empty();
    let known = problems.paths();
    add(findings, problems.into_vec(), Finding::error, object);
    if portable {
        add(
            findings,
            unportable(&object.written, &known),
            Finding::error,
            object,
        );
    }
    if let Some(spec) = spec.as_ref().filter(|_| is_fine) {
        let mut warnings = Problems::default();
        lint(at_spec(spec), &mut warnings);
        add(findings, warnings.into_vec(), Finding::warning, object);
    }
    policy.filter(|_| is_fine)
}

/// What the CRD refuses and is not wrong otherwise.
fn unportable(policy: &Node, known: &BTreeSet<FieldPath>) -> Vec<Problem> {
    let mut found = crd_problems(policy);
    found.retain(|problem| !known.contains(&problem.path));
    for problem in &mut found {
        problem.reason = if problem.code == Code::UnknownField {
            problem.code = Code::Extension;
            "is not in Envoy Gateway's API: it works only here".to_owned()
        } else {
            format!("{} (Envoy Gateway's CRD)", problem.reason)
        };
    }
    found
}

fn crd_problems(policy: &Node) -> Vec<Problem> {
    let mut problems = Problems::default();
    if is_of_services(policy) {
        // It is not of Envoy Gateway: its own API is all that there is.
        Policy::read(Cursor::root(policy), &Regexes::default(), &mut problems);
        return problems.into_vec();
    }
    match policy.field("spec") {
        Some(spec) => check_crd(at_spec(spec), &mut problems),
        None => {
            let problem = Problem::new("spec", Code::MissingField, "is required");
            problems.push(problem.at(policy.mark));
        }
    }
    problems.into_vec()
}

/// What is odd only about all policies together.
fn check_together(policies: &[Policy], input: &Input, findings: &mut Vec<Finding>) {
    let environment = Environment {
        gateway: None,
        namespaces: input.namespaces.clone(),
    };
    let attachments = Attachments::resolve(policies, &environment);
    let all = attachments.statuses().iter().zip(&input.policies);
    for ((status, object), policy) in all.zip(policies) {
        let lost = status
            .conditions
            .iter()
            .filter(|condition| condition.reason == Reason::Conflicted);
        let path = FieldPath::from("metadata.name");
        let mark = path.closest(&object.node).mark;
        let found = lost.map(|condition| {
            let reason = format!("has no effect: {condition}");
            Problem::new(path.clone(), Code::Conflicted, reason).at(mark)
        });
        // The filter refuses two policies that govern everything.
        let kind = if policy.is_untargeted() {
            Finding::error
        } else {
            Finding::warning
        };
        add(findings, found.collect(), kind, object);
    }
    baseline::check(policies, &attachments, input, findings);
    let targets = |policy: &Policy| policy.targets.clone();
    let whole: BTreeSet<(TargetKind, ObjectName)> = policies
        .iter()
        .flat_map(targets)
        .filter(|target| target.section.is_none())
        .map(|target| (target.kind, target.object))
        .collect();
    for (policy, object) in policies.iter().zip(&input.policies) {
        let of_rule = policy.targets.iter().find(|target| {
            target.section.is_some() && whole.contains(&(target.kind, target.object.clone()))
        });
        if let (Some(MergeType::Strategic | MergeType::Json), Some(target)) =
            (policy.merge, of_rule)
        {
            let reason = format!(
                "merges with the Gateway's policy, not with the policy of the whole {} {}",
                target.kind.as_str(),
                target.object
            );
            let path = FieldPath::from("spec.mergeType");
            let mark = path.closest(&object.node).mark;
            let problem = Problem::new(path, Code::MergesPastRoute, reason).at(mark);
            findings.push(Finding::warning(problem, Location::File(object.source)));
        }
    }
}

/// A `spec`, with the path that it has in a file.
fn at_spec(spec: &Node) -> Cursor<'_> {
    use btp_policy::path::Path;
    Cursor {
        node: spec,
        path: Path::Field(&Path::Root, "spec"),
    }
}

fn add(
    findings: &mut Vec<Finding>,
    problems: Vec<Problem>,
    kind: fn(Problem, Location) -> Finding,
    object: &Object,
) {
    let location = Location::File(object.source);
    findings.extend(problems.into_iter().map(|problem| kind(problem, location)));
}
