//! A changed tree as the text that it was read from, changed where the tree
//! was and nowhere else.
//!
//! Old tree, new tree and the places of the old one are walked at once. What
//! is cut out is handed back ([`Cut`]), so that it can be written beside the
//! change and put back byte for byte ([`Kept`]). An insertion is such that
//! cutting it out again gives the text before: whole lines behind the line
//! that they follow, or an item in brackets with the comma before it.

mod align;
mod edits;
mod rewrite;
mod slot;

use std::collections::BTreeMap;

use btp_policy::node::{Entry, Node, Value};

use super::place::{Children, Kind, Place};
use super::yaml_out;
use crate::envoy::pointer::{escape, unescape};
use crate::envoy::tree::same;
use align::{Pair, align};
use edits::Edits;
use slot::Slot;

/// Texts to be put in, by the places (JSON pointers) where they go.
pub(crate) type Kept = BTreeMap<String, String>;

/// What was read.
pub(crate) struct Original<'a> {
    pub(crate) text: &'a str,
    pub(crate) place: &'a Place,
    pub(crate) node: &'a Node,
    pub(crate) is_json: bool,
}

/// What has become of it.
#[derive(Debug)]
pub(crate) struct Patched {
    pub(crate) text: String,
    /// What was cut out, by where it was in the old tree.
    pub(crate) cuts: BTreeMap<String, Cut>,
    /// What was changed: where it is now, by where it was.
    pub(crate) walked: BTreeMap<String, String>,
}

/// A text that was cut out.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    pub(crate) text: String,
    /// Whether the value alone would be written the same.
    pub(crate) is_usual: bool,
}

/// Writes `new` into the text of the original.
pub(crate) fn patch(original: &Original<'_>, new: &Node, kept: &Kept) -> Patched {
    let mut patcher = Patcher {
        original,
        kept,
        edits: Edits::new(original.text),
        cuts: BTreeMap::new(),
        walked: BTreeMap::new(),
        anchors: BTreeMap::new(),
    };
    let root = original.place;
    let from = root.children().first().map_or(root.start, |it| it.start);
    let slot = Slot::root(from, original.is_json);
    let mut path = Path::default();
    patcher.value(original.node, root, new, slot, &mut path);
    Patched {
        text: patcher.edits.apply(),
        cuts: patcher.cuts,
        walked: patcher.walked,
    }
}

/// The text of the value at a place of the old tree, as a [`Cut`] has it.
pub(crate) fn cut_at(original: &Original<'_>, path: &str) -> Option<String> {
    let (mut node, mut place) = (original.node, original.place);
    let mut slot = Slot::root(place.start, original.is_json);
    for step in path.split('/').skip(1) {
        let step = unescape(step);
        let children = children_of(place)?;
        let index = match &node.value {
            Value::Map(entries) => entries.iter().position(|it| it.key == step)?,
            _ => step.parse().ok()?,
        };
        let child = children.all.get(index)?;
        slot = slot.below(original.text, children.is_flow, child);
        node = match &node.value {
            Value::Map(entries) => &entries.get(index)?.node,
            Value::List(items) => items.get(index)?,
            _ => return None,
        };
        place = &child.place;
    }
    let range = match slot.is_flow {
        true => place.content..place.end,
        false => slot.from..edits::end_of_line(original.text, place.end),
    };
    original.text.get(range).map(str::to_owned)
}

fn children_of(place: &Place) -> Option<&Children> {
    match &place.kind {
        Kind::List(children) | Kind::Map(children) => Some(children),
        _ => None,
    }
}

/// A place in the old tree and in the new one.
#[derive(Clone, Debug, Default)]
struct Path {
    old: String,
    new: String,
}

impl Path {
    fn below(&self, old: &str, new: &str) -> Self {
        Self {
            old: format!("{}/{}", self.old, escape(old)),
            new: format!("{}/{}", self.new, escape(new)),
        }
    }
}

struct Patcher<'a> {
    original: &'a Original<'a>,
    kept: &'a Kept,
    edits: Edits<'a>,
    cuts: BTreeMap<String, Cut>,
    walked: BTreeMap<String, String>,
    /// What has become of anchors whose values are others now; `None` if
    /// they are gone.
    anchors: BTreeMap<usize, Option<Node>>,
}

impl Patcher<'_> {
    fn value(&mut self, old: &Node, place: &Place, new: &Node, slot: Slot, path: &mut Path) {
        let is_kept = self.is_kept(&path.new);
        let is_same = same(old, new);
        if is_same && !is_kept && (self.anchors.is_empty() || !place.has_alias()) {
            return;
        }
        self.walked.insert(path.old.clone(), path.new.clone());
        if !is_same && place.anchor > 0 {
            self.anchors.insert(place.anchor, Some(new.clone()));
        }
        if self.kept.contains_key(&path.new) {
            return self.rewrite(old, place, new, slot, path);
        }
        let is_written = match (&place.kind, &old.value, &new.value) {
            (Kind::Alias(anchor), _, _) => match self.anchors.get(anchor) {
                None => is_same,
                Some(target) => target.as_ref().is_some_and(|it| same(it, new)),
            },
            (Kind::Map(children), Value::Map(_), Value::Map(_))
            | (Kind::List(children), Value::List(_), Value::List(_)) => {
                self.children(old, place, children, new, slot, path)
            }
            _ => is_same,
        };
        if !is_written {
            self.rewrite(old, place, new, slot, path);
        }
    }

    /// Whether a text must be inserted at a place or below it.
    fn is_kept(&self, path: &str) -> bool {
        let mut from = self.kept.range(path.to_owned()..);
        from.next().is_some_and(|(key, _)| key.starts_with(path))
    }

    /// Changes children one by one; false if that is not possible.
    fn children(
        &mut self,
        old: &Node,
        place: &Place,
        children: &Children,
        new: &Node,
        slot: Slot,
        path: &Path,
    ) -> bool {
        let pairs = align(old, new);
        let kept: Vec<usize> = pairs.iter().filter_map(|it| it.old).collect();
        let olds = &children.all;
        // Without brackets, there is no place where none is left.
        let is_possible = match children.is_flow {
            true => !kept.is_empty() || self.closes(place, children),
            false => !kept.is_empty(),
        };
        if !is_possible {
            return false;
        }
        let area = Area {
            children,
            header: slot.header(self.original.text, place, children),
            slot,
            open: place.content + 1,
            is_left: !kept.is_empty(),
        };
        for (index, child) in olds.iter().enumerate() {
            match pairs.iter().find(|it| it.old == Some(index)) {
                Some(pair) => {
                    let mut path = path.below(&pair.old_key(), &pair.new_key());
                    let slot = slot.below(self.original.text, children.is_flow, child);
                    let old = align::child(old, index);
                    self.value(old, &child.place, pair.node, slot, &mut path);
                }
                None => self.remove(old, &area, &kept, index, path),
            }
        }
        let mut after = None;
        for (index, pair) in pairs.iter().enumerate() {
            match pair.old {
                Some(index) => after = Some(index),
                None => self.insert(&area, after, index == 0, pair, path),
            }
        }
        true
    }

    /// Cuts out a child, and the comments above it.
    fn remove(&mut self, old: &Node, area: &Area<'_>, kept: &[usize], index: usize, path: &Path) {
        let all = &area.children.all;
        self.lose_anchors(&all[index].place);
        let is_leading = kept.first().is_some_and(|first| index < *first);
        let range = match (area.header, index.checked_sub(1)) {
            (None, _) if is_leading => all[index].start..all[index + 1].start,
            (_, Some(before)) => self.behind(area, before)..self.behind(area, index),
            (header, None) => header.unwrap_or(area.open)..self.behind(area, index),
        };
        let key = align::key(old, index);
        let text = self.original.text.get(range.clone()).unwrap_or_default();
        let cut = Cut {
            text: text.to_owned(),
            is_usual: false,
        };
        self.cuts.insert(path.below(&key, &key).old, cut);
        self.edits.replace(range, String::new());
    }

    /// Puts in a child behind another, or in front of all.
    fn insert(
        &mut self,
        area: &Area<'_>,
        after: Option<usize>,
        is_first: bool,
        pair: &Pair<'_>,
        path: &Path,
    ) {
        let all = &area.children.all;
        // A line behind a text that ends with the file would become part of it.
        let text = self.original.text;
        let is_open = |it: usize| {
            let place = &all[it].place;
            place.ends_in_block() && edits::end_of_line(text, place.end) == text.len()
        };
        let after = match after {
            Some(index) if is_open(index) && pair.is_entry() => index.checked_sub(1),
            after => after,
        };
        let path = path.below("-", &pair.new_key());
        let first = all.first().map(|it| it.start).filter(|_| area.is_left);
        let (at, is_front) = match (after, area.header, first) {
            (Some(index), _, _) => (self.behind(area, index), false),
            (None, Some(header), _) => (header, false),
            (None, None, Some(first)) => (first, true),
            (None, None, None) => (area.open, false),
        };
        if let Some(kept) = self.kept.get(&path.new) {
            self.edits.replace(at..at, kept.clone());
            return;
        }
        let is_only = is_first && !area.is_left;
        let text = match area.children.is_flow {
            true => self.in_brackets(area, pair, is_front, is_only),
            false => self.in_lines(area, pair, is_front, at),
        };
        self.edits.replace(at..at, text);
    }

    fn in_lines(&self, area: &Area<'_>, pair: &Pair<'_>, is_front: bool, at: usize) -> String {
        let first = area.children.all.first().map_or(at, |it| it.start);
        let column = edits::column(self.original.text, first);
        let text = match pair.is_entry() {
            true => yaml_out::entry(&pair.new_key(), pair.node, column),
            false => yaml_out::item(pair.node, column),
        };
        let blanks = " ".repeat(column);
        self.edits.with_line_ends(&match is_front {
            true => format!("{text}\n{blanks}"),
            false => format!("\n{blanks}{text}"),
        })
    }

    fn in_brackets(
        &self,
        area: &Area<'_>,
        pair: &Pair<'_>,
        is_front: bool,
        is_only: bool,
    ) -> String {
        let source = self.original.text;
        let first = area.children.all.first().map_or(area.open, |it| it.start);
        let has_line = area.is_left && edits::is_first_in_line(source, first);
        let mut style = area.slot.brackets(source, area.open);
        if has_line {
            style.indent = edits::column(source, first);
            let outer = edits::indent(source, area.open);
            style.step = style
                .indent
                .checked_sub(outer)
                .filter(|it| *it > 0)
                .unwrap_or(style.step);
        }
        let text = match pair.is_entry() {
            true => yaml_out::entry_in_brackets(&pair.new_key(), pair.node, style),
            false => yaml_out::in_brackets(pair.node, style),
        };
        let gap = match has_line {
            true => format!("\n{}", " ".repeat(style.indent)),
            false => " ".to_owned(),
        };
        self.edits.with_line_ends(&match (is_only, is_front) {
            (true, _) => text,
            (false, true) => format!("{text},{gap}"),
            (false, false) => format!(",{gap}{text}"),
        })
    }

    /// Whether the closing bracket follows the last child, without a comma.
    fn closes(&self, place: &Place, children: &Children) -> bool {
        let end = children
            .all
            .last()
            .map_or(place.content + 1, |it| it.place.end);
        let rest = self.original.text.get(end..place.end).unwrap_or_default();
        !rest.contains(',')
    }

    /// Where what follows a child goes.
    fn behind(&self, area: &Area<'_>, index: usize) -> usize {
        let end = area.children.all[index].place.end;
        match area.children.is_flow {
            true => end,
            false => edits::end_of_line(self.original.text, end),
        }
    }

    /// Aliases of what is not written any more are written out.
    fn lose_anchors(&mut self, place: &Place) {
        if place.anchor > 0 {
            self.anchors.insert(place.anchor, None);
        }
        for child in place.children() {
            self.lose_anchors(&child.place);
        }
    }
}

/// Whether two trees say the same, in whatever order.
pub(crate) fn is_equal(left: &Node, right: &Node) -> bool {
    match (&left.value, &right.value) {
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| is_equal(l, r))
        }
        (Value::Map(left), Value::Map(right)) => {
            let is_there = |entry: &Entry| {
                let other = right.iter().find(|it| it.key == entry.key);
                other.is_some_and(|other| is_equal(&entry.node, &other.node))
            };
            left.len() == right.len() && left.iter().all(is_there)
        }
        (left, right) => left == right,
    }
}

/// Where children stand.
struct Area<'a> {
    children: &'a Children,
    /// The end of the line above the first, if they have lines of their own.
    header: Option<usize>,
    slot: Slot,
    /// Behind the opening bracket.
    open: usize,
    /// Whether any of them stays.
    is_left: bool,
}

#[cfg(test)]
mod tests;
