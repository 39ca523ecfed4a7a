//! The record of a run: the changes made for each field of a policy, and the instances of
//! the filter that were inserted.
//!
//! A change that was made may still have no effect, because a later change undid it.
//! [`Journal::settle`] checks each change against the final configuration. So a report
//! lists only what is in force, and a change that another one undoes is found.

use std::rc::Rc;

use btp_policy::node::{Node, Value};

use super::placement::{Effect, Object, Placement};
use crate::envoy::address::Address;
use crate::envoy::files::Config;
use crate::envoy::model::RouteId;
use crate::envoy::tree::{same, text};
use crate::translate::{Change, ChangeError, HttpPart, Operation, Outcome, Replaced, apply_change};

/// What was done for one spec.
#[derive(Debug, Default)]
pub(crate) struct Journal(Vec<Entry>);

#[derive(Debug)]
enum Entry {
    Change {
        change: Change,
        /// Where the object is.
        address: Address,
        object: Object,
    },
    Instance {
        /// The fields that it enforces.
        fields: Vec<String>,
        /// The filters that it is one of.
        list: Address,
        filter: Rc<Node>,
        object: Object,
    },
    /// A field left a route to what it says itself.
    Yield { field: String, route: RouteId },
}

/// Something that was done and does not hold any more.
#[derive(Debug)]
pub(crate) struct Undone {
    /// The field, from `spec` on.
    pub(crate) field: String,
    pub(crate) object: Object,
}

impl Journal {
    /// Makes a change of the object that is `node`, and yields what it replaced.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn perform(
        &mut self,
        node: &mut Node,
        change: &Change,
        address: &Address,
        object: Object,
    ) -> Result<Vec<Replaced>, ChangeError> {
        let outcome = apply_change(node, change)?;
        if change.operation.carries_fields() {
            self.0.push(Entry::Change {
                change: change.clone(),
                address: address.clone(),
                object,
            });
        }
        Ok(match outcome {
            Outcome::Replaced(values) => values,
            Outcome::Added | Outcome::Present | Outcome::Idle(_) | Outcome::Nothing => Vec::new(),
        })
    }

    /// Notes that a route keeps what it says itself.
    pub(crate) fn yield_to(&mut self, route: RouteId, field: &str) {
        let field = field.to_owned();
        self.0.push(Entry::Yield { field, route });
    }

    /// Notes an instance of the filter in a list of filters, for the fields that
    /// it enforces.
    pub(crate) fn instance(
        &mut self,
        fields: Vec<String>,
        list: Address,
        filter: Rc<Node>,
        object: Object,
    ) {
        self.0.push(Entry::Instance {
            fields,
            list,
            filter,
            object,
        });
    }

    /// What holds in a configuration; a change is made once more, which shows
    /// whether it does.
    ///
    /// # Errors
    /// Something does not hold any more: the configuration is useless then.
    pub(crate) fn settle(&self, config: &mut Config) -> Result<Vec<Placement>, Undone> {
        self.0.iter().map(|it| it.settle(config)).collect()
    }
}

impl Entry {
    fn settle(&self, config: &mut Config) -> Result<Placement, Undone> {
        let (fields, object, effect) = match self {
            Self::Yield { field, route } => {
                let effect = Effect::Nothing("its routes set it themselves");
                (vec![field.clone()], Object::Route(*route), Some(effect))
            }
            Self::Change {
                change,
                address,
                object,
            } => {
                let effect = config.at_mut(address).and_then(|it| effect_of(it, change));
                let fields = std::iter::once(&change.field).chain(&change.also);
                let fields = fields.map(|it| below_spec(it).to_owned());
                (fields.collect(), object.clone(), effect)
            }
            Self::Instance {
                fields,
                list,
                filter,
                object,
            } => {
                let filters = match config.at(list).map(|it| &it.value) {
                    Some(Value::List(filters)) => filters.as_slice(),
                    _ => &[],
                };
                let place = filters.iter().position(|it| same(it, filter));
                let effect = place.map(|place| Effect::Instance {
                    name: text(filter, "name").unwrap_or_default().to_owned(),
                    place,
                });
                (fields.clone(), object.clone(), effect)
            }
        };
        match effect {
            Some(effect) => Ok(Placement {
                fields,
                object,
                effect,
            }),
            None => Err(Undone {
                field: format!("spec.{}", fields.join(", ")),
                object,
            }),
        }
    }
}

/// What there is of a change that has been made; `None`: it had to be made again.
fn effect_of(node: &mut Node, change: &Change) -> Option<Effect> {
    let outcome = apply_change(node, change);
    if let Operation::Enable(value) = &change.operation {
        let value = match outcome {
            Ok(Outcome::Present) => serde_json::to_string(value).unwrap_or_default(),
            Ok(Outcome::Idle(reason)) => reason.to_owned(),
            _ => return None,
        };
        let part = part_of(change);
        return Some(Effect::Beside { part, value });
    }
    match outcome {
        Ok(Outcome::Present) => Some(Effect::Part(part_of(change))),
        Ok(Outcome::Idle(reason)) => Some(Effect::Nothing(reason)),
        Ok(Outcome::Added | Outcome::Replaced(_) | Outcome::Nothing) | Err(_) => None,
    }
}

/// A field of a policy as reports name it.
pub(crate) fn below_spec(field: &str) -> &str {
    field.strip_prefix("spec.").unwrap_or(field)
}

/// The part of its object that a change goes to.
fn part_of(change: &Change) -> String {
    match &change.operation {
        Operation::HttpFilter(filter, _) => {
            let name = text(filter, "name").unwrap_or_default();
            format!("http_filters {name}")
        }
        Operation::HttpOptions(HttpPart::UpstreamFilter { filter, .. }) => {
            let name = text(filter, "name").unwrap_or_default();
            format!("HttpProtocolOptions.http_filters {name}")
        }
        Operation::HttpOptions(_) => "HttpProtocolOptions".to_owned(),
        Operation::HealthCheck(_) => "health_checks".to_owned(),
        Operation::Dns(_) => "the settings of its DNS".to_owned(),
        _ => change.path.to_string(),
    }
}

#[cfg(test)]
mod tests;
