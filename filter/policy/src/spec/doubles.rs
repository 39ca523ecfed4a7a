//! Lists whose items must be of different types, as Envoy compares these.

use crate::code::Code;
use crate::path::Path;
use crate::problem::Problems;
use crate::read::Cursor;

pub(in crate::spec) fn no_double_type(at: Cursor<'_>, problems: &mut Problems) {
    let mut seen: Vec<String> = Vec::new();
    for (index, item) in at.items().iter().enumerate() {
        let Some(node) = item.field("type") else {
            continue;
        };
        let kind = node.as_str().unwrap_or_default().to_ascii_lowercase();
        if seen.contains(&kind) {
            let item = Path::Item(&at.path, index);
            let path = Path::Field(&item, "type");
            Cursor { node, path }.refuse(problems, Code::ListedTwice, "is listed twice");
        }
        seen.push(kind);
    }
}
