//! Whether a request meets conditions: `clientSelectors` and what is written
//! like them.

use std::net::IpAddr;

use btp_policy::spec::{
    MetadataCondition, MetadataMatch, MethodCondition, OnMissing, PathCondition, PathPattern,
    Selector, SourceCondition, ValueCondition,
};

use crate::host::headers::{HeaderView, NO_HEADERS};
use crate::request::Request;

/// Whether all conditions hold for a request of which this is known, and no metadata.
#[must_use]
pub fn holds(headers: &dyn HeaderView, source: Option<IpAddr>, selector: &Selector) -> bool {
    meets(&Request::new(headers, source), selector)
}

/// Whether one of the alternatives is met, or there are none.
pub(crate) fn meets_any(request: &Request<'_>, selectors: &[Selector]) -> bool {
    selectors.is_empty() || selectors.iter().any(|selector| meets(request, selector))
}

/// Whether all conditions hold.
pub(crate) fn meets(request: &Request<'_>, selector: &Selector) -> bool {
    let headers = selector.headers.iter();
    let params = selector.query_params.iter();
    headers
        .map(|header| (request.header(header.name.as_str()), &header.condition))
        .all(|(value, condition)| value_meets(value.as_deref(), condition))
        && selector
            .methods
            .iter()
            .all(|condition| method_meets(request.method(), condition))
        && selector
            .paths
            .iter()
            .all(|condition| path_meets(request.path(), condition))
        && params
            .map(|param| (request.query_param(&param.name), &param.condition))
            .all(|(value, condition)| value_meets(value.as_deref(), condition))
        && selector
            .sources
            .iter()
            .all(|condition| source_meets(request, *condition))
        && selector
            .metadata
            .iter()
            .all(|condition| metadata_meets(request, condition))
}

/// Whether a request must be refused because it lacks a key that this selector requires.
/// All conditions hold for it otherwise.
pub(crate) fn lacks_key(request: &Request<'_>, selector: &Selector) -> bool {
    let refuses = |condition: &ValueCondition| {
        matches!(condition, ValueCondition::Distinct(OnMissing::Refuse))
    };
    selector
        .headers
        .iter()
        .any(|it| refuses(&it.condition) && request.header(it.name.as_str()).is_none())
        || selector
            .query_params
            .iter()
            .any(|it| refuses(&it.condition) && request.query_param(&it.name).is_none())
        || selector.metadata.iter().any(|it| {
            it.condition == MetadataMatch::Distinct(OnMissing::Refuse)
                && request.metadata(&it.path).is_none()
        })
}

/// Whether `lacks_key` can be true of a request.
pub(crate) fn requires_key(selector: &Selector) -> bool {
    lacks_key(&Request::new(&NO_HEADERS, None), selector)
}

/// An inverted condition holds if there is no value at all.
fn value_meets(value: Option<&[u8]>, condition: &ValueCondition) -> bool {
    match condition {
        ValueCondition::Exact {
            value: wanted,
            invert,
        } => (value == Some(wanted.as_bytes())) != *invert,
        ValueCondition::Regex { regex, invert } => {
            value.is_some_and(|value| regex.is_match(value)) != *invert
        }
        ValueCondition::Distinct(on_missing) => is_counted(value.is_some(), *on_missing),
    }
}

/// Whether a condition of type `Distinct` holds; a request without the key may be meant.
fn is_counted(is_there: bool, on_missing: OnMissing) -> bool {
    is_there || on_missing != OnMissing::Exempt
}

/// Methods differ by case (RFC 9110, 9.1), but over HTTP/2 Envoy passes `post`
/// on, and there are origins that take it for POST. So a method in other
/// letters is taken for the one that is listed, and not for an exception.
fn method_meets(method: &[u8], condition: &MethodCondition) -> bool {
    let mut listed = condition.any_of.iter().map(String::as_bytes);
    let mut excepted = condition.none_of.iter().map(String::as_bytes);
    let is_listed =
        condition.any_of.is_empty() || listed.any(|other| other.eq_ignore_ascii_case(method));
    is_listed && !excepted.any(|other| other == method)
}

fn path_meets(path: &[u8], condition: &PathCondition) -> bool {
    let holds = match &condition.pattern {
        PathPattern::Exact(wanted) => path == wanted.as_bytes(),
        PathPattern::Prefix(prefix) => is_at_or_below(path, prefix.as_bytes()),
        PathPattern::Regex(regex) => regex.is_match(path),
    };
    holds != condition.invert
}

/// Whether `path` is `prefix` or lies below it (Gateway API's `PathPrefix`:
/// by whole segments, a slash at the end of the prefix does not count).
fn is_at_or_below(path: &[u8], prefix: &[u8]) -> bool {
    let prefix = prefix.strip_suffix(b"/").unwrap_or(prefix);
    path.strip_prefix(prefix)
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

/// A client without address, as on a Unix socket, lies in no range.
fn source_meets(request: &Request<'_>, condition: SourceCondition) -> bool {
    let inside = request
        .source()
        .is_some_and(|address| condition.range.contains(address));
    inside != condition.invert
}

/// What is not there equals nothing.
fn metadata_meets(request: &Request<'_>, condition: &MetadataCondition) -> bool {
    let found = request.metadata(&condition.path);
    match &condition.condition {
        MetadataMatch::Exact { value, invert } => {
            found.is_some_and(|found| found.equals(value)) != *invert
        }
        MetadataMatch::Distinct(on_missing) => is_counted(found.is_some(), *on_missing),
    }
}

#[cfg(test)]
mod tests;
