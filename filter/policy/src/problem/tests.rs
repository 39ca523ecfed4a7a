#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::json;
use crate::read::Cursor;

fn found(text: &str, known: &[&str]) -> Vec<Problem> {
    let node = json::parse(text.as_bytes()).unwrap();
    let mut problems = Problems::default();
    Cursor::root(&node).object(known, &mut problems);
    problems.into_vec()
}

#[test]
fn problems_beyond_those_listed_are_counted() {
    let keys: Vec<String> = (0..1_234).map(|index| format!(r#""x{index}":1"#)).collect();
    let found = found(&format!("{{{}}}", keys.join(",")), &["fixedDelay"]);
    assert_eq!(found.len(), Problems::MOST + 1);
    let line = in_one_line(&found, 20);
    let end = "; and 480 more problems; the document: has 734 more problems than are listed";
    assert!(line.ends_with(end) && line.len() < 2_000, "{line}");
    assert_eq!(line.matches("is not a known field").count(), 20);
}

#[test]
fn only_what_is_listed_is_worked_out() {
    let node = json::parse(b"{}").unwrap();
    let mut problems = Problems::default();
    let mut asked = 0;
    for _ in 0..10 * Problems::MOST {
        problems.note_unknown(&Path::Root, node.mark, || {
            asked += 1;
            "is wrong"
        });
    }
    assert_eq!(asked, Problems::MOST);
}

#[test]
fn what_is_found_aside_does_not_count() {
    let mut problems = Problems::default();
    let (_, found) = problems.capture(|problems| {
        for _ in 0..2 * Problems::MOST {
            problems.note(&Path::Root, Mark::UNKNOWN, Code::WrongType, "is wrong");
        }
    });
    assert_eq!(found.len(), Problems::MOST);
    assert!(problems.is_empty() && problems.into_vec().is_empty());
}

#[test]
fn keys_and_values_are_cut_and_nothing_in_them_is_hidden() {
    let key = format!("a\\u0000b\\u202e{}", "k".repeat(10_000_000));
    let found = found(&format!(r#"{{"{key}":1}}"#), &["fixedDelay"]);
    let path = format!("a\\u{{0}}b\\u{{202e}}{}…", "k".repeat(76));
    assert_eq!(
        found[0].to_string(),
        format!("{path}: is not a known field; known here: fixedDelay")
    );
    let node = json::parse(format!(r#""{key}""#).as_bytes()).unwrap();
    let mut problems = Problems::default();
    problems.refuse(&Path::Root, &node, Code::WrongType, format!("has {key}"));
    let shown = problems.into_vec()[0].to_string();
    assert!(shown.chars().count() < 4_400 && !shown.chars().any(crate::is_hidden));
}
