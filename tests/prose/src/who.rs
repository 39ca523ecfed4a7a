//! A statement that begins with "Who": "Who raises a count gives the reason."

use harper_core::linting::{Lint, LintKind, Linter, Suggestion};
use harper_core::{Document, TokenStringExt};

/// Finds them: questions are no statements.
pub(crate) struct Who;

impl Linter for Who {
    fn lint(&mut self, document: &Document) -> Vec<Lint> {
        let mut lints = Vec::new();
        for sentence in document.iter_sentences() {
            let Some(first) = sentence.first_word() else {
                continue;
            };
            let is_question = sentence.iter().any(|it| it.kind.as_punctuation().is_some_and(|it| it.is_question()));
            if document.get_span_content_str(&first.span) != "Who" || is_question {
                continue;
            }
            lints.push(Lint {
                span: first.span,
                lint_kind: LintKind::Usage,
                suggestions: vec![Suggestion::ReplaceWith("Whoever".chars().collect())],
                message: "A statement does not begin with \"who\": name who does it.".to_owned(),
                priority: 31,
            });
        }
        lints
    }

    fn description(&self) -> &str {
        "A statement that begins with \"Who\"."
    }
}
