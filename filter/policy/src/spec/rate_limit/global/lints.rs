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
            "is counted by a rate limit service (btp apply --rate-limit-service and \
             --rate-limit-config) in fixed windows: twice the limit can pass around the end of a \
             window. If the service does not answer, requests pass, unless \
             --rate-limit-fail-closed is given",
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
                    "is read from dynamic metadata: this rule neither counts nor refuses a \
                     request without it. Have the filter that writes it write it for all requests",
                ),
                _ => (
                    Code::ResponseCostMetadata,
                    "is read from dynamic metadata: a response without it costs nothing. The cost \
                     is charged when the response has ended, so a request passes as long as \
                     anything is left",
                ),
            };
            let rule = Path::Item(&list, index);
            let cost = Path::Field(&rule, "cost");
            self.warnings
                .note(&Path::Field(&cost, name), mark, code, advice);
        }
    }
}
