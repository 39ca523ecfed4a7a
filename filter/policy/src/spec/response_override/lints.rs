//! Advice on overrides.

use crate::code::Code;
use crate::linter::Linter;
use crate::node::Mark;
use crate::path::Path;

impl Linter<'_, '_> {
    pub(in crate::spec) fn on_overrides(&mut self) {
        let list = Path::Field(&self.spec.path, "responseOverride");
        let redirects: Vec<(usize, Mark)> = self
            .items(&["responseOverride"])
            .iter()
            .enumerate()
            .filter_map(|(index, rule)| Some((index, rule.field("redirect")?)))
            .filter(|(_, redirect)| redirect.field("mode").is_none())
            .map(|(index, redirect)| (index, redirect.mark))
            .collect();
        for (index, mark) in redirects {
            let rule = Path::Item(&list, index);
            let advice = "makes Envoy run the request again on another route, unseen by the \
                client: btp apply configures that, the filter alone refuses it; mode: Client \
                sends the client there";
            self.warnings.note(
                &Path::Field(&rule, "redirect"),
                mark,
                Code::InternalRedirect,
                advice,
            );
        }
    }
}
