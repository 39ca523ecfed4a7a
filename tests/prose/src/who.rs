//! A statement that begins with "Who": "Who raises a count gives the reason." A question, a
//! headline, and "Who does it: a client." are something else.

use harper_core::linting::{Lint, LintKind, Linter, Suggestion};
use harper_core::{Document, Punctuation, TokenKind, TokenStringExt};

/// Finds them.
pub(crate) struct Who;

impl Linter for Who {
    fn lint(&mut self, document: &Document) -> Vec<Lint> {
        let mut lints = Vec::new();
        for sentence in document.iter_sentences() {
            let Some(first) = sentence.first_word() else {
                continue;
            };
            if document.get_span_content_str(&first.span) != "Who"
                || sentence.iter().any(|it| is_no_statement(&it.kind))
            {
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

/// Whether a sentence with this is none.
fn is_no_statement(kind: &TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::HeadingStart
            | TokenKind::Punctuation(Punctuation::Question | Punctuation::Colon)
    )
}
