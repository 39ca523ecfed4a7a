//! Advice on limits that a rate limit service counts.

use crate::code::Code;
use crate::linter::Linter;
use crate::node::{Mark, Node};
use crate::path::Path;

impl Linter<'_, '_> {
    pub(in crate::spec) fn on_global_limits(&mut self) {
        const LIST: [&str; 3] = ["rateLimit", "global", "rules"];
        if self.text(&["rateLimit", "type"]) == "Local" || self.items(&LIST).is_empty() {
            return;
        }
        self.warn(
            &LIST[..2],
            Code::FixedWindows,
            "is counted by a rate limit service, which btp apply is told by --rate-limit-service \
             and given a file by --rate-limit-config: in fixed windows, so that twice the limit \
             can pass around the end of one. Requests that the service does not answer pass, but \
             with --rate-limit-fail-closed",
        );
        let from_metadata = |rule: &Node, name: &str| -> Option<Mark> {
            let cost = rule.field("cost")?.field(name)?;
            let from = cost.field("from")?.as_str()?;
            (from == "Metadata").then_some(cost.mark)
        };
        let rules = self.items(&LIST).iter().enumerate();
        let found = rules.flat_map(|(index, rule)| {
            let names = ["request", "response"].into_iter();
            names.filter_map(move |name| Some((index, name, from_metadata(rule, name)?)))
        });
        let found: Vec<(usize, &str, Mark)> = found.collect();
        let limits = Path::Field(&self.spec.path, LIST[0]);
        let global = Path::Field(&limits, LIST[1]);
        let list = Path::Field(&global, LIST[2]);
        for (index, name, mark) in found {
            let (code, advice) = match name {
                "request" => (
                    Code::RequestCostMetadata,
                    "is taken from dynamic metadata: a request that has none there is not \
                     counted by this rule, and not refused. Have the filter that writes it write \
                     it for all requests",
                ),
                _ => (
                    Code::ResponseCostMetadata,
                    "is taken from dynamic metadata: a response that has none there costs \
                     nothing. It is taken off when the response has ended, so that a request \
                     passes as long as anything is left",
                ),
            };
            let rule = Path::Item(&list, index);
            let cost = Path::Field(&rule, "cost");
            self.warnings
                .note(&Path::Field(&cost, name), mark, code, advice);
        }
    }
}
