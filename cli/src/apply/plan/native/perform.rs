//! One change on one object, and what the report says of it.

use btp_policy::node::Node;

use crate::apply::effective::Effective;
use crate::apply::placement::Destination;
use crate::envoy::tree::text;
use crate::translate::{Change, ChangeError, Operation, Outcome, apply_change};

/// Performs a change of a spec on an object, which is called `what`, and notes
/// what gave way. Gives whether the change has a home there.
///
/// # Errors
/// It cannot be made.
pub(super) fn perform(
    object: &mut Node,
    change: &Change,
    what: &str,
    it: &mut Effective,
) -> Result<bool, ChangeError> {
    Ok(match apply_change(object, change)? {
        Outcome::Replaced(values) => {
            for value in values {
                let line = format!("{what}: {value}");
                if !it.replaced.contains(&line) {
                    it.replaced.push(line);
                }
            }
            !matches!(change.operation, Operation::Remove)
        }
        Outcome::Idle(reason) => {
            it.native
                .add(field_of(change), Destination::Nothing(reason));
            false
        }
        Outcome::Added => !matches!(change.operation, Operation::EndpointHosts),
        Outcome::Same => !matches!(
            change.operation,
            Operation::Forbid(..)
                | Operation::Require(_)
                | Operation::Remove
                | Operation::EndpointHosts
                | Operation::ProxyProtocol(_)
                | Operation::ZoneWeights(_)
        ),
    })
}

/// The field of a spec that a change comes from, as reports name it.
pub(super) fn field_of(change: &Change) -> &str {
    change.field.strip_prefix("spec.").unwrap_or(&change.field)
}

/// The part of its object that a change goes to.
pub(super) fn part_of(change: &Change) -> String {
    match &change.operation {
        Operation::HttpFilter(filter) => {
            let name = text(filter, "name").unwrap_or_default();
            format!("http_filters {name}")
        }
        Operation::HttpOptions(_) => "HttpProtocolOptions".to_owned(),
        Operation::HealthCheck(_) => "health_checks".to_owned(),
        Operation::Dns(_) => "the settings of its DNS".to_owned(),
        _ => change.path.to_string(),
    }
}
