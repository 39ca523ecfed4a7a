//! Trees drawn at random, changed at random: the text says what the tree says,
//! and what was added can be taken out again without a trace.

use btp_policy::node::{Entry, Mark, Node, Value};
use btp_policy::{json, yaml};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::envoy::text::yaml_out::{Brackets, in_brackets, write};

/// What is added says so, so that it is known again.
const ADDED: &str = "added";

#[derive(Clone, Copy, Debug)]
enum Style {
    Lines,
    Brackets,
    Json,
}

fn scalar() -> impl Strategy<Value = Value> {
    let texts = prop_oneof![
        Just("x"),
        Just(""),
        Just("a: b"),
        Just("two\nlines\n"),
        Just("end\n\n"),
        Just("é 🛒"),
        Just("#"),
        Just("yes"),
        Just("5s"),
        Just("- a"),
        Just("{"),
    ];
    prop_oneof![
        texts.prop_map(|it| Value::String(it.to_owned())),
        any::<i16>().prop_map(|it| Value::Int(it.into())),
        any::<bool>().prop_map(Value::Bool),
    ]
}

fn tree() -> impl Strategy<Value = Node> {
    let leaf = scalar().prop_map(Node::unplaced);
    leaf.prop_recursive(4, 40, 4, |below| {
        prop_oneof![
            vec(below.clone(), 0..4).prop_map(|it| Node::unplaced(Value::List(it))),
            vec(below, 0..4).prop_map(map),
        ]
    })
}

/// An object whose keys are letters.
fn map(values: Vec<Node>) -> Node {
    let keys = ["a", "b c", "d/e~f", "g"];
    let entry = |(key, node): (&&str, Node)| entry(key, node);
    Node::unplaced(Value::Map(keys.iter().zip(values).map(entry).collect()))
}

fn entry(key: &str, node: Node) -> Entry {
    Entry {
        key: key.to_owned(),
        mark: Mark::UNKNOWN,
        node,
    }
}

fn root(node: Node) -> Node {
    Node::unplaced(Value::Map(vec![
        entry("first", node.clone()),
        entry("second", Node::unplaced(Value::List(vec![node]))),
    ]))
}

fn render(node: &Node, style: Style) -> String {
    let brackets = Brackets {
        is_json: matches!(style, Style::Json),
        pads_maps: true,
        pads_lists: false,
        indent: 0,
        step: 2,
    };
    match style {
        Style::Lines => write(node),
        Style::Brackets | Style::Json => in_brackets(node, brackets) + "\n",
    }
}

fn read(text: &str, style: Style) -> Node {
    match style {
        Style::Json => json::parse(text.as_bytes()).unwrap_or_else(|it| panic!("{it}: {text}")),
        _ => yaml::parse(text)
            .unwrap_or_else(|it| panic!("{it}: {text}"))
            .remove(0),
    }
}

fn patched(text: &str, style: Style, new: &Node) -> String {
    let place = match style {
        Style::Json => Place::of_json(text),
        _ => Place::of_yaml(text),
    };
    let original = Original {
        text,
        place: &place.expect("was read"),
        node: &read(text, style),
        is_json: matches!(style, Style::Json),
    };
    patch(&original, new, &Kept::new()).text
}

/// Adds to a tree, at places that `draws` say.
fn add(node: &mut Node, draws: &mut impl Iterator<Item = u8>, what: &Node) {
    let draw = usize::from(draws.next().unwrap_or(0));
    match &mut node.value {
        Value::List(items) => {
            items.iter_mut().for_each(|it| add(it, draws, what));
            if draw % 2 == 1 {
                let sign = Node::unplaced(Value::String(ADDED.to_owned()));
                let item = Node::unplaced(Value::List(vec![sign, what.clone()]));
                items.insert(draw % (items.len() + 1), item);
            }
        }
        Value::Map(entries) => {
            entries
                .iter_mut()
                .for_each(|it| add(&mut it.node, draws, what));
            if draw % 2 == 1 {
                entries.insert(draw % (entries.len() + 1), entry(ADDED, what.clone()));
            }
        }
        _ => {}
    }
}

/// Removes what was added.
fn remove(node: &mut Node) {
    let is_added = |item: &Node| match &item.value {
        Value::List(items) => items.first().and_then(Node::as_str) == Some(ADDED),
        _ => false,
    };
    match &mut node.value {
        Value::List(items) => {
            items.retain(|it| !is_added(it));
            items.iter_mut().for_each(remove);
        }
        Value::Map(entries) => {
            entries.retain(|it| it.key != ADDED);
            entries.iter_mut().for_each(|it| remove(&mut it.node));
        }
        _ => {}
    }
}

fn style() -> impl Strategy<Value = Style> {
    prop_oneof![Just(Style::Lines), Just(Style::Brackets), Just(Style::Json)]
}

proptest! {
    #[test]
    fn the_text_says_what_the_tree_says(old in tree(), new in tree(), style in style()) {
        let (old, new) = (root(old), root(new));
        let text = patched(&render(&old, style), style, &new);
        prop_assert!(is_equal(&read(&text, style), &new), "{text}");
    }

    #[test]
    fn what_was_added_leaves_no_trace(
        old in tree(),
        what in tree(),
        draws in vec(any::<u8>(), 60),
        style in prop_oneof![Just(Style::Lines), Just(Style::Brackets)],
    ) {
        let before = render(&root(old), style);
        let mut new = read(&before, style);
        add(&mut new, &mut draws.into_iter(), &what);
        let text = patched(&before, style, &new);
        let mut back = read(&text, style);
        prop_assert!(is_equal(&back, &new), "{text}");
        remove(&mut back);
        prop_assert_eq!(patched(&text, style, &back), before, "{}", text);
    }
}
