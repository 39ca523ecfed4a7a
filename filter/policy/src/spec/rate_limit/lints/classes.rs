//! Advice on classes of `concurrency`: requests of the class with the smaller reserve are
//! refused first, so that a later class with a larger one comes before an earlier class
//! after all.

use crate::code::Code;
use crate::echo::Echo;
use crate::linter::Linter;
use crate::node::{Mark, Node};
use crate::path::Path;
use crate::scalar::whole_percent;
use crate::schema::shape::items;

/// A reserve that is larger than that of a class before it.
struct Larger {
    rule: usize,
    class: usize,
    mark: Mark,
    advice: String,
}

impl Linter<'_, '_> {
    pub(in crate::spec) fn on_reserves_against_the_order(&mut self) {
        let rules = self.items(&["rateLimit", "local", "rules"]).iter();
        let found: Vec<Larger> = rules.enumerate().flat_map(larger_than_before).collect();
        let rate_limit = Path::Field(&self.spec.path, "rateLimit");
        let local = Path::Field(&rate_limit, "local");
        let rules = Path::Field(&local, "rules");
        for it in found {
            let rule = Path::Item(&rules, it.rule);
            let concurrency = Path::Field(&rule, "concurrency");
            let classes = Path::Field(&concurrency, "classes");
            let class = Path::Item(&classes, it.class);
            let reserved = Path::Field(&class, "reserved");
            self.warnings
                .note(&reserved, it.mark, Code::ReservesAgainstOrder, it.advice);
        }
    }
}

fn larger_than_before((rule, node): (usize, &Node)) -> Vec<Larger> {
    let Some(concurrency) = node.field("concurrency") else {
        return Vec::new();
    };
    let classes = items(concurrency, "classes");
    // The class before with the smallest reserve, the first of them.
    let mut smallest: Option<(u8, &Node)> = None;
    let mut found = Vec::new();
    for (class, node) in classes.iter().enumerate() {
        let share = share_of(node);
        if let (Some((least, before)), Some(reserved)) = (smallest, node.field("reserved"))
            && share > least
        {
            let before = before.field("name").and_then(Node::as_str);
            let before = Echo(before.unwrap_or_default());
            let advice = format!(
                "is more than the earlier class {before} has ({least}%), so {before} is refused \
                 first: put this class before it, or reserve at least as much for {before}"
            );
            let mark = reserved.mark;
            found.push(Larger {
                rule,
                class,
                mark,
                advice,
            });
        }
        if smallest.is_none_or(|(least, _)| share < least) {
            smallest = Some((share, node));
        }
    }
    found
}

fn share_of(class: &Node) -> u8 {
    let reserved = class.field("reserved").and_then(Node::as_str);
    reserved.and_then(whole_percent).unwrap_or(0)
}
