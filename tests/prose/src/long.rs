//! Sentences with too many words for one reading.

use harper_core::linting::{Lint, LintKind, Linter};
use harper_core::{Document, Span, TokenStringExt};

/// Words of the longest sentence that is accepted.
const MOST: usize = 50;

/// Finds them.
pub(crate) struct LongSentence;

impl Linter for LongSentence {
    fn lint(&mut self, document: &Document) -> Vec<Lint> {
        let mut lints = Vec::new();
        for sentence in document.iter_sentences() {
            let words = sentence.iter_words().count();
            let (Some(first), Some(last)) = (sentence.first_word(), sentence.last()) else {
                continue;
            };
            if words > MOST {
                lints.push(Lint {
                    span: Span::new(first.span.start, last.span.end),
                    lint_kind: LintKind::Readability,
                    message: format!("The sentence has {words} words: make several of it."),
                    ..Lint::default()
                });
            }
        }
        lints
    }

    fn description(&self) -> &str {
        "Sentences with too many words."
    }
}
