//! A cheaper spelling of a regex that is too expensive.

use regex_syntax::ast::{Ast, Repetition, Span};

use super::meaning::bounds;

/// Shorter repeats do not make a pattern expensive.
const FEW: u32 = 8;
/// The longest piece of a pattern that is shown.
const LONGEST: usize = 60;

/// What to write instead, as a request to the author.
pub(super) fn spelling(pattern: &str, ast: &Ast) -> String {
    let Some((count, repetition)) = largest(ast) else {
        return "split it into several conditions".to_owned();
    };
    let (least, _) = bounds(&repetition.op.kind);
    let sign = if least == 0 { '*' } else { '+' };
    let piece = |span: &Span| pattern.get(span.start.offset..span.end.offset);
    match (piece(&repetition.span), piece(repetition.ast.span())) {
        (Some(whole), Some(repeated)) if whole.len() <= LONGEST => {
            format!("write {repeated}{sign} for {whole}")
        }
        _ => format!("write {sign} for the repetition of up to {count}"),
    }
}

/// The repetition that counts farthest, and how far.
fn largest(ast: &Ast) -> Option<(u32, &Repetition)> {
    match ast {
        Ast::Repetition(repetition) => {
            let (least, most) = bounds(&repetition.op.kind);
            let count = most.unwrap_or(least);
            let own = (count >= FEW).then_some((count, &**repetition));
            farther(own, largest(&repetition.ast))
        }
        Ast::Group(group) => largest(&group.ast),
        Ast::Alternation(alternation) => among(&alternation.asts),
        Ast::Concat(concat) => among(&concat.asts),
        _ => None,
    }
}

fn among(asts: &[Ast]) -> Option<(u32, &Repetition)> {
    asts.iter().map(largest).fold(None, farther)
}

fn farther<'a>(
    left: Option<(u32, &'a Repetition)>,
    right: Option<(u32, &'a Repetition)>,
) -> Option<(u32, &'a Repetition)> {
    match (left, right) {
        (Some(left), Some(right)) if right.0 > left.0 => Some(right),
        (left, right) => left.or(right),
    }
}
