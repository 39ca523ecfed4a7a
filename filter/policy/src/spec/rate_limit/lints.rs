//! Advice on limits that the filter keeps.

mod addresses;
mod classes;
mod keyless;

use crate::code::Code;
use crate::linter::Linter;
use crate::node::{Mark, Node, Value};
use crate::path::Path;

impl Linter<'_, '_> {
    /// A client that makes up values of a header fills the table of clients.
    pub(in crate::spec) fn on_distinct_limits(&mut self) {
        let rules = self.items(&["rateLimit", "local", "rules"]).iter();
        let long = rules.enumerate().filter_map(|(index, rule)| {
            let unit = rule.field("limit")?.field("unit")?;
            let is_long = matches!(unit.as_str()?, "Day" | "Week" | "Month" | "Year");
            let found = is_long && counts_by_header(rule);
            found.then(|| (index, unit.mark, unit.as_str().unwrap_or("").to_lowercase()))
        });
        let long: Vec<(usize, Mark, String)> = long.collect();
        let rate_limit = Path::Field(&self.spec.path, "rateLimit");
        let local = Path::Field(&rate_limit, "local");
        let list = Path::Field(&local, "rules");
        for (index, mark, unit) in long {
            let advice = format!(
                "is long for a Distinct header: a client that invents values fills the table of \
                 clients, and new clients may be refused for up to a {unit}. Count by something \
                 that clients cannot invent, such as a claim of a verified token, or alert on \
                 overflows"
            );
            let rule = Path::Item(&list, index);
            let limit = Path::Field(&rule, "limit");
            self.warnings.note(
                &Path::Field(&limit, "unit"),
                mark,
                Code::LongDistinctLimit,
                advice,
            );
        }
    }
}

fn counts_by_header(rule: &Node) -> bool {
    let list = |node: &Node, name: &str| match node.field(name).map(|it| &it.value) {
        Some(Value::List(items)) => items.clone(),
        _ => Vec::new(),
    };
    let selectors = list(rule, "clientSelectors");
    let mut headers = selectors.iter().flat_map(|it| list(it, "headers"));
    headers.any(|it| it.field("type").and_then(Node::as_str) == Some("Distinct"))
}
