//! Redirects without a mode beside other overrides. Envoy performs the former, the filter
//! the latter, and still the first rule that matches must win.
//!
//! Envoy's filter is the last that a response passes. So it sees the responses that our
//! filter has changed, and ours never sees the result of Envoy's.

use std::collections::BTreeSet;

use btp_policy::node::{Node, Value};

use crate::envoy::json::{list, node};
use crate::envoy::tree::{find, items, set, text};

/// Statuses that a policy can name.
const FIRST: i64 = 200;
const LAST: i64 = 599;

/// Whether a rule of a `responseOverride` is Envoy's own to do.
pub(crate) fn is_internal_redirect(rule: &Node) -> bool {
    rule.field("redirect")
        .is_some_and(|it| it.field("mode").is_none())
}

/// A redirect and another rule of which not the first would win, and a status
/// at which that is so.
pub(crate) fn meeting(rules: &[Node]) -> Option<(usize, usize, i64)> {
    let numbered = || rules.iter().enumerate();
    let mut redirects = numbered().filter(|(_, rule)| is_internal_redirect(rule));
    redirects.find_map(|(place, redirect)| {
        let taken = statuses(redirect);
        let mut others = numbered().filter(|(_, rule)| !is_internal_redirect(rule));
        others.find_map(|(index, rule)| {
            let made = match (index < place, is_by_status_alone(redirect)) {
                (true, _) => made_by(rule, &statuses(rule)),
                // It does not get what the redirect takes: see `for_filter`.
                (false, true) => made_by(rule, &(&statuses(rule) - &taken)),
                (false, false) => &statuses(rule) | &made_by(rule, &statuses(rule)),
            };
            let status = made.into_iter().find(|it| taken.contains(it))?;
            Some((place, index, status))
        })
    })
}

/// The rules that the filter is given: those that are not Envoy's, without the
/// statuses that redirects in front of them take.
pub(crate) fn for_filter(rules: &[Node]) -> Vec<Node> {
    let mut taken = BTreeSet::new();
    let mut own = Vec::new();
    for rule in rules {
        if is_internal_redirect(rule) {
            taken.extend(statuses(rule));
            continue;
        }
        let wanted = statuses(rule);
        let left = &wanted - &taken;
        if left.len() == wanted.len() {
            own.push(rule.clone());
        } else if !left.is_empty() {
            own.push(narrowed(rule, &left));
        }
    }
    own
}

/// Whether an internal redirect answers with the status that it replaces.
pub(crate) fn keeps_status(rule: &Node) -> bool {
    let keeps = find(rule, &["redirect", "keepStatus"]);
    keeps.is_some_and(|it| it.value == Value::Bool(true))
}

/// A rule for each of its statuses, in order.
pub(crate) fn by_status(rule: &Node) -> impl Iterator<Item = (i64, Node)> {
    let each = |status| (status, narrowed(rule, &BTreeSet::from([status])));
    statuses(rule).into_iter().map(each)
}

/// The codes of one condition.
pub(crate) fn codes(condition: &Node) -> Vec<i64> {
    let number = |path: &[&str]| find(condition, path).and_then(whole);
    match (number(&["range", "start"]), number(&["range", "end"])) {
        (Some(start), Some(end)) => (start..=end.min(LAST)).collect(),
        _ => number(&["value"]).into_iter().collect(),
    }
}

pub(crate) fn whole(node: &Node) -> Option<i64> {
    match node.value {
        Value::Int(number) => Some(number),
        _ => None,
    }
}

/// The statuses that a rule may match.
fn statuses(rule: &Node) -> BTreeSet<i64> {
    let conditions = rule.field("match");
    let conditions = conditions.map_or(&[][..], |it| items(it, "statusCodes"));
    match conditions {
        [] => (FIRST..=LAST).collect(),
        conditions => conditions.iter().flat_map(codes).collect(),
    }
}

/// The statuses that a rule makes of these.
fn made_by(rule: &Node, statuses: &BTreeSet<i64>) -> BTreeSet<i64> {
    let said = find(rule, &["response", "statusCode"]);
    let said = said.or_else(|| find(rule, &["redirect", "statusCode"]));
    let is_redirect = rule.field("redirect").is_some() && !keeps_status(rule);
    match said.and_then(whole).or(is_redirect.then_some(302)) {
        Some(status) => BTreeSet::from([status]),
        None => statuses.clone(),
    }
}

/// Whether a redirect takes every answer with one of its statuses.
fn is_by_status_alone(rule: &Node) -> bool {
    let conditions = match rule.field("match").map(|it| &it.value) {
        Some(Value::Map(entries)) => entries.as_slice(),
        _ => &[],
    };
    let is_any_source = text(rule, "source").is_none_or(|it| it == "All");
    is_any_source && conditions.iter().all(|it| it.key == "statusCodes")
}

/// The rule for these statuses alone.
fn narrowed(rule: &Node, statuses: &BTreeSet<i64>) -> Node {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for status in statuses {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *status => *last = *status,
            _ => ranges.push((*status, *status)),
        }
    }
    let conditions = ranges
        .into_iter()
        .map(|(start, end)| node!({ "type": "Range", "range": { "start": start, "end": end } }));
    let mut rule = rule.clone();
    let mut conditions_of_rule = rule.field("match").cloned().unwrap_or(node!({}));
    set(&mut conditions_of_rule, "statusCodes", list(conditions));
    set(&mut rule, "match", conditions_of_rule);
    rule
}

#[cfg(test)]
mod tests {
    use btp_policy::json;

    use super::*;

    const REDIRECT: &str =
        r#"{"match":{"statusCodes":[{"value":401},{"value":403}]},"redirect":{"statusCode":301}}"#;

    fn rules(texts: &[&str]) -> Vec<Node> {
        let text = format!("[{}]", texts.join(","));
        match json::parse(text.as_bytes()).unwrap().value {
            Value::List(rules) => rules,
            _ => Vec::new(),
        }
    }

    #[test]
    fn rules_meet_a_redirect_where_envoy_would_take_what_the_filter_has_or_makes() {
        let by_header = r#"{"match":{"responseHeaders":[{"name":"a"}]},"response":{}}"#;
        let conditional = r#"{"match":{"statusCodes":[{"value":401}],"responseHeaders":[{"name":"b"}]},"redirect":{}}"#;
        let makes = r#"{"match":{"statusCodes":[{"value":503}]},"response":{"statusCode":403}}"#;
        let takes = r#"{"match":{"statusCodes":[{"value":401}]},"response":{"statusCode":404}}"#;
        let answers = r#"{"match":{"statusCodes":[{"value":301}]},"response":{}}"#;
        for (texts, expected) in [
            // Behind, it does not get what the redirect takes.
            (&[REDIRECT, by_header][..], None),
            (&[by_header, REDIRECT], Some((1, 0, 401))),
            (&[conditional, by_header], Some((0, 1, 401))),
            (&[REDIRECT, makes], Some((0, 1, 403))),
            (&[makes, REDIRECT], Some((1, 0, 403))),
            // In front, it takes them, and makes of them what it leaves alone.
            (&[takes, REDIRECT], None),
            // The filter does not see what the redirect answers.
            (&[REDIRECT, answers], None),
            (&[answers, REDIRECT], None),
        ] {
            assert_eq!(meeting(&rules(texts)), expected, "{texts:?}");
        }
    }

    #[test]
    fn what_a_redirect_takes_is_not_left_to_rules_behind_it() {
        let by_header = r#"{"match":{"responseHeaders":[{"name":"a"}]},"response":{}}"#;
        let never = r#"{"match":{"statusCodes":[{"value":403}]},"response":{}}"#;
        let found = for_filter(&rules(&[never, REDIRECT, by_header, never]));
        let found: Vec<String> = found
            .iter()
            .map(|it| serde_json::to_string(it.field("match").unwrap()).unwrap())
            .collect();
        assert_eq!(
            found,
            [
                r#"{"statusCodes":[{"value":403}]}"#,
                r#"{"responseHeaders":[{"name":"a"}],"statusCodes":[{"type":"Range","range":{"start":200,"end":400}},{"type":"Range","range":{"start":402,"end":402}},{"type":"Range","range":{"start":404,"end":599}}]}"#,
            ]
        );
    }
}
