//! What YAML means here, and what is refused.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use proptest::prelude::*;

use super::*;
use crate::json;

/// The one document of `text`, places forgotten.
fn value(text: &str) -> Value {
    let mut documents = parse(text).unwrap();
    assert_eq!(documents.len(), 1, "{text}");
    let mut node = documents.remove(0);
    forget_places(&mut node);
    node.value
}

fn forget_places(node: &mut Node) {
    node.mark = Mark::UNKNOWN;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(forget_places),
        Value::Map(entries) => {
            for entry in entries {
                entry.mark = Mark::UNKNOWN;
                forget_places(&mut entry.node);
            }
        }
        _ => {}
    }
}

fn refused(text: &str) -> String {
    parse(text).expect_err("is accepted").to_string()
}

#[test]
fn scalars_follow_the_core_schema() {
    for (text, wanted) in [
        ("5", Value::Int(5)),
        ("-5", Value::Int(-5)),
        ("0x1f", Value::Int(31)),
        ("0o17", Value::Int(15)),
        ("5.0", Value::Int(5)),
        ("5.5", Value::Float(5.5)),
        ("1e3", Value::Int(1000)),
        ("true", Value::Bool(true)),
        ("yes", Value::String("yes".into())),
        ("\"5\"", Value::String("5".into())),
        ("!!str 5", Value::String("5".into())),
        (".inf", Value::String(".inf".into())),
        ("1.2.3", Value::String("1.2.3".into())),
        ("5xx", Value::String("5xx".into())),
        ("200ms", Value::String("200ms".into())),
        ("-", Value::List(vec![Node::unplaced(Value::Null)])),
    ] {
        assert_eq!(value(text), wanted, "{text}");
    }
}

#[test]
fn places_count_from_one() {
    let documents = parse("a: 1\nb:\n  - x\n---\n  c: {d: e}\n").unwrap();
    let Value::Map(first) = &documents[0].value else {
        panic!("not a map")
    };
    assert_eq!(begin(first[1].mark), (2, 1));
    let Value::List(items) = &first[1].node.value else {
        panic!("not a list")
    };
    assert_eq!(begin(items[0].mark), (3, 5));
    assert_eq!(begin(documents[1].mark), (5, 3));
}

#[test]
fn duplicate_keys_are_kept_for_the_reader_to_refuse() {
    let Value::Map(entries) = value("a: 1\na: 2\n") else {
        panic!("not a map")
    };
    assert_eq!(entries.len(), 2);
}

#[test]
fn empty_documents_are_left_out() {
    assert!(parse("").unwrap().is_empty());
    assert_eq!(parse("---\n---\na: 1\n---\n# nothing\n").unwrap().len(), 1);
}

#[test]
fn aliases_are_expanded() {
    assert_eq!(value("[&a {b: 1}, *a]"), value("[{b: 1}, {b: 1}]"));
}

#[test]
fn alias_bombs_and_towers_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let below = level - 1;
        let items = vec![format!("*a{below}"); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    assert!(refused(&bomb).contains("more than 1000000 values"));
    let mut tower = "- &a0 [x]\n".to_owned();
    for level in 1..200 {
        tower.push_str(&format!("- &a{level} [*a{}]\n", level - 1));
    }
    assert!(refused(&tower).contains("nests deeper"));
    assert!(refused(&"[".repeat(200)).contains("nests deeper"));
}

#[test]
fn what_json_cannot_say_is_refused() {
    assert!(refused("[a]: b").contains("is not a key"));
    assert!(refused("!custom a").contains("unknown YAML tag"));
    let error = parse("a: [1\nb: 2").unwrap_err();
    assert!(error.mark.is_known(), "{error:?}");
}

/// Any tree that JSON can write.
fn trees() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i32>().prop_map(serde_json::Value::from),
        "[ -~]{0,12}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::btree_map("[a-z]{1,6}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[ -~\n\t]{0,120}") {
        let _ = parse(&text);
    }

    #[test]
    fn json_means_the_same_in_yaml(tree in trees()) {
        let text = tree.to_string();
        prop_assert_eq!(value(&text), json::parse(text.as_bytes()).unwrap().value);
    }

    #[test]
    fn what_is_printed_is_read_again(tree in trees()) {
        let node = json::parse(tree.to_string().as_bytes()).unwrap();
        let printed = serde_json::to_string(&node).unwrap();
        prop_assert_eq!(json::parse(printed.as_bytes()).unwrap(), node);
    }
}

fn begin(mark: Mark) -> (u32, u32) {
    (mark.line, mark.column)
}

/// The text from the begin of a mark to its end.
fn marked(text: &str, mark: Mark) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let place = |line: u32, column: u32| {
        let before: usize = lines
            .iter()
            .take(line as usize - 1)
            .map(|it| it.len())
            .sum();
        let line = lines.get(line as usize - 1).copied().unwrap_or_default();
        let within = line.chars().take(column as usize - 1).map(char::len_utf8);
        before + within.sum::<usize>()
    };
    let (line, column) = mark.end().unwrap();
    text[place(mark.line, mark.column)..place(line, column)].to_owned()
}

#[test]
fn keys_and_values_know_where_they_end() {
    let text = "a: 1 # one\nb\u{e4}b: {c-d: \"x\\\"y\" , e: [f, {g: h}]}\nblock:\n- x: two\n    words\n  \
                y: 'z''\u{e4}' # it's last\n# comment\nnext: &n [\n  1\n]\nlast: *n\nempty:\n";
    let documents = parse(text).unwrap();
    let mut found = Vec::new();
    all(&documents[0], &mut |mark| found.push(marked(text, mark)));
    let whole = text.trim_end_matches(":\n");
    let wanted = [
        whole,
        "a",
        "1",
        "b\u{e4}b",
        "{c-d: \"x\\\"y\" , e: [f, {g: h}]}",
        "c-d",
        "\"x\\\"y\"",
        "e",
        "[f, {g: h}]",
        "f",
        "{g: h}",
        "g",
        "h",
        "block",
        "x: two\n    words\n  y: 'z''\u{e4}'",
        "x: two\n    words\n  y: 'z''\u{e4}'",
        "x",
        "two\n    words",
        "y",
        "'z''\u{e4}'",
        "next",
        "&n [\n  1\n]",
        "1",
        "last",
        "&n [\n  1\n]",
        "1",
        "empty",
        "",
    ];
    assert_eq!(found, wanted);
}

fn all(node: &Node, show: &mut dyn FnMut(Mark)) {
    show(node.mark);
    match &node.value {
        Value::List(items) => items.iter().for_each(|it| all(it, show)),
        Value::Map(entries) => entries.iter().for_each(|it| {
            show(it.mark);
            all(&it.node, show);
        }),
        _ => {}
    }
}
