//! Advice on compressors.

use crate::code::Code;
use crate::linter::Linter;
use crate::node::{Mark, Value};
use crate::path::Path;

impl Linter<'_, '_> {
    /// Envoy Gateway switches such items off. Exporters leave `gzip: null`
    /// out, so that nobody sees it was meant.
    pub(in crate::spec) fn on_compressors(&mut self) {
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
                "is off, as in Envoy Gateway, because it has no settings: write {kind}: {{}} to \
                 enable it, or leave the item out"
            );
            self.warnings
                .note(&Path::Item(&list, index), mark, Code::CompressorOff, advice);
        }
    }
}
