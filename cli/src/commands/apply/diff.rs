//! The difference of two texts in the unified format that `diff -u` and
//! `git` print.

use similar::TextDiff;

/// Lines around a change that are shown.
const CONTEXT: usize = 3;

/// What leads from `old` to `new`; nothing if they are the same.
pub(super) fn unified(old: &str, new: &str, old_name: &str, new_name: &str) -> String {
    TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(CONTEXT)
        .header(old_name, new_name)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_from_diff() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n";
        let new = "a\nB\nc\nd\ne\nf\ng\nh\ni\nj\nk\nk2\nl";
        assert_eq!(
            unified(old, new, "x", "y"),
            "--- x\n+++ y\n@@ -1,5 +1,5 @@\n a\n-b\n+B\n c\n d\n e\n@@ -9,4 +9,5 @@\n i\n j\n k\n\
             -l\n+k2\n+l\n\\ No newline at end of file\n"
        );
        assert_eq!(unified(old, old, "x", "y"), "");
    }

    #[test]
    fn files_that_have_nothing_in_common_are_compared_in_bearable_time() {
        let text =
            |word: &str| -> String { (0..20_000).map(|it| format!("{word} {it}\n")).collect() };
        let shown = unified(&text("old"), &text("new"), "x", "y");
        assert_eq!(shown.lines().count(), 40_003);
    }
}
