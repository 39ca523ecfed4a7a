//! The plugin configuration: the JSON that Envoy hands to the filter.

use crate::attach::Attachments;
use crate::json;
use crate::node::Node;
use crate::policy::Policy;
use crate::problem::{Problem, Problems};
use crate::protobuf;
use crate::read::At;

/// A plugin configuration in which nothing is wrong.
#[derive(Debug)]
pub struct PluginConfig {
    /// The policies, in document order.
    pub policies: Vec<Policy>,
    /// Which of them governs which route.
    pub attachments: Attachments,
    /// The administrator's switch: nothing is enforced.
    pub disabled: bool,
    /// The capabilities this instance enforces.
    pub enforce: Enforce,
}

/// The capabilities one instance of the filter enforces; all by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in `spec`")]
pub struct Enforce {
    pub fault_injection: bool,
    pub response_override: bool,
}

impl Enforce {
    /// Everything.
    pub const ALL: Self = Self {
        fault_injection: true,
        response_override: true,
    };
    const NOTHING: Self = Self {
        fault_injection: false,
        response_override: false,
    };
}

impl PluginConfig {
    /// Reads the plugin configuration: JSON text, or what Envoy makes of a
    /// `google.protobuf.Struct`.
    ///
    /// # Errors
    /// Everything that is wrong with it, at least one problem.
    pub fn parse(text: &[u8]) -> Result<Self, Vec<Problem>> {
        let node = json::parse(text)
            .or_else(|problem| protobuf::parse_struct(text).ok_or(problem))
            .map_err(|problem| vec![problem])?;
        Self::from_node(&node)
    }

    /// Reads a plugin configuration that has been parsed already.
    ///
    /// # Errors
    /// As [`PluginConfig::parse`].
    pub fn from_node(node: &Node) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let config = Self::read(At::root(node), &mut problems);
        match (config, problems.into_vec()) {
            (Some(config), problems) if problems.is_empty() => Ok(config),
            (_, problems) => Err(problems),
        }
    }

    fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object(&["policies", "disabled", "enforce"], problems)?;
        let policies = object.required("policies", problems).and_then(|at| {
            at.list(0..=usize::MAX, problems, |at, problems| {
                Policy::read(at, problems)
            })
        });
        let disabled = match object.get("disabled") {
            Some(at) => at.boolean(problems),
            None => Some(false),
        };
        let enforce = match object.get("enforce") {
            Some(at) => read_enforce(at, problems),
            None => Some(Enforce::ALL),
        };
        let policies = policies?;
        let attachments = Attachments::resolve(&policies, problems);
        Some(Self {
            policies,
            attachments,
            disabled: disabled?,
            enforce: enforce?,
        })
    }
}

fn read_enforce(at: At<'_>, problems: &mut Problems) -> Option<Enforce> {
    #[derive(Clone, Copy)]
    enum Capability {
        FaultInjection,
        ResponseOverride,
    }
    let names = [
        ("faultInjection", Capability::FaultInjection),
        ("responseOverride", Capability::ResponseOverride),
    ];
    let list = at.list(0..=names.len(), problems, |at, problems| {
        at.choice(&names, problems)
    })?;
    let mut enforce = Enforce::NOTHING;
    for capability in list {
        match capability {
            Capability::FaultInjection => enforce.fault_injection = true,
            Capability::ResponseOverride => enforce.response_override = true,
        }
    }
    Some(enforce)
}

#[cfg(test)]
mod tests;
