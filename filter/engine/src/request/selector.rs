//! Whether a request meets conditions: `clientSelectors` and what is written
//! like them.

use btp_policy::spec::{
    MetadataCondition, MethodCondition, PathCondition, PathPattern, Selector, SourceCondition,
    ValueCondition,
};

use crate::request::Request;

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
        ValueCondition::Distinct => value.is_some(),
    }
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
    let Some((wanted, invert)) = &condition.condition else {
        return found.is_some();
    };
    found.is_some_and(|found| found.equals(wanted)) != *invert
}

#[cfg(test)]
mod tests;
