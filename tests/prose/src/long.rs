//! Sentences with too many words for one reading; a semicolon lets the reader breathe.

use harper_core::linting::{Lint, LintKind, Linter};
use harper_core::{Document, Punctuation, Span, Token, TokenStringExt};

/// Words of the longest sentence that is accepted.
const MOST: usize = 45;

/// Finds them.
pub(crate) struct LongSentence;

impl Linter for LongSentence {
    fn lint(&mut self, document: &Document) -> Vec<Lint> {
        let mut lints = Vec::new();
        let is_semicolon = |it: &Token| it.kind.as_punctuation() == Some(&Punctuation::Semicolon);
        let parts = document
            .iter_sentences()
            .flat_map(|it| it.split(is_semicolon));
        for part in parts {
            let words = part.iter_words().count();
            let (Some(first), Some(last)) = (part.first_word(), part.last()) else {
                continue;
            };
            if words > MOST {
                lints.push(Lint {
                    span: Span::new(first.span.start, last.span.end),
                    lint_kind: LintKind::Readability,
                    message: format!("This has {words} words: make several sentences of it."),
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
