//! The reports of `apply` and `explain` for programs. The page
//! `docs/reference/command-line.md` has the schemas.

use btp_policy::attach::{Condition, Reason, Status};
use clap::ValueEnum;
use serde_json::{Value, json};

use super::files::Summary;
use crate::apply::placement::Destination;
use crate::diagnostics::{self, Finding, Source};
use crate::file_error::FileError;
use crate::output;

/// How a report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// For people
    Text,
    /// For programs: one JSON object, with all findings in it
    Json,
}

/// Prints an object with what was found, and says the summary alone to people.
///
/// # Errors
/// It cannot be written.
pub(super) fn print(
    mut report: Value,
    summary: Summary,
    findings: &[Finding],
    sources: &[Source],
) -> Result<(), FileError> {
    report["summary"] = summary.as_json(findings);
    report["findings"] = diagnostics::as_json(findings, sources);
    summary.say(findings);
    output::print(&format!("{report:#}\n"))
}

/// What became of a policy.
pub(super) fn status(status: &Status) -> Value {
    let conditions = status.conditions.iter().map(condition);
    json!({
        "policy": status.policy.to_string(),
        "conditions": conditions.collect::<Vec<Value>>(),
    })
}

/// What became of a policy that is switched off.
pub(super) fn switched_off(policy: &str, by: &str) -> Value {
    let condition = condition(&Condition {
        reason: Reason::Disabled,
        message: format!("disabled by {by}"),
    });
    json!({ "policy": policy, "conditions": [condition] })
}

/// As in Kubernetes: a reason that is no type of its own says why the policy is not
/// accepted.
fn condition(it: &Condition) -> Value {
    let reason = match it.reason {
        Reason::Accepted => "Accepted",
        Reason::Merged => "Merged",
        Reason::Overridden => "Overridden",
        Reason::Conflicted => "Conflicted",
        Reason::TargetNotFound => "TargetNotFound",
        Reason::Disabled => "Disabled",
    };
    let is_true = it.reason.as_condition() == reason;
    json!({
        "type": if is_true { reason } else { "Accepted" },
        "status": if is_true { "True" } else { "False" },
        "reason": reason,
        "message": it.message,
    })
}

/// Where a field is in force, or why there is nothing to do.
pub(super) fn destination(it: &Destination) -> Value {
    match it {
        Destination::Somewhere {
            is_filter,
            owner,
            part,
        } => json!({
            "by": if *is_filter { "Filter" } else { "Envoy" },
            "object": owner,
            "part": part,
        }),
        Destination::Nothing(reason) => json!({ "by": "Nobody", "reason": reason }),
    }
}

/// A value that is printed as JSON, or else a remark in its place.
pub(super) fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}
