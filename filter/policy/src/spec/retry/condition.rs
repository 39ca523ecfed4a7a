//! `retry.retryOn.conditions`: for which outcomes requests of some methods are retried.
//!
//! An extension. With it, one policy can retry failed connections for all methods, and
//! statuses only for methods that may be sent twice.

use super::{DEFAULT_TRIGGERS, Retry, Trigger, read_methods, read_status_codes, read_triggers};
use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;

/// An item of `conditions`.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryCondition {
    /// For what.
    pub on: RetryOn,
    /// For requests of these methods; none: of all.
    pub methods: Vec<String>,
}

/// For what a request is retried.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RetryOn {
    /// Names of failures; status codes have brought theirs along.
    pub triggers: Vec<Trigger>,
    /// Statuses of responses.
    pub status_codes: Vec<u16>,
}

impl RetryOn {
    /// Triggers that are named, or Envoy Gateway's default ones. Status codes bring the
    /// trigger along that makes them work.
    pub(super) fn new(triggers: Option<Vec<Trigger>>, status_codes: Vec<u16>) -> Self {
        let mut triggers = triggers.unwrap_or_else(|| DEFAULT_TRIGGERS.to_vec());
        if !status_codes.is_empty() && !triggers.contains(&Trigger::STATUS_CODES) {
            triggers.push(Trigger::STATUS_CODES);
        }
        Self {
            triggers,
            status_codes,
        }
    }

    /// What this has and another lacks.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        rest.triggers.retain(|it| !other.triggers.contains(it));
        rest.status_codes
            .retain(|it| !other.status_codes.contains(it));
        rest
    }

    /// Whether nothing is retried.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.triggers.is_empty() && self.status_codes.is_empty()
    }

    fn extend(&mut self, other: &Self) {
        for trigger in &other.triggers {
            if !self.triggers.contains(trigger) {
                self.triggers.push(*trigger);
            }
        }
        for code in &other.status_codes {
            if !self.status_codes.contains(code) {
                self.status_codes.push(*code);
            }
        }
    }
}

impl RetryCondition {
    pub(super) fn for_all(on: RetryOn) -> Self {
        Self {
            on,
            methods: Vec::new(),
        }
    }

    pub(super) fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&super::schema::CONDITION, problems)?;
        let triggers = object.optional("triggers", problems, |at, problems| {
            read_triggers(at, 1, problems)
        });
        let status_codes = object.optional("httpStatusCodes", problems, |at, problems| {
            read_status_codes(at, 1, problems)
        });
        let methods = object.or_default("methods", problems, read_methods);
        if !object.has("triggers") && !object.has("httpStatusCodes") {
            at.refuse(
                problems,
                Code::NoneOfFields,
                "must have triggers or httpStatusCodes",
            );
        }
        // A condition has no triggers by default: it is for what it names alone.
        let triggers = Some(triggers?.unwrap_or_default());
        Some(Self {
            on: RetryOn::new(triggers, status_codes?.unwrap_or_default()),
            methods: methods?,
        })
    }
}

impl Retry {
    /// For what requests of every method are retried; `None`: no condition is for
    /// all methods.
    #[must_use]
    pub fn for_all_methods(&self) -> Option<RetryOn> {
        let mut conditions = self.conditions.iter();
        let is_there = conditions.any(|it| it.methods.is_empty());
        is_there.then(|| self.on(None))
    }

    /// The methods whose requests are retried for more outcomes than those of all methods;
    /// for other methods see [`Self::for_all_methods`].
    #[must_use]
    pub fn by_method(&self) -> Vec<(Vec<String>, RetryOn)> {
        let for_all = self.for_all_methods();
        let mut found: Vec<(Vec<String>, RetryOn)> = Vec::new();
        for method in self.conditions.iter().flat_map(|it| &it.methods) {
            if found.iter().any(|(methods, _)| methods.contains(method)) {
                continue;
            }
            let on = self.on(Some(method));
            let has_more = |all: &RetryOn| !on.beyond(all).is_empty();
            if !for_all.as_ref().is_none_or(has_more) {
                continue;
            }
            match found.iter_mut().find(|(_, known)| *known == on) {
                Some((methods, _)) => methods.push(method.clone()),
                None => found.push((vec![method.clone()], on)),
            }
        }
        found
    }

    /// What the conditions that hold for a method come to; `None`: for those that none
    /// names.
    fn on(&self, method: Option<&String>) -> RetryOn {
        let mut on = RetryOn::default();
        for condition in &self.conditions {
            let methods = &condition.methods;
            if methods.is_empty() || method.is_some_and(|it| methods.contains(it)) {
                on.extend(&condition.on);
            }
        }
        on
    }
}

#[cfg(test)]
mod tests;
