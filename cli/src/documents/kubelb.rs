//! Policies that KubeLB's administrators disable: for all tenants by `Config`, for one
//! tenant (namespace `tenant-<name>`) by `Tenant`. Both use
//! `spec.gatewayAPI.disableBackendTrafficPolicy`.

use btp_policy::Code;
use btp_policy::node::{Mark, Node, Value};
use btp_policy::path::FieldPath;
use btp_policy::problem::Problem;

use super::Object;
use crate::diagnostics::{Finding, Location};

const SWITCH: &str = "spec.gatewayAPI.disableBackendTrafficPolicy";

/// A policy that is switched off.
#[derive(Debug)]
pub(crate) struct Off {
    pub(crate) policy: Object,
    /// `namespace/name`.
    pub(crate) name: String,
    /// The object that disables them, such as `Tenant shroud`.
    pub(crate) by: String,
}

/// Takes the policies out that these objects switch off, and says so.
pub(crate) fn switch_off(
    objects: &[Object],
    policies: &mut Vec<Object>,
    findings: &mut Vec<Finding>,
) -> Vec<Off> {
    let switches: Vec<Switch> = objects
        .iter()
        .filter_map(|object| match Switch::read(&object.node) {
            Ok(switch) => switch,
            Err(problem) => {
                findings.push(Finding::error(problem, Location::File(object.source)));
                None
            }
        })
        .collect();
    let mut off = Vec::new();
    for policy in std::mem::take(policies) {
        let namespace = metadata(&policy.node, "namespace").unwrap_or("default");
        let of = |switch: &&Switch| switch.namespace.as_deref().is_none_or(|it| it == namespace);
        let Some(switch) = switches.iter().find(of) else {
            policies.push(policy);
            continue;
        };
        let name = metadata(&policy.node, "name").unwrap_or_default();
        let name = format!("{namespace}/{name}");
        let path = FieldPath::from("metadata.name");
        let mark = path.closest(&policy.node).mark;
        let reason = format!("is disabled by {} ({SWITCH})", switch.by);
        let problem = Problem::new(path, Code::SwitchedOff, reason).at(mark);
        findings.push(Finding::warning(problem, Location::File(policy.source)));
        let by = switch.by.clone();
        off.push(Off { policy, name, by });
    }
    off
}

struct Switch {
    by: String,
    /// Whose policies are off; `None`: all.
    namespace: Option<String>,
}

impl Switch {
    /// The switch that an object of KubeLB is, if it is on.
    fn read(object: &Node) -> Result<Option<Self>, Problem> {
        let kind = object.field("kind").and_then(Node::as_str);
        let kind = kind.unwrap_or_default();
        let name = metadata(object, "name").unwrap_or_default();
        let steps = SWITCH.split('.');
        let value = { steps }.try_fold(object, |node, step| node.field(step));
        let wrong = |mark: Mark, path: &'static str, code, reason: &str| {
            Problem::new(path, code, reason).at(mark)
        };
        match value {
            None => return Ok(None),
            Some(it) => match it.value {
                Value::Bool(true) => {}
                Value::Bool(false) | Value::Null => return Ok(None),
                _ => {
                    return Err(wrong(
                        it.mark,
                        SWITCH,
                        Code::WrongType,
                        "must be true or false",
                    ));
                }
            },
        }
        let is_tenant = kind == "Tenant";
        if is_tenant && name.is_empty() {
            let reason = "is required: it names the namespace whose policies are disabled";
            return Err(wrong(
                object.mark,
                "metadata.name",
                Code::MissingField,
                reason,
            ));
        }
        Ok(Some(Self {
            by: format!("{kind} {name}").trim_end().to_owned(),
            namespace: is_tenant.then(|| format!("tenant-{name}")),
        }))
    }
}

fn metadata<'a>(object: &'a Node, name: &str) -> Option<&'a str> {
    object.field("metadata")?.field(name)?.as_str()
}
