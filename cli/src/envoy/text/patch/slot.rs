//! The surroundings of a value: the text before it, and its depth.

use btp_policy::node::Node;

use super::edits;
use crate::envoy::text::place::{Child, Children, Kind, Place};
use crate::envoy::text::yaml_out::{self, Brackets, DEEPER};

/// Where a value goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// Behind the colon, the dash or the bracket.
    pub(super) from: usize,
    /// Whether it is within brackets.
    pub(super) is_flow: bool,
    is_json: bool,
    is_item: bool,
    is_root: bool,
    /// The column of the innermost key or dash that begins in a line of its own.
    column: usize,
}

impl Slot {
    pub(super) fn root(from: usize, is_json: bool) -> Self {
        Self {
            from,
            is_flow: is_json,
            is_json,
            is_item: false,
            is_root: true,
            column: 0,
        }
    }

    /// That of an item or entry.
    pub(super) fn below(self, text: &str, is_flow: bool, child: &Child) -> Self {
        Self {
            from: child.from,
            is_flow,
            is_item: text.get(child.start..child.from) == Some("-"),
            is_root: false,
            column: match is_flow {
                true => self.column,
                false => edits::column(text, child.start),
            },
            ..self
        }
    }

    /// The end of the line above the children of a value, if they have lines
    /// of their own.
    pub(super) fn header(self, text: &str, place: &Place, children: &Children) -> Option<usize> {
        if children.is_flow || self.is_root {
            return None;
        }
        let end = edits::end_of_line(text, self.from);
        let first = children.all.first()?.start;
        // Anchor and tag are in the line above.
        (first > end && (place.start <= end || place.start == first)).then_some(end)
    }

    /// Whether the value itself is in brackets.
    pub(super) fn is_in_brackets(self, place: &Place) -> bool {
        match &place.kind {
            Kind::List(children) | Kind::Map(children) => children.is_flow,
            _ => false,
        }
    }

    /// How to write in brackets, as the line does that `open` is in.
    pub(super) fn brackets(self, text: &str, open: usize) -> Brackets {
        let end = edits::end_of_line(text, open);
        let line = text.get(open.saturating_sub(1)..end).unwrap_or_default();
        Brackets {
            is_json: self.is_json,
            pads_maps: line.contains("{ "),
            pads_lists: line.contains("[ "),
            indent: match self.is_json {
                true => edits::indent(text, open),
                false => self.column + DEEPER,
            },
            step: DEEPER,
        }
    }

    /// A value with all that follows the colon or the dash: an anchor, and a
    /// comment beside it.
    pub(super) fn fresh(self, node: &Node, anchor: &str, beside: &str) -> String {
        let text = match (self.is_root, self.is_item) {
            (true, _) => return yaml_out::write(node).trim_end().to_owned(),
            (_, true) => yaml_out::after_dash(node, self.column),
            (_, false) => yaml_out::after_colon(node, self.column),
        };
        if anchor.is_empty() && beside.is_empty() {
            return text;
        }
        match text.split_once('\n') {
            // What begins behind the dash begins in a line of its own then.
            Some((head, rest)) if !head.is_empty() && !head.starts_with(" |") => {
                let blanks = " ".repeat(self.column + DEEPER);
                format!("{anchor}{beside}\n{blanks}{}\n{rest}", head.trim_start())
            }
            Some((head, rest)) => format!("{anchor}{head}{beside}\n{rest}"),
            None => format!("{anchor}{text}{beside}"),
        }
    }
}
