//! The state of the view, and the effect of keys. It does not depend on a terminal.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::time::Instant;

use super::stats::{Owner, Part};
use super::table::{BUDGETS, Column, RULES, widths};
use super::view::{Count, Figure, Row, View};

/// What a person looks at.
#[derive(Debug, Default)]
pub(super) struct Model {
    view: Option<View>,
    /// Why Envoy does not answer any more, and since when.
    pub(super) trouble: Option<(String, Instant)>,
    pub(super) sort: Sort,
    pub(super) is_reversed: bool,
    pub(super) filter: String,
    pub(super) mode: Mode,
    pub(super) is_paused: bool,
    /// Whether counters are shown as they are, and not as rates.
    pub(super) shows_totals: bool,
    pub(super) focus: Pane,
    rules: List,
    budgets: List,
}

/// Rows of a view as they are shown.
#[derive(Debug, Default)]
struct List {
    /// Places in the view, of those that the filter leaves, in order.
    order: Vec<usize>,
    /// How many are above the first that is shown.
    offset: usize,
    /// How many have room.
    height: usize,
    /// How wide the columns want to be.
    widths: Vec<usize>,
}

/// One of the two tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pane {
    #[default]
    Rules,
    Budgets,
}

/// What keys are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Watch,
    /// The filter is typed.
    Filter,
    Help,
}

/// By what rows are in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Decisions,
    Passed,
    Refused,
    Shadow,
    Delayed,
    Replaced,
    Policy,
}

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Escape,
    Backspace,
    Tab,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Interrupt,
    Suspend,
}

/// What comes after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Go,
    Quit,
    Suspend,
}

impl Pane {
    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            Self::Rules => RULES,
            Self::Budgets => BUDGETS,
        }
    }
}

impl Sort {
    const ALL: [Self; 7] = [
        Self::Decisions,
        Self::Passed,
        Self::Refused,
        Self::Shadow,
        Self::Delayed,
        Self::Replaced,
        Self::Policy,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Decisions => "decisions",
            Self::Passed => "passed",
            Self::Refused => "refused",
            Self::Shadow => "shadow",
            Self::Delayed => "delayed",
            Self::Replaced => "replaced",
            Self::Policy => "policy",
        }
    }

    /// The one so many places on.
    fn turned(self, places: usize) -> Self {
        let place = Self::ALL.iter().position(|it| *it == self);
        let next = (place.unwrap_or_default() + places) % Self::ALL.len();
        Self::ALL.get(next).copied().unwrap_or_default()
    }

    /// What a row is sorted by; none: by its name alone.
    fn count(self, row: &Row) -> Option<Count> {
        let figure = match self {
            Self::Policy => return None,
            Self::Decisions => return Some(row.decisions()),
            Self::Passed => Figure::Passed,
            Self::Refused => Figure::Refused,
            Self::Shadow => Figure::Shadow,
            Self::Delayed => Figure::Delayed,
            Self::Replaced => Figure::Replaced,
        };
        Some(row.sum(figure).unwrap_or_default())
    }
}

impl Model {
    /// One without a view yet.
    pub(super) fn new(shows_totals: bool) -> Self {
        Self {
            shows_totals,
            ..Self::default()
        }
    }

    /// Takes what is new, unless that is to wait.
    pub(super) fn show(&mut self, view: View) {
        if !self.is_paused {
            self.view = Some(view);
            self.arrange();
        }
    }

    pub(super) fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// How many rows the filter leaves.
    pub(super) fn len(&self, pane: Pane) -> usize {
        self.list(pane).order.len()
    }

    /// All rows that the filter leaves, in order.
    pub(super) fn rows(&self, pane: Pane) -> impl Iterator<Item = &Row> {
        let rows = self.view().map_or(&[][..], |it| rows_of(it, pane));
        self.list(pane).order.iter().filter_map(|it| rows.get(*it))
    }

    /// Those that have room.
    pub(super) fn visible(&self, pane: Pane) -> impl Iterator<Item = &Row> {
        let List { offset, height, .. } = self.list(pane);
        self.rows(pane).skip(*offset).take(*height)
    }

    /// How wide the columns want to be.
    pub(super) fn widths(&self, pane: Pane) -> &[usize] {
        &self.list(pane).widths
    }

    /// How many are above those that have room.
    pub(super) fn above(&self, pane: Pane) -> usize {
        self.list(pane).offset
    }

    /// Says how many rows have room.
    pub(super) fn fit(&mut self, pane: Pane, height: usize) {
        let list = self.list_mut(pane);
        list.height = height;
        list.scroll_to(list.offset);
    }

    pub(super) fn press(&mut self, key: Key) -> Next {
        match (key, self.mode) {
            (Key::Interrupt, _) => return Next::Quit,
            (Key::Suspend, _) => return Next::Suspend,
            (_, Mode::Help) => self.mode = Mode::Watch,
            (_, Mode::Filter) => self.type_filter(key),
            (Key::Char('q'), _) => return Next::Quit,
            (Key::Char('h' | '?'), _) => self.mode = Mode::Help,
            (Key::Char('/'), _) => self.mode = Mode::Filter,
            (Key::Escape, _) => {
                self.filter.clear();
                self.arrange();
            }
            (Key::Char('s'), _) => self.sort_by(self.sort.turned(1)),
            (Key::Char('S'), _) => self.sort_by(self.sort.turned(Sort::ALL.len() - 1)),
            (Key::Char('r'), _) => {
                self.is_reversed = !self.is_reversed;
                self.arrange();
            }
            (Key::Char('t'), _) => {
                self.shows_totals = !self.shows_totals;
                self.arrange();
            }
            (Key::Char('p' | ' '), _) => self.is_paused = !self.is_paused,
            (Key::Tab, _) => {
                self.focus = match self.focus {
                    Pane::Rules => Pane::Budgets,
                    Pane::Budgets => Pane::Rules,
                };
            }
            _ => self.scroll(key),
        }
        Next::Go
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Enter => self.mode = Mode::Watch,
            Key::Escape => {
                self.filter.clear();
                self.mode = Mode::Watch;
            }
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Char(letter) => self.filter.push(letter),
            _ => return self.scroll(key),
        }
        self.arrange();
    }

    fn scroll(&mut self, key: Key) {
        let list = self.list_mut(self.focus);
        let page = list.height.max(1);
        let offset = match key {
            Key::Up | Key::Char('k') => list.offset.saturating_sub(1),
            Key::Down | Key::Char('j') => list.offset + 1,
            Key::PageUp => list.offset.saturating_sub(page),
            Key::PageDown => list.offset + page,
            Key::Home | Key::Char('g') => 0,
            Key::End | Key::Char('G') => list.order.len(),
            _ => return,
        };
        list.scroll_to(offset);
    }

    fn sort_by(&mut self, sort: Sort) {
        self.sort = sort;
        self.arrange();
    }

    /// Filters and sorts anew.
    fn arrange(&mut self) {
        let Some(view) = &self.view else {
            return;
        };
        let words: Vec<String> = self
            .filter
            .split_whitespace()
            .map(str::to_lowercase)
            .collect();
        for (pane, list) in [
            (Pane::Rules, &mut self.rules),
            (Pane::Budgets, &mut self.budgets),
        ] {
            let rows = rows_of(view, pane);
            let left = rows
                .iter()
                .enumerate()
                .filter(|(_, row)| meets(row, &words));
            let mut keyed: Vec<(usize, Option<Count>)> = left
                .map(|(place, row)| (place, self.sort.count(row)))
                .collect();
            // Rows come in the order of their names, and a sort keeps that of equals.
            keyed.sort_by(|(_, one), (_, other)| {
                let most_first = compare(*one, *other, self.shows_totals).reverse();
                match self.is_reversed {
                    true => most_first.reverse(),
                    false => most_first,
                }
            });
            list.order = keyed.into_iter().map(|(place, _)| place).collect();
            if self.is_reversed && self.sort == Sort::Policy {
                list.order.reverse();
            }
            let shown = list.order.iter().filter_map(|it| rows.get(*it));
            list.widths = widths(pane.columns(), shown, self.shows_totals);
            list.scroll_to(list.offset);
        }
    }

    fn list(&self, pane: Pane) -> &List {
        match pane {
            Pane::Rules => &self.rules,
            Pane::Budgets => &self.budgets,
        }
    }

    fn list_mut(&mut self, pane: Pane) -> &mut List {
        match pane {
            Pane::Rules => &mut self.rules,
            Pane::Budgets => &mut self.budgets,
        }
    }
}

impl List {
    /// Scrolls, but no farther than the last row.
    fn scroll_to(&mut self, offset: usize) {
        self.offset = offset.min(self.order.len().saturating_sub(self.height));
    }
}

fn rows_of(view: &View, pane: Pane) -> &[Row] {
    match pane {
        Pane::Rules => &view.rules,
        Pane::Budgets => &view.budgets,
    }
}

/// By what is shown first; equals by the other.
fn compare(one: Option<Count>, other: Option<Count>, by_total: bool) -> Ordering {
    let (Some(one), Some(other)) = (one, other) else {
        return Ordering::Equal;
    };
    let rate = |it: Count| it.per_second.unwrap_or_default();
    let rates = rate(one).total_cmp(&rate(other));
    let totals = one.total.cmp(&other.total);
    match by_total {
        true => totals.then(rates),
        false => rates.then(totals),
    }
}

/// Whether each of the words is part of a row's names.
fn meets(row: &Row, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let Owner {
        namespace,
        policy,
        capability,
        part,
    } = &row.owner;
    let part = match part {
        Part::Whole => "",
        Part::Rule(name) | Part::Route(name) | Part::Cluster(name) => name,
    };
    let names = format!("{namespace}/{policy} {} {part}", capability.name()).to_lowercase();
    words.iter().all(|it| names.contains(it))
}
