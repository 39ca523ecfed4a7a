//! Advice on native fields that Envoy ignores for what is beside them, or
//! that is not.

use super::{Advice, Value};
use crate::node::{Mark, Node};
use crate::path::Path;

impl Advice<'_, '_> {
    /// Envoy Gateway switches such items off. Exporters leave `gzip: null`
    /// out, so that nobody sees it was meant.
    pub(super) fn on_compressors(&mut self) {
        let list = Path::Field(&self.spec.path, "compressor");
        let items = self.items(&["compressor"]).iter().enumerate();
        let off = items.filter_map(|(index, item)| {
            let kind = item.field("type")?.as_str()?.to_lowercase();
            let is_off = item.field(&kind).is_none_or(|it| it.value == Value::Null);
            is_off.then_some((index, item.mark, kind))
        });
        let off: Vec<(usize, Mark, String)> = off.collect();
        for (index, mark, kind) in off {
            let advice = format!(
                "is off, as in Envoy Gateway, for it has no settings object: write {kind}: {{}} \
                 to switch it on, or leave the item out"
            );
            self.warnings.note(&Path::Item(&list, index), mark, advice);
        }
    }

    /// What counts for nothing as long as something else is, or is not, there.
    pub(super) fn on_fields_beside_others(&mut self) {
        let breaker = "circuitBreaker";
        if self.get(&[breaker, "retryBudget"]).is_some() {
            self.say_if_there(
                &[breaker, "maxParallelRetries"],
                "has no effect beside retryBudget, which bounds retries in its place: leave one \
                 of them out",
            );
        }
        let passive = ["healthCheck", "passive"];
        let splits = self
            .get(&[passive[0], passive[1], "splitExternalLocalOriginErrors"])
            .is_some_and(|it| it.value == Value::Bool(true));
        if !splits {
            self.say_if_there(
                &[passive[0], passive[1], "consecutiveLocalOriginFailures"],
                "has no effect without splitExternalLocalOriginErrors: true: connections that \
                 fail count as consecutive5XxErrors",
            );
        }
    }

    fn say_if_there(&mut self, path: &[&str], advice: &str) {
        let is_there = |it: &Node| it.value != Value::Null;
        if self.get(path).is_some_and(is_there) {
            self.say(path, advice);
        }
    }
}
