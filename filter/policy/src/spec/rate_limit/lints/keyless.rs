//! Advice on limits for each value of a key: a rule that counts by a header, a query
//! parameter or metadata (`Distinct`) does not hold for requests without it, and if no other
//! rule does, these pass unlimited.

use crate::code::Code;
use crate::echo::Echo;
use crate::linter::Linter;
use crate::node::{Mark, Node, Value};
use crate::path::Path;

/// What a request can lack: lists of a selector, and how one item of them is called.
const KEYS: [(&str, &str); 3] = [
    ("headers", "the header"),
    ("queryParams", "the query parameter"),
    ("metadata", "the metadata"),
];

/// A condition that requests without the key do not meet.
struct Distinct {
    rule: usize,
    selector: usize,
    list: &'static str,
    item: usize,
    mark: Mark,
    advice: String,
}

impl Linter<'_, '_> {
    pub(in crate::spec) fn on_requests_without_a_key(&mut self) {
        for kind in ["local", "global"] {
            let rate_limit = Path::Field(&self.spec.path, "rateLimit");
            let limits = Path::Field(&rate_limit, kind);
            let rules = Path::Field(&limits, "rules");
            for it in self.uncaught(kind) {
                let rule = Path::Item(&rules, it.rule);
                let selectors = Path::Field(&rule, "clientSelectors");
                let selector = Path::Item(&selectors, it.selector);
                let list = Path::Field(&selector, it.list);
                let item = Path::Item(&list, it.item);
                self.warnings
                    .note(&item, it.mark, Code::KeylessUnlimited, it.advice);
            }
        }
    }

    /// The `Distinct` conditions of rules without which no other rule, local or global,
    /// counts a request.
    fn uncaught(&self, kind: &'static str) -> Vec<Distinct> {
        let all = |kind| self.items(&["rateLimit", kind, "rules"]);
        let remedy = match kind {
            "local" => {
                "set onMissing: Limit, which limits them together (or Refuse), or add a rule \
                 without this condition"
            }
            // A rate limit service counts nothing that is not there.
            _ => "add a rule without this condition, which limits them together",
        };
        let mut found = Vec::new();
        for (index, rule) in all(kind).iter().enumerate() {
            let others = all("local").iter().chain(all("global"));
            let others: Vec<&Node> = others.filter(|it| !std::ptr::eq(*it, rule)).collect();
            for (selector, node) in list(rule, "clientSelectors").iter().enumerate() {
                for (name, called) in KEYS {
                    for (item, key) in list(node, name).iter().enumerate() {
                        let is_unlimited = is_distinct(key) && !is_for_all(key);
                        if !is_unlimited || others.iter().any(|it| catches(it, rule, name, key)) {
                            continue;
                        }
                        let of = text(key, "name").or_else(|| text(key, "namespace"));
                        let of = Echo(of.unwrap_or_default());
                        let advice = format!(
                            "does not limit requests without {called} {of}, and no other rule \
                             counts them: {remedy}"
                        );
                        found.push(Distinct {
                            rule: index,
                            selector,
                            list: name,
                            item,
                            mark: key.mark,
                            advice,
                        });
                    }
                }
            }
        }
        found
    }
}

/// Whether `other` counts each request that lacks `key` and is otherwise as `rule` says.
fn catches(other: &Node, rule: &Node, name: &str, key: &Node) -> bool {
    counts_where(other, |field, part| {
        holds_for_all(field, part)
            || (field == name && lacks(part, key))
            || (!is_same(part, key) && is_of(rule, field, part))
    })
}

/// Whether a rule is enforced, and all of its conditions are `met`.
pub(super) fn counts_where(rule: &Node, met: impl Fn(&str, &Node) -> bool) -> bool {
    let in_shadow = rule.field("shadowMode").map(|it| &it.value) == Some(&Value::Bool(true));
    let mut selectors = list(rule, "clientSelectors").iter();
    !in_shadow
        && selectors.all(|selector| {
            let Value::Map(entries) = &selector.value else {
                return false;
            };
            let conditions = entries.iter().filter(|it| it.node.value != Value::Null);
            let mut parts = conditions.flat_map(|it| {
                let items = match &it.node.value {
                    Value::List(items) if it.key != "methods" => items.as_slice(),
                    _ => std::slice::from_ref(&it.node),
                };
                items.iter().map(|item| (it.key.as_str(), item))
            });
            parts.all(|(field, part)| met(field, part))
        })
}

/// Whether a condition holds for every client.
fn holds_for_all(field: &str, condition: &Node) -> bool {
    let value = text(condition, "value");
    let is_any_address =
        field == "sourceCIDR" && matches!(value, Some("0.0.0.0/0" | "::/0")) && !inverts(condition);
    is_any_address || is_for_all(condition)
}

pub(super) fn is_distinct(condition: &Node) -> bool {
    text(condition, "type") == Some("Distinct")
}

/// Whether a condition on a key holds, or refuses, without it.
pub(super) fn is_for_all(condition: &Node) -> bool {
    matches!(text(condition, "onMissing"), Some("Limit" | "Refuse"))
}

/// Whether a condition holds for requests without the key: an inverted one about it does.
fn lacks(condition: &Node, key: &Node) -> bool {
    let is_about_it = |name| is_same_value(condition.field(name), key.field(name));
    inverts(condition) && ["name", "namespace", "path"].into_iter().all(is_about_it)
}

/// Whether a rule has this very condition.
pub(super) fn is_of(rule: &Node, field: &str, condition: &Node) -> bool {
    let selectors = list(rule, "clientSelectors").iter();
    let mut there = selectors.filter_map(|it| it.field(field));
    there.any(|it| match &it.value {
        Value::List(items) if field != "methods" => items.iter().any(|it| is_same(it, condition)),
        _ => is_same(it, condition),
    })
}

pub(super) fn inverts(condition: &Node) -> bool {
    condition.field("invert").map(|it| &it.value) == Some(&Value::Bool(true))
}

fn is_same_value(one: Option<&Node>, other: Option<&Node>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => is_same(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// Whether two values are equal, wherever they stand.
fn is_same(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::List(some), Value::List(others)) => {
            some.len() == others.len() && some.iter().zip(others).all(|(a, b)| is_same(a, b))
        }
        (Value::Map(some), Value::Map(others)) => {
            let has = |it: &crate::node::Entry| {
                let mut with_it = others.iter().filter(|other| other.key == it.key);
                with_it.any(|other| is_same(&it.node, &other.node))
            };
            some.len() == others.len() && some.iter().all(has)
        }
        (one, other) => one == other,
    }
}

pub(super) fn list<'a>(node: &'a Node, name: &str) -> &'a [Node] {
    match node.field(name).map(|it| &it.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

pub(super) fn text<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    node.field(name).and_then(Node::as_str)
}
