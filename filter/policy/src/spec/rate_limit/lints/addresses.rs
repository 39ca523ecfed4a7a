//! Advice on limits for each address: there are two families of addresses, and one client
//! of IPv6 has many.

use super::keyless::{counts_where, inverts, is_distinct, is_for_all, is_of, list, text};
use crate::code::Code;
use crate::linter::Linter;
use crate::node::{Mark, Node, Value};
use crate::path::Path;
use crate::scalar::Cidr;

const FIELD: &str = "sourceCIDR";

/// What a provider gives one client, by RFC 6177 and RIPE-690 at least.
const PREFIX_OF_CLIENT: i64 = 64;

/// A condition on addresses that count apart, and what is advised on it.
struct Advice {
    rule: usize,
    selector: usize,
    mark: Mark,
    code: Code,
    advice: String,
}

impl Linter<'_, '_> {
    pub(in crate::spec) fn on_addresses(&mut self) {
        for kind in ["local", "global"] {
            let rate_limit = Path::Field(&self.spec.path, "rateLimit");
            let limits = Path::Field(&rate_limit, kind);
            let rules = Path::Field(&limits, "rules");
            for it in self.on_addresses_of(kind) {
                let rule = Path::Item(&rules, it.rule);
                let selectors = Path::Field(&rule, "clientSelectors");
                let selector = Path::Item(&selectors, it.selector);
                let source = Path::Field(&selector, FIELD);
                self.warnings.note(&source, it.mark, it.code, it.advice);
            }
        }
    }

    fn on_addresses_of(&self, kind: &str) -> Vec<Advice> {
        let rules = self.items(&["rateLimit", kind, "rules"]);
        let mut found = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            for (selector, node) in list(rule, "clientSelectors").iter().enumerate() {
                let Some(source) = node.field(FIELD) else {
                    continue;
                };
                let range = text(source, "value").and_then(Cidr::parse);
                let Some(range) = range.filter(|_| is_distinct(source) && !inverts(source)) else {
                    continue;
                };
                let mut note = |code, advice| {
                    found.push(Advice {
                        rule: index,
                        selector,
                        mark: source.mark,
                        code,
                        advice,
                    });
                };
                if range.prefix() == 0 && !self.counts_other_family(rule, range) {
                    note(Code::OneAddressFamily, other_family(range, kind));
                }
                if kind == "local" && is_too_fine(range, source) {
                    let advice = "counts each IPv6 address separately, but most clients have a \
                        whole /64: set prefixLength: 64";
                    note(Code::WholeIpv6Addresses, advice.to_owned());
                }
            }
        }
        found
    }

    /// Whether another rule, local or global, counts clients of the other family than that of
    /// `range`, be it because this rule is meant for a part of this one alone.
    fn counts_other_family(&self, rule: &Node, range: Cidr) -> bool {
        let all = |kind| self.items(&["rateLimit", kind, "rules"]);
        let mut others = all("local").iter().chain(all("global"));
        let selectors = list(rule, "clientSelectors").iter();
        let mut sources = selectors.filter_map(|it| it.field(FIELD));
        let is_narrower = sources.any(|it| {
            let other = text(it, "value").and_then(Cidr::parse);
            other != Some(range) || inverts(it)
        });
        is_narrower
            || others.any(|other| {
                counts_where(other, |field, part| match field {
                    FIELD => is_other_family(part, range),
                    _ => is_for_all(part) || is_of(rule, field, part),
                })
            })
    }
}

/// Whether a condition holds for every address of the other family.
fn is_other_family(source: &Node, range: Cidr) -> bool {
    let Some(other) = text(source, "value").and_then(Cidr::parse) else {
        return false;
    };
    if other.width() == range.width() {
        return inverts(source);
    }
    other.prefix() == 0 && !inverts(source)
}

/// Whether one client has many of the addresses that count apart.
fn is_too_fine(range: Cidr, source: &Node) -> bool {
    let length = match source.field("prefixLength").map(|it| &it.value) {
        Some(Value::Int(length)) => *length,
        _ => range.width().into(),
    };
    range.width() == 128
        && i64::from(range.prefix()) < PREFIX_OF_CLIENT
        && length > PREFIX_OF_CLIENT
}

fn other_family(range: Cidr, kind: &str) -> String {
    let (own, other, second) = match (range.width(), kind) {
        (32, "local") => ("IPv4", "IPv6", "value: \"::/0\", prefixLength: 64"),
        (32, _) => ("IPv4", "IPv6", "value: \"::/0\""),
        _ => ("IPv6", "IPv4", "value: 0.0.0.0/0"),
    };
    format!(
        "counts {own} clients only, and no rule counts {other} clients: on a dual-stack listener \
         they are not limited. Add a rule with sourceCIDR: {{type: Distinct, {second}}}"
    )
}
