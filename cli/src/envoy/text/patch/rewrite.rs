//! Writes a whole value anew: in its place in the line, or with all that follows its colon
//! or dash.

use btp_policy::node::{Node, Value};

use super::slot::Slot;
use super::{Cut, Patcher, Path, edits};
use crate::envoy::text::place::{Kind, Place};
use crate::envoy::text::yaml_out;

impl Patcher<'_> {
    /// Writes a value anew.
    pub(super) fn rewrite(
        &mut self,
        old: &Node,
        place: &Place,
        new: &Node,
        slot: Slot,
        path: &Path,
    ) {
        for child in place.children() {
            self.lose_anchors(&child.place);
        }
        let kept = self.kept.get(&path.new);
        let source = self.original.text;
        let keeps_anchor = place.anchor > 0 && kept.is_none();
        let has_room = !matches!(place.kind, Kind::Nothing | Kind::Block);
        let is_line = has_room && !source[slot.from..place.end].contains('\n');
        let is_tight = match kept {
            Some(text) => !text.is_empty() && !text.starts_with([' ', '\t', '\n', '\r']),
            None => slot.is_flow || is_line && (slot.is_in_brackets(place) || is_scalar_line(new)),
        };
        if is_tight {
            let keeps_properties = !place.is_tagged || matches!(new.value, Value::String(_));
            let start = match keeps_properties {
                true => place.content,
                false => place.start,
            };
            if start < place.content && place.anchor > 0 {
                self.anchors.insert(place.anchor, None);
            }
            let text = match kept {
                Some(text) => text.clone(),
                None => self.edits.with_line_ends(&self.tight(place, new, slot)),
            };
            let cut = source[start..place.end].to_owned();
            let is_usual = is_scalar_line(old) && cut == self.tight(place, old, slot);
            self.cut(path, cut, is_usual);
            self.edits.replace(start..place.end, text);
            return;
        }
        let end = edits::end_of_line(source, place.end);
        let cut = source[slot.from..end].to_owned();
        let text = match kept {
            Some(text) => text.clone(),
            None => {
                let anchor = match keeps_anchor {
                    true => anchor_of(&source[place.start..place.content]),
                    false => String::new(),
                };
                // A comment beside what was one line stays beside the key.
                let is_one = !source[slot.from..place.end].contains('\n');
                let beside = match is_one {
                    true => source[place.end..end].trim_end(),
                    false => "",
                };
                self.edits.with_line_ends(&slot.fresh(new, &anchor, beside))
            }
        };
        self.cut(path, cut, false);
        self.edits.replace(slot.from..end, text);
    }

    /// The text of a value in the rest of a line.
    fn tight(&self, place: &Place, node: &Node, slot: Slot) -> String {
        if slot.is_flow || slot.is_in_brackets(place) {
            let style = slot.brackets(self.original.text, place.content + 1);
            let text = yaml_out::in_brackets(node, style);
            let is_missing = matches!(place.kind, Kind::Nothing);
            return if is_missing { format!(" {text}") } else { text };
        }
        yaml_out::one_line(node).unwrap_or_default()
    }

    fn cut(&mut self, path: &Path, text: String, is_usual: bool) {
        self.cuts.insert(path.old.clone(), Cut { text, is_usual });
    }
}

fn is_scalar_line(node: &Node) -> bool {
    yaml_out::one_line(node).is_some()
}

/// The anchor in the properties of a value, which may also have a tag.
fn anchor_of(properties: &str) -> String {
    let mut words = properties.split_whitespace();
    match words.find(|it| it.starts_with('&')) {
        Some(anchor) => format!(" {anchor}"),
        None => String::new(),
    }
}
