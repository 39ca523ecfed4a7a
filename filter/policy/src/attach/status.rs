//! The status of a policy, in the words of Envoy Gateway.

use std::fmt;

use crate::scalar::ObjectName;

/// What became of one policy. Prints as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The policy.
    pub policy: ObjectName,
    /// Its conditions; never empty.
    pub conditions: Vec<Condition>,
}

/// One statement about a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What it is about.
    pub reason: Reason,
    /// The rest of the sentence.
    pub message: String,
}

/// Envoy Gateway's reasons, and two of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The policy is in force somewhere.
    Accepted,
    /// It merges with a less specific one, or others merge with it.
    Merged,
    /// More specific policies are in force in its place somewhere.
    Overridden,
    /// Another policy has the target already.
    Conflicted,
    /// The target is not known here.
    TargetNotFound,
    /// Ours: the administrator has switched the policy's namespace off.
    Disabled,
}

impl Reason {
    /// The condition as `type=status`, with the reason where that is not the
    /// type.
    #[must_use]
    pub fn as_condition(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Merged => "Merged",
            Self::Overridden => "Overridden",
            Self::Conflicted => "Accepted=False (Conflicted)",
            Self::TargetNotFound => "Accepted=False (TargetNotFound)",
            Self::Disabled => "Accepted=False (Disabled)",
        }
    }
}

impl Status {
    /// Whether the policy is in force somewhere.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        let accepted = |condition: &Condition| condition.reason == Reason::Accepted;
        self.conditions.iter().any(accepted)
    }

    pub(super) fn add_condition(&mut self, reason: Reason, message: impl Into<String>) {
        let message = message.into();
        let place = self
            .conditions
            .partition_point(|other| other.reason <= reason);
        self.conditions.insert(place, Condition { reason, message });
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", self.policy)?;
        for (index, condition) in self.conditions.iter().enumerate() {
            let mark = if index == 0 { "" } else { ";" };
            write!(formatter, "{mark} {condition}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = self.reason.as_condition();
        if self.message.is_empty() {
            return formatter.write_str(condition);
        }
        write!(formatter, "{condition}: {}", self.message)
    }
}
