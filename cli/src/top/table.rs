//! Rows of cells in columns that fit the width: in a narrow terminal, names are cut and the
//! least important columns are left out.

use btp_policy::presentable;
use ratatui_core::text::Span;

use super::figures::{bytes, count};
use super::stats::{Capability, Owner, Part};
use super::view::{Count, Figure, Row};

/// Between two columns.
const GAP: usize = 2;

/// What a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Policy,
    Capability,
    Part,
    Figure(Figure),
    /// The gauge of a budget.
    Balance,
    /// What is so at the moment.
    Now,
    /// The counters without a column.
    Also,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    kind: Kind,
    /// How narrow it may become, if it may be cut.
    least: usize,
    /// Those with the lowest number go first.
    worth: u8,
}

const fn column(title: &'static str, kind: Kind, least: usize, worth: u8) -> Column {
    Column {
        title,
        kind,
        least,
        worth,
    }
}

pub(super) const RULES: &[Column] = &[
    column("POLICY", Kind::Policy, 12, 9),
    column("CAPABILITY", Kind::Capability, 0, 4),
    column("RULE", Kind::Part, 8, 7),
    column("PASSED", Kind::Figure(Figure::Passed), 0, 6),
    column("REFUSED", Kind::Figure(Figure::Refused), 0, 8),
    column("SHADOW", Kind::Figure(Figure::Shadow), 0, 2),
    column("DELAYED", Kind::Figure(Figure::Delayed), 0, 5),
    column("REPLACED", Kind::Figure(Figure::Replaced), 0, 3),
    column("NOW", Kind::Now, 11, 1),
    column("ALSO", Kind::Also, 12, 0),
];

pub(super) const BUDGETS: &[Column] = &[
    column("POLICY", Kind::Policy, 12, 9),
    column("RETRY BUDGET", Kind::Part, 12, 7),
    column("REQUESTS", Kind::Figure(Figure::Requests), 0, 4),
    column("RETRIES", Kind::Figure(Figure::Retries), 0, 6),
    column("REFUSED", Kind::Figure(Figure::Refused), 0, 8),
    column("BALANCE", Kind::Balance, 0, 5),
    column("ALSO", Kind::Also, 12, 0),
];

/// Columns with their widths; 0 is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    columns: Vec<(usize, usize)>,
}

impl Column {
    /// The title; rates are told from totals.
    pub(super) fn title(&self, shows_totals: bool) -> String {
        match self.kind {
            Kind::Figure(_) if !shows_totals => format!("{}/s", self.title),
            _ => self.title.to_owned(),
        }
    }

    /// Whether it is called so, in whatever letters.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.title.eq_ignore_ascii_case(name)
    }

    fn is_number(&self) -> bool {
        matches!(self.kind, Kind::Figure(_) | Kind::Balance)
    }

    fn is_flexible(&self) -> bool {
        matches!(
            self.kind,
            Kind::Policy | Kind::Part | Kind::Now | Kind::Also
        )
    }
}

/// What a row has in each column, as it may be shown.
pub(super) fn cells(columns: &[Column], row: &Row, shows_totals: bool) -> Vec<String> {
    let cells = columns.iter().map(|it| cell(it.kind, row, shows_totals));
    cells.collect()
}

fn cell(kind: Kind, row: &Row, shows_totals: bool) -> String {
    let Owner {
        namespace,
        policy,
        capability,
        part,
    } = &row.owner;
    let shown = |text: &str| presentable(text).into_owned();
    match kind {
        Kind::Policy => shown(&format!("{namespace}/{policy}")),
        Kind::Capability => shown(capability.name()),
        Kind::Part => match part {
            Part::Whole if *capability == Capability::ResponseOverride => "(all)".to_owned(),
            Part::Whole => String::new(),
            Part::Rule(name) => shown(name),
            Part::Route(name) => shown(&format!("route {name}")),
            Part::Cluster(name) => shown(&format!("cluster {name}")),
        },
        Kind::Figure(figure) => row
            .sum(figure)
            .map_or_else(String::new, |it| count(it, shows_totals)),
        Kind::Balance => {
            let balance = row.gauges.get("retry_budget_balance");
            balance.map_or_else(String::new, i64::to_string)
        }
        // They come and go: zero is nothing to look at.
        Kind::Now => list(
            row.gauges
                .iter()
                .filter(|it| *it.1 != 0)
                .map(
                    |(what, value)| match (what.as_str(), u64::try_from(*value)) {
                        ("request_buffer_bytes", Ok(held)) => format!("{} held", bytes(held)),
                        ("in_flight", _) => format!("{value} in flight"),
                        ("fault_active", _) => format!("{value} waiting"),
                        (other, _) => format!("{} {value}", shown(other)),
                    },
                ),
        ),
        Kind::Also => {
            let is_worth_it = |it: &Count| match shows_totals {
                true => it.total > 0,
                false => it.per_second.is_some_and(|it| it > 0.0),
            };
            let others = row.others().filter(|(_, it)| is_worth_it(it));
            list(others.map(|(what, it)| {
                let unit = if shows_totals { "" } else { "/s" };
                format!("{} {}{unit}", shown(what), count(it, shows_totals))
            }))
        }
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// How wide columns want to be for such rows: as their titles and cells, and 0 if they have
/// nothing to show.
pub(super) fn widths<'a>(
    columns: &[Column],
    rows: impl Iterator<Item = &'a Row>,
    shows_totals: bool,
) -> Vec<usize> {
    let mut widths: Vec<usize> = columns.iter().map(|_| 0).collect();
    for row in rows {
        for (widest, text) in widths.iter_mut().zip(cells(columns, row, shows_totals)) {
            *widest = (*widest).max(width(&text));
        }
    }
    for (widest, column) in widths.iter_mut().zip(columns) {
        if *widest > 0 {
            *widest = (*widest).max(width(&column.title(shows_totals)));
        }
    }
    widths
}

impl Layout {
    /// The layout of columns with these preferred widths in this much room.
    pub(super) fn of(columns: &[Column], widths: &[usize], room: usize) -> Self {
        let mut widths = widths.to_vec();
        while !squeeze(columns, &mut widths, room) {
            let mut there: Vec<_> = widths.iter_mut().zip(columns).collect();
            there.retain(|(width, _)| **width > 0);
            there.sort_by_key(|(_, column)| column.worth);
            match &mut there[..] {
                [] => break,
                // The last one is cut.
                [(width, _)] => {
                    **width = room;
                    break;
                }
                [(width, _), ..] => **width = 0,
            }
        }
        let widths = widths.into_iter().enumerate();
        Self {
            columns: widths.filter(|(_, it)| *it > 0).collect(),
        }
    }

    /// The columns that are there: where each begins, how wide it is, and its place.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        self.columns.iter().scan(0, |begin, (place, width)| {
            let here = *begin;
            *begin += width + GAP;
            Some((here, *width, *place))
        })
    }
}

/// Makes names as narrow as need be; whether there is room then.
fn squeeze(columns: &[Column], wanted: &mut [usize], room: usize) -> bool {
    let there = wanted.iter().filter(|it| **it > 0).count();
    let gaps = there.saturating_sub(1) * GAP;
    let sum: usize = wanted.iter().sum();
    let Some(mut excess) = (sum + gaps).checked_sub(room).filter(|it| *it > 0) else {
        return true;
    };
    let spare = |column: &Column, width: usize| match column.is_flexible() {
        true => width.saturating_sub(column.least),
        false => 0,
    };
    let all: usize = columns
        .iter()
        .zip(&*wanted)
        .map(|(it, width)| spare(it, *width))
        .sum();
    if all < excess {
        return false;
    }
    while excess > 0 {
        // From the one that has most to give.
        let most = columns.iter().zip(wanted.iter_mut());
        let Some((_, width)) = most.max_by_key(|(it, width)| spare(it, **width)) else {
            return false;
        };
        *width -= 1;
        excess -= 1;
    }
    true
}

/// A cell as wide as its column.
pub(super) fn padded(column: &Column, text: &str, room: usize) -> String {
    let text = cut(text, room);
    let blanks = " ".repeat(room.saturating_sub(width(&text)));
    match column.is_number() {
        true => format!("{blanks}{text}"),
        false => format!("{text}{blanks}"),
    }
}

/// As much of a text as has room, with a mark if something is missing.
pub(super) fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += width(character.encode_utf8(&mut [0; 4]));
        if used > room {
            break;
        }
        out.push(character);
    }
    if room > 0 {
        out.push('…');
    }
    out
}

/// How many places a text takes on a terminal.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_the_places_that_they_take() {
        for (text, room, wanted) in [
            ("orders", 6, "orders"),
            ("orders", 5, "orde…"),
            ("orders", 1, "…"),
            ("orders", 0, ""),
            // Each takes two places.
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
        ] {
            assert_eq!(cut(text, room), wanted, "{text} {room}");
        }
    }

    #[test]
    fn where_there_is_little_room_the_least_worth_goes_first() {
        let wanted = [17, 16, 10, 8, 9, 8, 9, 10, 11, 30];
        let titles = |room| {
            let layout = Layout::of(RULES, &wanted, room);
            let places = layout.places().map(|(_, _, place)| RULES[place].title);
            places.collect::<Vec<_>>().join(" ")
        };
        let all = "POLICY CAPABILITY RULE PASSED REFUSED SHADOW DELAYED REPLACED NOW ALSO";
        assert_eq!(titles(200), all);
        assert_eq!(titles(120), all.strip_suffix(" ALSO").unwrap());
        assert_eq!(titles(80), "POLICY CAPABILITY RULE PASSED REFUSED DELAYED");
        assert_eq!(titles(40), "POLICY RULE REFUSED");
        assert_eq!(titles(10), "POLICY");
        for room in 0..200 {
            let layout = Layout::of(RULES, &wanted, room);
            let end = layout
                .places()
                .last()
                .map_or(0, |(begin, width, _)| begin + width);
            assert!(end <= room, "{end} of {room}");
        }
    }
}
