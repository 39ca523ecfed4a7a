//! The filter's decisions about a request, capability by capability, with reasons.
//!
//! The engine itself answers where running it is enough: on a proxy in memory, with the
//! policy as the filter sees it (`trial`), and for each condition alone (`conditions`).
//! Facts that only a running Envoy has are reported as unknown.

mod asked;
mod buffer;
mod conditions;
mod faults;
mod limits;
mod merged;
mod overrides;
mod retries;
mod trial;

use std::fmt::Write as _;

use btp_policy::Policy;
use serde_json::{Value, json};

pub(super) use asked::{Asked, Known};
pub(super) use conditions::Applies;
pub(super) use merged::merged;
use trial::Trial;

/// What a capability does with the request.
pub(super) struct Decision {
    /// The field of `spec`.
    field: &'static str,
    /// What happens to the request, or to its response.
    answer: String,
    items: Vec<Item>,
}

/// A rule or a part of a capability.
struct Item {
    name: String,
    /// The policy that has it, if it is another one.
    policy: Option<String>,
    applies: Applies,
    /// What it does.
    details: Vec<String>,
}

/// Everything that the policy decides of a request, in the order in which the filter does.
pub(super) fn all(policy: &Policy, asked: &Asked) -> Vec<Decision> {
    let trial = Trial { policy, asked };
    let spec = &policy.spec;
    let faults = spec.fault_injection.as_ref();
    let limits = spec.rate_limit.as_ref().and_then(|it| it.local.as_ref());
    let overrides = Some(&spec.response_override).filter(|it| !it.is_empty());
    [
        faults.map(|it| faults::decide(it, &trial)),
        limits.map(|it| limits::decide(it, &trial)),
        spec.request_buffer
            .as_ref()
            .map(|it| buffer::decide(it, &trial)),
        (spec.retry.as_ref()).map(|it| retries::decide(it, spec.retry_constraint.as_ref(), asked)),
        overrides.map(|it| overrides::decide(it, &trial)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Decision {
    /// Nothing can be said of the policy.
    pub(super) fn unknown(reason: &str) -> Self {
        Self {
            field: "spec",
            answer: format!("unknown: {reason}"),
            items: Vec::new(),
        }
    }

    /// As an object.
    pub(super) fn as_json(&self) -> Value {
        let items = self.items.iter().map(Item::as_json);
        json!({
            "field": self.field,
            "answer": self.answer,
            "items": items.collect::<Vec<Value>>(),
        })
    }

    /// As text.
    pub(super) fn write(&self, out: &mut String) {
        let _ = writeln!(out, "    {}: {}", self.field, self.answer);
        for item in &self.items {
            item.write(out);
        }
    }
}

impl Item {
    fn new(name: impl Into<String>, applies: Applies, details: Vec<String>) -> Self {
        Self {
            name: name.into(),
            policy: None,
            applies,
            details,
        }
    }

    fn as_json(&self) -> Value {
        let (applies, reason) = match &self.applies {
            Applies::Yes => ("Yes", None),
            Applies::No(reason) => ("No", Some(reason)),
            Applies::Unknown(reason) => ("Unknown", Some(reason)),
        };
        json!({
            "item": self.name,
            "policy": self.policy,
            "applies": applies,
            "reason": reason,
            "details": self.details,
        })
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, "      {}", self.name);
        if let Some(policy) = &self.policy {
            let _ = write!(out, " (of {policy})");
        }
        let _ = match &self.applies {
            Applies::Yes => match self.details.as_slice() {
                [detail] => writeln!(out, ": {detail}"),
                _ => writeln!(out),
            },
            Applies::No(reason) => writeln!(out, ": does not apply: {reason}"),
            Applies::Unknown(reason) => writeln!(out, ": unknown: {reason}"),
        };
        let is_said = self.applies.is_yes() && self.details.len() == 1;
        if !matches!(self.applies, Applies::No(_)) && !is_said {
            for detail in &self.details {
                let _ = writeln!(out, "        {detail}");
            }
        }
    }
}
