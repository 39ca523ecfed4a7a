//! The rules: those of Harper for grammar and spelling, and ours in `rules/`.
//!
//! Pages must follow all of them. Messages are often no whole sentences, and comments speak
//! of code: they must follow ours.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use harper_core::linting::{Lint, LintGroup};
use harper_core::parsers::Markdown;
use harper_core::spell::{Dictionary as _, FstDictionary, MergedDictionary, MutableDictionary};
use harper_core::weir::WeirLinter;
use harper_core::{Dialect, DictWordMetadata, Document, TokenStringExt};

use crate::long::LongSentence;
use crate::text::{Kind, Place, Text};
use crate::who::Who;

const SPELLING: &str = "SpellCheck";

/// A sentence that breaks a rule.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) place: Place,
    pub(crate) rule: String,
    /// The words that break it.
    pub(crate) words: String,
    pub(crate) sentence: String,
    pub(crate) advice: String,
}

/// All rules, ready to be applied.
pub(crate) struct Rules {
    dictionary: Arc<MergedDictionary>,
    ours: LintGroup,
    harpers: LintGroup,
    /// Rules that do not hold for texts of a kind.
    off: Vec<(String, Kind)>,
}

impl Rules {
    /// Reads the folder of this crate.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let dictionary = Arc::new(dictionary(&list(&folder.join("words.txt"))?));
        let mut harpers = LintGroup::new_curated(dictionary.clone(), Dialect::British);
        let mut ours = ours(&folder.join("rules"))?;
        let mut off = Vec::new();
        for (rule, note) in list(&folder.join("off.txt"))? {
            let kinds: Vec<_> = note.split(' ').map_while(kind).collect();
            if !harpers.contains_key(&rule) && !ours.contains_key(&rule) {
                bail!("off.txt: there is no rule {rule}");
            }
            if kinds.is_empty() {
                harpers.config.set_rule_enabled(&rule, false);
                ours.config.set_rule_enabled(&rule, false);
            }
            off.extend(kinds.into_iter().map(|kind| (rule.clone(), kind)));
        }
        Ok(Self {
            dictionary,
            ours,
            harpers,
            off,
        })
    }

    /// What is to be said of a text, in its order.
    pub(crate) fn check(&mut self, text: &Text) -> Vec<Finding> {
        let document = Document::new(text.content(), &Markdown::default(), &self.dictionary);
        let mut lints = self.ours.organized_lints(&document);
        if text.kind == Kind::Page {
            lints.append(&mut self.harpers.organized_lints(&document));
        }
        lints.retain(|rule, _| !self.off.iter().any(|off| off == &(rule.clone(), text.kind)));
        let mut findings: Vec<_> = lints
            .into_iter()
            .flat_map(|(rule, lints)| lints.into_iter().map(move |lint| (rule.clone(), lint)))
            .map(|(rule, lint)| finding(text, &document, rule, &lint))
            .filter(|it| it.rule != SPELLING || !self.is_known(&it.words))
            .collect();
        findings.sort_by(|one, other| (one.place, &one.rule).cmp(&(other.place, &other.rule)));
        findings
    }

    /// Whether a word that the dictionary does not have is right all the same: a name as
    /// programs write them, a unit, or something of what it has.
    fn is_known(&self, word: &str) -> bool {
        let stem = word.strip_suffix("'s");
        let plain = stem.unwrap_or(word);
        let has_capital_inside = plain.chars().skip(1).any(char::is_uppercase);
        let has_others = plain.chars().any(|it| !it.is_alphabetic());
        plain.chars().count() <= 2
            || has_capital_inside
            || has_others
            || stem.is_some_and(|stem| self.dictionary.contains_word_str(stem))
    }
}

fn finding(text: &Text, document: &Document, rule: String, lint: &Lint) -> Finding {
    let sentence = document
        .iter_sentences()
        .filter_map(|sentence| sentence.span())
        .find(|span| (span.start..span.end).contains(&lint.span.start))
        .unwrap_or(lint.span);
    let mut advice = lint.message.clone();
    let suggestions: Vec<_> = lint.suggestions.iter().map(ToString::to_string).collect();
    if !suggestions.is_empty() {
        advice.push_str(&format!(" ({})", suggestions.join("; ")));
    }
    Finding {
        place: text.place(lint.span.start),
        rule,
        words: on_one_line(&document.get_span_content_str(&lint.span)),
        sentence: on_one_line(&document.get_span_content_str(&sentence)),
        advice,
    }
}

fn kind(name: &str) -> Option<Kind> {
    Some(match name {
        "page" => Kind::Page,
        "message" => Kind::Message,
        "comment" => Kind::Comment,
        _ => return None,
    })
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn dictionary(words: &BTreeMap<String, String>) -> MergedDictionary {
    let mut ours = MutableDictionary::new();
    let word = |word| (word, DictWordMetadata::default());
    ours.extend_words(words.keys().map(|it| word(it.chars().collect::<Vec<_>>())));
    let mut dictionary = MergedDictionary::new();
    dictionary.add_dictionary(FstDictionary::curated());
    dictionary.add_dictionary(Arc::new(ours));
    dictionary
}

/// Each file has one rule and sentences to test it, in Harper's language for rules.
fn ours(folder: &Path) -> Result<LintGroup> {
    let mut group = LintGroup::empty();
    group.add("LongSentence", LongSentence);
    group.add("Who", Who);
    for (name, code) in sources(folder)? {
        let rule = WeirLinter::new(&code).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        group.add(name, rule);
    }
    group.set_all_rules_to(Some(true));
    Ok(group)
}

/// The names of our rules and their files' content.
pub(crate) fn sources(folder: &Path) -> Result<BTreeMap<String, String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))?;
    let mut sources = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        sources.insert(name.into_owned(), fs::read_to_string(&path)?);
    }
    Ok(sources)
}

/// Lines of a word and, behind it, what is to be known of it; `#` begins a comment.
fn list(file: &Path) -> Result<BTreeMap<String, String>> {
    let content = fs::read_to_string(file).with_context(|| format!("no {}", file.display()))?;
    let lines = content.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let entries = lines.map(|line| line.split_once(' ').unwrap_or((line, "")));
    Ok(entries
        .map(|(word, note)| (word.to_owned(), note.trim().to_owned()))
        .collect())
}
