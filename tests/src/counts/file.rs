//! The file with the counts: a block for each kind of exchange, in which each build of
//! the filter has its lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::Build;

/// Kinds of exchanges with their lines, which begin with the name of the build.
pub type Counted = Vec<(String, Vec<String>)>;

const HEAD: &str = "\
# What exchanges cost in calls: entries into the VM of the .wasm and its hostcalls, and the
# callbacks into Envoy that the module makes; beside these the module's allocations, its
# engine's included. Written and compared by tests/tests/counts.rs: see CONTRIBUTING.md.
";

/// The file with this build's lines in the place of those that it had.
pub fn with_counts(text: &str, build: Build, counted: &Counted) -> String {
    let known = blocks(text);
    let is_own = |line: &str| line.starts_with(build.name());
    let mut file = HEAD.to_owned();
    for (name, own) in counted {
        let lines = known.get(name.as_str()).into_iter().flatten();
        let others = lines.copied().filter(|line| !is_own(line));
        let mut lines: Vec<&str> = own.iter().map(String::as_str).chain(others).collect();
        // The .wasm first; otherwise as they come.
        lines.sort_by_key(|line| !line.starts_with(Build::Wasm.name()));
        let _ = writeln!(file, "\n{name}\n  {}", lines.join("\n  "));
    }
    file
}

/// What differs, kind by kind: lines of the file with `-`, and what was counted with
/// `+`. Empty if nothing does.
pub fn difference(file: &str, counted: &str) -> String {
    let (known, found) = (blocks(file), blocks(counted));
    let mut text = String::new();
    let gone = known.keys().filter(|name| !found.contains_key(*name));
    for name in found.keys().chain(gone) {
        let [before, after] = [&known, &found].map(|it| it.get(name).cloned().unwrap_or_default());
        if before == after {
            continue;
        }
        let _ = writeln!(text, "{name}");
        for line in before.iter().filter(|line| !after.contains(line)) {
            let _ = writeln!(text, "  - {line}");
        }
        for line in after.iter().filter(|line| !before.contains(line)) {
            let _ = writeln!(text, "  + {line}");
        }
    }
    text
}

/// The lines of each kind.
fn blocks(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut blocks: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut name = None;
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        match (line.strip_prefix("  "), name) {
            (Some(line), Some(name)) => blocks.entry(name).or_default().push(line),
            _ => {
                name = Some(line);
                blocks.entry(line).or_default();
            }
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(line: &str) -> Counted {
        vec![("one, direct".to_owned(), vec![line.to_owned()])]
    }

    #[test]
    fn each_build_has_its_lines_and_leaves_the_others() {
        let module = with_counts("", Build::Module, &counted("module callbacks 1: a 1"));
        let both = with_counts(&module, Build::Wasm, &counted("wasm hostcalls 0"));
        let lines = "\none, direct\n  wasm hostcalls 0\n  module callbacks 1: a 1\n";
        assert!(both.ends_with(lines), "{both}");
        let again = with_counts(&both, Build::Module, &counted("module callbacks 1: a 1"));
        assert_eq!(again, both);
    }

    #[test]
    fn a_difference_names_the_exchange_and_both_lines() {
        let before = with_counts("", Build::Wasm, &counted("wasm hostcalls 1: a 1"));
        let after = with_counts("", Build::Wasm, &counted("wasm hostcalls 2: a 2"));
        assert_eq!(difference(&before, &before), "");
        assert_eq!(
            difference(&before, &after),
            "one, direct\n  - wasm hostcalls 1: a 1\n  + wasm hostcalls 2: a 2\n"
        );
        let other = vec![("two".to_owned(), vec!["wasm hostcalls 0".to_owned()])];
        let other = with_counts("", Build::Wasm, &other);
        assert_eq!(
            difference(&before, &other),
            "two\n  + wasm hostcalls 0\none, direct\n  - wasm hostcalls 1: a 1\n"
        );
    }
}
