use btp_policy::Code;
use btp_policy::node::Mark;
use btp_policy::path::{FieldPath, Step};
use btp_policy::problem::Problem;

use super::*;

/// A file of so many lines, and in each a finding that says the same.
fn many(count: u32) -> (Vec<Source>, Vec<Finding>) {
    let text: String = (0..count).map(|line| format!("- a: {line}\n")).collect();
    let finding = |line: u32| {
        let item = Step::Item(line as usize);
        let path: FieldPath = [item, Step::field("a")].into_iter().collect();
        let problem = Problem::new(path, Code::WrongType, "must be a string, not a number");
        let mark = Mark::new(line + 1, 6).until(line + 1, 7);
        Finding::error(problem.at(mark), Location::File(0))
    };
    let source = Source::new("a.yaml".to_owned(), text);
    (vec![source], (0..count).map(finding).collect())
}

#[test]
fn many_findings_that_say_the_same_are_one_with_a_count() {
    let (sources, findings) = many(20_000);
    let shown = for_people(&findings, &sources);
    assert_eq!(
        shown,
        "error[BTP0104]: [0].a: must be a string, not a number\n --> a.yaml:1:6\n  |\n1 | - a: \
         0\n  |      ^\n  |\n  = note: the same applies in 19999 other places: a.yaml:2:6, \
         a.yaml:3:6, a.yaml:4:6, a.yaml:5:6, a.yaml:6:6, …\nmore about a kind of finding: btp \
         explain BTP0104\n"
    );
}

#[test]
fn few_findings_and_others_are_shown_one_by_one() {
    let (sources, mut findings) = many(3);
    let shown = for_people(&findings, &sources);
    assert_eq!(shown.matches("error[BTP0104]").count(), 3, "{shown}");
    assert!(!shown.contains("other places"), "{shown}");
    // Another field, another kind, another reason.
    let other = |path: &'static str, code, reason: &str| {
        Finding::error(Problem::new(path, code, reason), Location::Nowhere)
    };
    let reason = "must be a string, not a number";
    findings.push(other("b", Code::WrongType, reason));
    findings.push(other("a", Code::UnknownChoice, reason));
    findings.push(other("a", Code::WrongType, "must be a list"));
    let shown = for_people(&findings, &sources);
    assert_eq!(shown.matches("error[").count(), 6, "{shown}");
    findings.push(other("a", Code::WrongType, reason));
    let shown = for_people(&findings, &sources);
    assert_eq!(shown.matches("error[").count(), 4, "{shown}");
    assert!(shown.contains("the same applies in 3 other places: a.yaml:2:6, a.yaml:3:6\n"));
}

#[test]
fn twice_the_findings_take_twice_the_work() {
    let formats = [Format::Text, Format::Json, Format::Github, Format::Sarif];
    for format in formats {
        let work = |count: u32| {
            let (sources, findings) = many(count);
            work::take();
            let _ = written(&findings, &sources, format);
            work::take()
        };
        let (once, twice) = (work(20_000), work(40_000));
        assert!(once >= 20_000, "{format:?}: {once}");
        assert!(twice <= 2 * once, "{format:?}: {once}, then {twice}");
    }
}

#[test]
fn findings_that_differ_take_no_more_work_than_are_shown() {
    let work = |count: u32| {
        let (sources, mut findings) = many(count);
        for (index, it) in findings.iter_mut().enumerate() {
            it.problem.reason = format!("is wrong in way {index}");
        }
        work::take();
        let shown = for_people(&findings, &sources);
        assert!(
            shown.contains(&format!("and {} more", count - 500)),
            "{}",
            shown.len()
        );
        work::take()
    };
    let (once, twice) = (work(20_000), work(40_000));
    assert!(once >= 20_000 && twice <= 2 * once, "{once}, then {twice}");
}
