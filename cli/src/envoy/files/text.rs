//! The text of a file after a change, and what a person has written of it.

use btp_policy::node::Node;

use super::{File, Syntax, parse, render};
use crate::envoy::text::patch::{Kept, Original, is_equal, patch};
use crate::envoy::text::place::Place;
use crate::envoy::tree::same;
use crate::envoy::undo;

impl File {
    /// The text of what it is now: what was read, where nothing was changed.
    pub(super) fn text(&self, syntax: Syntax) -> String {
        if syntax == self.syntax
            && let Some(place) = place(&self.clean_text, syntax)
        {
            let original = Original {
                text: &self.clean_text,
                place: &place,
                node: &self.clean,
                is_json: syntax == Syntax::Json,
            };
            let (node, text) = undo::write(&self.node, &original);
            if says(&text, &node, syntax).is_some() {
                return text;
            }
        }
        render(&self.node, syntax)
    }

    /// Takes what is there now for what a person has written.
    pub(super) fn clean_up(&mut self, kept: &Kept) {
        if !same(&self.node, &self.clean) {
            let (text, clean) = (&self.source.text, &self.clean);
            let text = patched(text, clean, &self.node, self.syntax, kept);
            self.clean_text = text;
            // Marks of the text that was read are for messages; they go where
            // the order is another.
            if let Some(read) = says(&self.clean_text, &self.node, self.syntax)
                && !same(&read, &self.node)
            {
                self.node = read;
            }
        }
        self.clean = self.node.clone();
    }
}

/// A text that says `old`, changed to say `new` and otherwise as it was.
pub(crate) fn rewritten(text: &str, old: &Node, new: &Node, syntax: Syntax) -> String {
    patched(text, old, new, syntax, &Kept::new())
}

fn patched(text: &str, old: &Node, new: &Node, syntax: Syntax, kept: &Kept) -> String {
    let changed = place(text, syntax).map(|place| {
        let original = Original {
            text,
            place: &place,
            node: old,
            is_json: syntax == Syntax::Json,
        };
        patch(&original, new, kept).text
    });
    let fits = |text: &String| says(text, new, syntax).is_some();
    changed.filter(fits).unwrap_or_else(|| render(new, syntax))
}

fn place(text: &str, syntax: Syntax) -> Option<Place> {
    match syntax {
        Syntax::Yaml => Place::of_yaml(text),
        Syntax::Json => Place::of_json(text),
    }
}

/// What a text says, if that is what a tree says.
fn says(text: &str, node: &Node, syntax: Syntax) -> Option<Node> {
    let read = parse(text, syntax).ok()?;
    is_equal(&read, node).then_some(read)
}
