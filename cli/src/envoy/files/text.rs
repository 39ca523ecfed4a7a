//! The text of a file after a change, and what a person has written of it.

use btp_policy::node::Node;

use super::{File, Syntax, parse, render};
use crate::envoy::text::patch::{Kept, Original, is_equal, patch};
use crate::envoy::text::place::Place;
use crate::envoy::tree::same;
use crate::envoy::undo;

impl File {
    /// The text of what it is now: what was read, where nothing was changed.
    pub(super) fn text(&self, syntax: Syntax) -> Result<String, String> {
        if syntax == self.syntax
            && let Some(place) = self.place(&self.clean_text)
        {
            let original = Original {
                text: &self.clean_text,
                place: &place,
                node: &self.clean,
                is_json: syntax == Syntax::Json,
            };
            let (node, text) = undo::write(&self.node, &original);
            if self.says(&text, &node).is_some() {
                return Ok(text);
            }
        }
        render(&self.node, syntax)
    }

    /// Takes what is there now for what a person has written.
    pub(super) fn clean_up(&mut self, kept: &Kept) {
        if !same(&self.node, &self.clean) {
            let text = self.place(&self.source.text).map(|place| {
                let original = Original {
                    text: &self.source.text,
                    place: &place,
                    node: &self.clean,
                    is_json: self.syntax == Syntax::Json,
                };
                patch(&original, &self.node, kept).text
            });
            let fits = |text: &String| self.says(text, &self.node).is_some();
            let text = text.filter(fits);
            let text = text.or_else(|| render(&self.node, self.syntax).ok());
            self.clean_text = text.unwrap_or_default();
            // Marks of the text that was read are for messages; they go where
            // the order is another.
            if let Some(read) = self.says(&self.clean_text, &self.node)
                && !same(&read, &self.node)
            {
                self.node = read;
            }
        }
        self.clean = self.node.clone();
    }

    fn place(&self, text: &str) -> Option<Place> {
        match self.syntax {
            Syntax::Yaml => Place::of_yaml(text),
            Syntax::Json => Place::of_json(text),
        }
    }

    /// What a text says, if that is what a tree says.
    fn says(&self, text: &str, node: &Node) -> Option<Node> {
        let read = parse(text, self.syntax).ok()?;
        is_equal(&read, node).then_some(read)
    }
}
