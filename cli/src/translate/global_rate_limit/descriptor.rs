//! The descriptor of a rule: what Envoy makes of a request, entry by entry. If a
//! request does not meet a condition, the whole descriptor is left out.

use btp_policy::native::{Cost, GlobalRule, MetadataKey};
use btp_policy::node::Node;
use btp_policy::spec::{
    MethodCondition, Named, PathCondition, PathPattern, SourceCondition, ValueCondition,
};

use super::key::RouteKey;
use super::path_regex;
use super::rule::Rule;
use crate::envoy::json::{IntoNode, list, node, object, put};

const PER_ROUTE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute";

/// The value of an entry that says no more than that a condition is met.
const MET: &str = "match";
/// The value of the one entry of a rule without conditions.
const ALL: &str = "all";
/// What is text, UTF-8 byte by byte, as Envoy's regexes see bytes. A service refuses a
/// question with anything else in it, and so would count for none of the rules.
pub(super) const TEXT: &str = concat!(
    r"([\x00-\x7F]|[\xC2-\xDF][\x80-\xBF]",
    r"|\xE0[\xA0-\xBF][\x80-\xBF]|[\xE1-\xEC\xEE\xEF][\x80-\xBF]{2}|\xED[\x80-\x9F][\x80-\xBF]",
    r"|\xF0[\x90-\xBF][\x80-\xBF]{2}|[\xF1-\xF3][\x80-\xBF]{3}|\xF4[\x80-\x8F][\x80-\xBF]{2})*",
);
const CLIENT: &str = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%";

/// An entry of a descriptor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Its value; `None`: each value counts on its own.
    pub(super) value: Option<String>,
    /// How Envoy makes it.
    action: Node,
}

/// The settings of a route, for these rules.
pub(crate) fn per_route(rules: &[Rule], route: &RouteKey) -> Node {
    let limits = rules.iter().flat_map(|rule| rate_limits(rule, route));
    node!({ "@type": PER_ROUTE, "rate_limits": (list(limits)) })
}

/// The entries of a rule on a route.
pub(super) fn entries(rule: &Rule, route: &RouteKey) -> Vec<Entry> {
    let (key, value) = match &rule.shared {
        Some(shared) => ("shared", shared.as_str()),
        None => ("route", route.as_str()),
    };
    let mut entries = vec![generic(key, value)];
    entries.extend(conditions(rule));
    if entries.len() == 1 {
        entries.push(generic(&rule.id, ALL));
    }
    entries
}

/// What is asked of the service for a rule: when the request comes, and if the
/// response costs something, when that has ended.
fn rate_limits(rule: &Rule, route: &RouteKey) -> Vec<Node> {
    let entries = entries(rule, route);
    let ask = |cost: Option<&Cost>, is_at_end: bool| {
        let actions = entries.iter().map(|it| it.action.clone());
        let mut asked = node!({ "actions": (list(actions)) });
        put(
            &mut asked,
            "limit",
            rule.rule.limit.from.as_ref().map(limit),
        );
        put(&mut asked, "hits_addend", cost.map(hits));
        let told = rule.rule.tells.map(|tells| match tells {
            true => "DRAFT_VERSION_03",
            false => "OFF",
        });
        put(&mut asked, "x_ratelimit_option", told);
        put(
            &mut asked,
            "apply_on_stream_done",
            is_at_end.then_some(true),
        );
        asked
    };
    let GlobalRule {
        request_cost,
        response_cost,
        ..
    } = &rule.rule;
    let at_end = response_cost.as_ref().map(|cost| ask(Some(cost), true));
    let mut all = vec![ask(request_cost.as_ref(), false)];
    all.extend(at_end);
    all
}

fn limit(key: &MetadataKey) -> Node {
    let key = node!({ "key": (&key.namespace), "path": [{ "key": (&key.key) }] });
    node!({ "dynamic_metadata": { "metadata_key": (key) } })
}

fn hits(cost: &Cost) -> Node {
    match cost {
        Cost::Number(number) => node!({ "number": (*number) }),
        Cost::Metadata(MetadataKey { namespace, key }) => {
            node!({ "format": (format!("%DYNAMIC_METADATA({namespace}:{key})%")) })
        }
    }
}

/// An entry for each condition; all must hold, of whichever of the
/// `clientSelectors`.
fn conditions(rule: &Rule) -> Vec<Entry> {
    let key = |letter: char, index: usize| format!("{}{letter}{index}", rule.id);
    let selector = &rule.rule.selector;
    let mut all = Vec::new();
    for (index, it) in selector.headers.iter().enumerate() {
        all.extend(header(key('h', index), it.name.as_str(), &it.condition));
    }
    let methods = selector.methods.iter().flat_map(methods).enumerate();
    all.extend(methods.map(|(index, it)| by_header(key('m', index), ":method", it.0, it.1)));
    for (index, it) in selector.paths.iter().enumerate() {
        all.push(path(key('p', index), it));
    }
    for (index, it) in selector.sources.iter().enumerate() {
        let letter = if it.distinct.is_some() { 'a' } else { 'c' };
        all.push(source(key(letter, index), *it));
    }
    for (index, it) in selector.query_params.iter().enumerate() {
        all.extend(query(key('q', index), it));
    }
    all
}

fn header(key: String, name: &str, condition: &ValueCondition) -> Vec<Entry> {
    if let Some((matcher, holds)) = string_match(condition) {
        return vec![by_header(key, name, matcher, holds)];
    }
    let action = node!({ "header_name": name, "descriptor_key": (&key) });
    vec![
        by_header(of_text(&key), name, regex(TEXT), true),
        entry(key, None, "request_headers", action),
    ]
}

/// The key of the entry that says that what follows is text.
fn of_text(key: &str) -> String {
    format!("{key}t")
}

/// The conditions that a list of methods comes to, and whether each must hold. A
/// method in other letters is taken for the one that is listed, and not for an
/// exception, as in `rateLimit.local`.
fn methods(condition: &MethodCondition) -> impl Iterator<Item = (Node, bool)> {
    let any_of = (!condition.any_of.is_empty())
        .then(|| (regex(format!("(?i:{})", condition.any_of.join("|"))), true));
    let none_of =
        (!condition.none_of.is_empty()).then(|| (regex(condition.none_of.join("|")), false));
    any_of.into_iter().chain(none_of)
}

fn path(key: String, condition: &PathCondition) -> Entry {
    let matcher = match &condition.pattern {
        PathPattern::Prefix(prefix) if prefix == "/" => node!({ "prefix": "/" }),
        pattern => regex(path_regex::of(pattern)),
    };
    by_header(key, ":path", matcher, !condition.invert)
}

fn source(key: String, condition: SourceCondition) -> Entry {
    let range = condition.range.to_string();
    let (address, length) = range.split_once('/').unwrap_or((&range, "0"));
    let length: u32 = length.parse().unwrap_or_default();
    let mut matcher = node!({
        "ranges": [{ "address_prefix": address, "prefix_len": length }]
    });
    put(
        &mut matcher,
        "invert_match",
        condition.invert.then_some(true),
    );
    let value = if condition.distinct.is_some() {
        CLIENT
    } else {
        MET
    };
    let action = node!({
        "address_matcher": (matcher),
        "descriptor_key": (&key),
        "descriptor_value": value,
    });
    let value = condition.distinct.is_none().then(|| MET.to_owned());
    entry(key, value, "remote_address_match", action)
}

fn query(key: String, param: &Named<String>) -> Vec<Entry> {
    let name = &param.name;
    if let Some((matcher, holds)) = string_match(&param.condition) {
        return vec![by_query(key, name, matcher, holds)];
    }
    let action = node!({ "query_parameter_name": name, "descriptor_key": (&key) });
    vec![
        by_query(of_text(&key), name, regex(TEXT), true),
        entry(key, None, "query_parameters", action),
    ]
}

/// An entry that is there if a query parameter meets a condition, or if it does not.
fn by_query(key: String, name: &str, matcher: Node, holds: bool) -> Entry {
    let mut action = node!({ "descriptor_key": (&key), "descriptor_value": MET });
    put(&mut action, "expect_match", (!holds).then_some(false));
    let matcher = node!({ "name": name, "string_match": (matcher) });
    put(&mut action, "query_parameters", Some(list([matcher])));
    entry(
        key,
        Some(MET.to_owned()),
        "query_parameter_value_match",
        action,
    )
}

/// An entry that is there if a header meets a condition, or if it does not.
fn by_header(key: String, name: &str, matcher: Node, holds: bool) -> Entry {
    let mut action = node!({ "descriptor_key": (&key), "descriptor_value": MET });
    put(&mut action, "expect_match", (!holds).then_some(false));
    let matcher = node!({ "name": name, "string_match": (matcher) });
    put(&mut action, "headers", Some(list([matcher])));
    entry(key, Some(MET.to_owned()), "header_value_match", action)
}

/// What a value must be, and whether it must; `None`: each counts on its own.
fn string_match(condition: &ValueCondition) -> Option<(Node, bool)> {
    match condition {
        ValueCondition::Exact { value, invert } => Some((node!({ "exact": (value) }), !invert)),
        ValueCondition::Regex {
            regex: wanted,
            invert,
        } => Some((regex(wanted.pattern()), !invert)),
        ValueCondition::Distinct(_) => None,
    }
}

fn regex(pattern: impl IntoNode) -> Node {
    node!({ "safe_regex": { "regex": (pattern) } })
}

fn generic(key: &str, value: &str) -> Entry {
    let action = node!({ "descriptor_key": key, "descriptor_value": value });
    entry(
        key.to_owned(),
        Some(value.to_owned()),
        "generic_key",
        action,
    )
}

fn entry(key: String, value: Option<String>, kind: &str, action: Node) -> Entry {
    let action = object([(kind, action)]);
    Entry { key, value, action }
}
