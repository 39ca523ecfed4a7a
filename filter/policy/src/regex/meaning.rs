//! The meaning of a pattern, in the dialect that RE2 and this filter share: `.` and classes
//! match characters, while `\d`, `\w`, `\s`, `\b` and `(?i)` know ASCII only. The parser's
//! own translation would use Unicode for all of them, with tables of hundreds of KiB.
//!
//! A pattern must match a whole value, so greed and captures mean nothing.

use regex_syntax::ast::{
    AssertionKind, Ast, ClassAsciiKind, ClassBracketed, ClassPerl, ClassPerlKind, ClassSet,
    ClassSetBinaryOpKind, ClassSetItem, Flag, Flags, GroupKind, Literal, RepetitionKind,
    RepetitionRange,
};
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, Look, Repetition};

/// The flags in force.
#[derive(Clone, Copy, Default)]
struct Mode {
    /// `i`
    any_case: bool,
    /// `m`
    lines: bool,
    /// `s`
    dot_takes_line_feed: bool,
    /// `R`
    crlf: bool,
}

/// The meaning of a parsed pattern.
///
/// # Errors
/// What of it is not supported.
pub(super) fn of(ast: &Ast) -> Result<Hir, &'static str> {
    expression(ast, &mut Mode::default())
}

/// `mode` is changed by flags that hold from here to the group's end.
fn expression(ast: &Ast, mode: &mut Mode) -> Result<Hir, &'static str> {
    let each = |asts: &[Ast], mode: &mut Mode| -> Result<Vec<Hir>, &'static str> {
        asts.iter().map(|ast| expression(ast, mode)).collect()
    };
    Ok(match ast {
        Ast::Empty(_) => Hir::empty(),
        Ast::Flags(set) => {
            mode.set(&set.flags)?;
            Hir::empty()
        }
        Ast::Literal(literal) => mode.character(literal),
        Ast::Dot(_) => Hir::class(Class::Unicode(mode.dot())),
        Ast::Assertion(assertion) => Hir::look(mode.assertion(&assertion.kind)),
        Ast::ClassUnicode(_) => return Err(NO_UNICODE),
        Ast::ClassPerl(class) => Hir::class(Class::Unicode(perl(class))),
        Ast::ClassBracketed(class) => Hir::class(Class::Unicode(mode.bracketed(class)?)),
        Ast::Repetition(repetition) => {
            let (min, max) = bounds(&repetition.op.kind);
            Hir::repetition(Repetition {
                min,
                max,
                greedy: true,
                sub: Box::new(expression(&repetition.ast, mode)?),
            })
        }
        Ast::Group(group) => {
            let mut inner = *mode;
            if let GroupKind::NonCapturing(flags) = &group.kind {
                inner.set(flags)?;
            }
            expression(&group.ast, &mut inner)?
        }
        Ast::Alternation(alternation) => Hir::alternation(each(&alternation.asts, mode)?),
        Ast::Concat(concat) => Hir::concat(each(&concat.asts, mode)?),
    })
}

const NO_UNICODE: &str = "Unicode classes such as \\pL are not supported; \
                          list the characters, as in [A-Za-zÀ-ž]";

impl Mode {
    fn set(&mut self, flags: &Flags) -> Result<(), &'static str> {
        if flags.flag_state(Flag::Unicode).is_some() {
            return Err("the flag u is not supported");
        }
        for (flag, state) in [
            (Flag::CaseInsensitive, &mut self.any_case),
            (Flag::MultiLine, &mut self.lines),
            (Flag::DotMatchesNewLine, &mut self.dot_takes_line_feed),
            (Flag::CRLF, &mut self.crlf),
        ] {
            if let Some(on) = flags.flag_state(flag) {
                *state = on;
            }
        }
        Ok(())
    }

    fn character(self, literal: &Literal) -> Hir {
        let character = literal.c;
        if self.any_case && character.is_ascii_alphabetic() {
            let both = [
                character.to_ascii_lowercase(),
                character.to_ascii_uppercase(),
            ];
            return Hir::class(Class::Unicode(class(both.map(|it| (it, it)))));
        }
        Hir::literal(character.to_string().into_bytes())
    }

    fn dot(self) -> ClassUnicode {
        let mut left_out = ClassUnicode::empty();
        if !self.dot_takes_line_feed {
            left_out.push(ClassUnicodeRange::new('\n', '\n'));
            if self.crlf {
                left_out.push(ClassUnicodeRange::new('\r', '\r'));
            }
        }
        left_out.negate();
        left_out
    }

    fn assertion(self, kind: &AssertionKind) -> Look {
        match kind {
            AssertionKind::StartLine if self.lines && self.crlf => Look::StartCRLF,
            AssertionKind::StartLine if self.lines => Look::StartLF,
            AssertionKind::StartLine | AssertionKind::StartText => Look::Start,
            AssertionKind::EndLine if self.lines && self.crlf => Look::EndCRLF,
            AssertionKind::EndLine if self.lines => Look::EndLF,
            AssertionKind::EndLine | AssertionKind::EndText => Look::End,
            AssertionKind::WordBoundary => Look::WordAscii,
            AssertionKind::NotWordBoundary => Look::WordAsciiNegate,
            AssertionKind::WordBoundaryStart | AssertionKind::WordBoundaryStartAngle => {
                Look::WordStartAscii
            }
            AssertionKind::WordBoundaryEnd | AssertionKind::WordBoundaryEndAngle => {
                Look::WordEndAscii
            }
            AssertionKind::WordBoundaryStartHalf => Look::WordStartHalfAscii,
            AssertionKind::WordBoundaryEndHalf => Look::WordEndHalfAscii,
        }
    }

    fn bracketed(self, bracketed: &ClassBracketed) -> Result<ClassUnicode, &'static str> {
        let mut class = self.set_of(&bracketed.kind)?;
        if bracketed.negated {
            class.negate();
        }
        Ok(class)
    }

    fn set_of(self, set: &ClassSet) -> Result<ClassUnicode, &'static str> {
        let operation = match set {
            ClassSet::Item(item) => return self.item(item),
            ClassSet::BinaryOp(operation) => operation,
        };
        let mut left = self.set_of(&operation.lhs)?;
        let right = self.set_of(&operation.rhs)?;
        match operation.kind {
            ClassSetBinaryOpKind::Intersection => left.intersect(&right),
            ClassSetBinaryOpKind::Difference => left.difference(&right),
            ClassSetBinaryOpKind::SymmetricDifference => left.symmetric_difference(&right),
        }
        Ok(left)
    }

    fn item(self, item: &ClassSetItem) -> Result<ClassUnicode, &'static str> {
        Ok(match item {
            ClassSetItem::Empty(_) => ClassUnicode::empty(),
            ClassSetItem::Literal(literal) => self.folded(class([(literal.c, literal.c)])),
            ClassSetItem::Range(range) => self.folded(class([(range.start.c, range.end.c)])),
            ClassSetItem::Ascii(named) => {
                let mut class = self.folded(class(ascii(&named.kind).iter().copied()));
                if named.negated {
                    class.negate();
                }
                class
            }
            ClassSetItem::Unicode(_) => return Err(NO_UNICODE),
            ClassSetItem::Perl(class) => perl(class),
            ClassSetItem::Bracketed(bracketed) => self.bracketed(bracketed)?,
            ClassSetItem::Union(union) => {
                let mut all = ClassUnicode::empty();
                for item in &union.items {
                    all.union(&self.item(item)?);
                }
                all
            }
        })
    }

    /// With the other case of each ASCII letter, if case does not count.
    fn folded(self, mut folded: ClassUnicode) -> ClassUnicode {
        if self.any_case {
            for (from, to, fold) in [
                ('a', 'z', char::to_ascii_uppercase as fn(&char) -> char),
                ('A', 'Z', char::to_ascii_lowercase),
            ] {
                let mut letters = class([(from, to)]);
                letters.intersect(&folded);
                let other = letters
                    .iter()
                    .map(|it| (fold(&it.start()), fold(&it.end())));
                folded.union(&class(other));
            }
        }
        folded
    }
}

fn class(ranges: impl IntoIterator<Item = (char, char)>) -> ClassUnicode {
    let ranges = ranges.into_iter();
    ClassUnicode::new(ranges.map(|(first, last)| ClassUnicodeRange::new(first, last)))
}

fn perl(written: &ClassPerl) -> ClassUnicode {
    let kind = match written.kind {
        ClassPerlKind::Digit => ClassAsciiKind::Digit,
        ClassPerlKind::Space => ClassAsciiKind::Space,
        ClassPerlKind::Word => ClassAsciiKind::Word,
    };
    let mut class = class(ascii(&kind).iter().copied());
    if written.negated {
        class.negate();
    }
    class
}

fn ascii(kind: &ClassAsciiKind) -> &'static [(char, char)] {
    match kind {
        ClassAsciiKind::Alnum => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        ClassAsciiKind::Alpha => &[('A', 'Z'), ('a', 'z')],
        ClassAsciiKind::Ascii => &[('\0', '\x7f')],
        ClassAsciiKind::Blank => &[('\t', '\t'), (' ', ' ')],
        ClassAsciiKind::Cntrl => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        ClassAsciiKind::Digit => &[('0', '9')],
        ClassAsciiKind::Graph => &[('!', '~')],
        ClassAsciiKind::Lower => &[('a', 'z')],
        ClassAsciiKind::Print => &[(' ', '~')],
        ClassAsciiKind::Punct => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        ClassAsciiKind::Space => &[('\t', '\r'), (' ', ' ')],
        ClassAsciiKind::Upper => &[('A', 'Z')],
        ClassAsciiKind::Word => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        ClassAsciiKind::Xdigit => &[('0', '9'), ('A', 'F'), ('a', 'f')],
    }
}

/// The least repeats and, if there is one, the most.
pub(super) fn bounds(kind: &RepetitionKind) -> (u32, Option<u32>) {
    match kind {
        RepetitionKind::ZeroOrOne => (0, Some(1)),
        RepetitionKind::ZeroOrMore => (0, None),
        RepetitionKind::OneOrMore => (1, None),
        RepetitionKind::Range(RepetitionRange::Exactly(count)) => (*count, Some(*count)),
        RepetitionKind::Range(RepetitionRange::AtLeast(least)) => (*least, None),
        RepetitionKind::Range(RepetitionRange::Bounded(least, most)) => (*least, Some(*most)),
    }
}
