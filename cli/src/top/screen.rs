//! What a terminal shows of the model: the head, the tables, and a line of keys. Only the rows
//! that have room are drawn.

#[cfg(test)]
mod tests;

use std::time::Instant;

use btp_policy::presentable;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier, Style};

use super::figures::time;
use super::model::{Mode, Model, Pane};
use super::table::{self, Layout, cut, padded};
use super::text::{Line, Tone, head};
use crate::host_port::HostPort;

const KEYS: &str = "q quit  s sort  r reverse  / filter  t totals  p pause  Tab table  ? help";

const HELP: &[&str] = &[
    "btp top shows what the filter decides in a running Envoy.",
    "",
    "  q, Ctrl-C      quit",
    "  s, S           sort by the next, the previous column",
    "  r              reverse the order",
    "  / text Enter   show rows whose names contain the text; Esc shows all again",
    "  t              totals since Envoy's start, or rates",
    "  p, Space       pause",
    "  Tab            scroll the other table",
    "  arrows, PgUp, PgDn, Home, End",
    "",
    "  PASSED    requests that a limit let pass",
    "  REFUSED   requests that the filter answered itself, injected aborts too; of a",
    "            budget: retries",
    "  SHADOW    requests that a limit in shadow mode would have refused",
    "  DELAYED   requests that had to wait",
    "  REPLACED  responses that were replaced",
    "",
    "Press any key to go back.",
];

/// How a screen looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Whether there may be colours.
    pub(super) has_colours: bool,
}

/// The lines of a table.
struct Part {
    pane: Pane,
    area: Rect,
}

/// Draws all of it.
pub(super) fn draw(
    buffer: &mut Buffer,
    model: &mut Model,
    address: &HostPort,
    look: Look,
    now: Instant,
) {
    let area = buffer.area;
    let Some(last) = area.height.checked_sub(1) else {
        return;
    };
    let foot = Rect {
        y: area.y + last,
        height: 1,
        ..area
    };
    draw_foot(buffer, model, look, foot);
    let mut room = Rect {
        height: last,
        ..area
    };
    let lines = lines_of(model, address, now);
    let lines = wrapped(&lines, usize::from(area.width));
    // At least half of the screen is the tables'.
    let head = u16::try_from(lines.len())
        .unwrap_or(u16::MAX)
        .min(last.div_ceil(2));
    for (row, line) in (room.y..room.y + head).zip(&lines) {
        put(buffer, room, row, &line.text, look.of(line.tone));
    }
    room.y += head;
    room.height -= head;
    if model.mode == Mode::Help {
        for (row, line) in (room.y..room.bottom()).zip(HELP) {
            put(buffer, room, row, line, Style::new());
        }
        return;
    }
    for part in parts_of(model, room) {
        draw_table(buffer, model, look, &part);
    }
}

fn lines_of(model: &Model, address: &HostPort, now: Instant) -> Vec<Line> {
    let mut lines = match model.view() {
        Some(view) => head(address, view),
        None => Vec::new(),
    };
    if let Some((why, since)) = &model.trouble {
        let ago = time(now.saturating_duration_since(*since));
        lines.insert(
            0,
            Line {
                tone: Tone::Alarm,
                text: format!("what is shown is {ago} old: {}", presentable(why)),
            },
        );
    }
    lines
}

/// The lines, with those that have no room in several: what is wrong is read to its end.
fn wrapped(lines: &[Line], width: usize) -> Vec<Line> {
    let mut out = Vec::new();
    for Line { tone, text } in lines {
        let mut rest = Line {
            tone: *tone,
            text: String::new(),
        };
        for word in text.split(' ') {
            let has_room = table::width(&rest.text) + 1 + table::width(word) <= width;
            if rest.text.is_empty() {
                rest.text.push_str(word);
            } else if has_room {
                rest.text.push(' ');
                rest.text.push_str(word);
            } else {
                let text = word.to_owned();
                out.push(std::mem::replace(&mut rest, Line { tone: *tone, text }));
            }
        }
        out.push(rest);
    }
    out
}

/// Where the tables go: that of the budgets is at the bottom, and has a third at most.
fn parts_of(model: &Model, room: Rect) -> Vec<Part> {
    let has_budgets = model.view().is_some_and(|it| !it.budgets.is_empty());
    let mut below = 0;
    if has_budgets {
        let wanted = u16::try_from(model.len(Pane::Budgets)).unwrap_or(u16::MAX);
        // A blank line, and the titles.
        below = wanted
            .saturating_add(2)
            .min((room.height / 3).max(3))
            .min(room.height);
    }
    let mut parts = vec![Part {
        pane: Pane::Rules,
        area: Rect {
            height: room.height - below,
            ..room
        },
    }];
    if has_budgets {
        parts.push(Part {
            pane: Pane::Budgets,
            area: Rect {
                y: room.y + room.height - below,
                height: below,
                ..room
            },
        });
    }
    parts
}

fn draw_table(buffer: &mut Buffer, model: &mut Model, look: Look, part: &Part) {
    let Part { pane, area } = *part;
    // A blank line, and the titles.
    model.fit(pane, usize::from(area.height.saturating_sub(2)));
    let Some(titles) = area.y.checked_add(1).filter(|it| *it < area.bottom()) else {
        return;
    };
    let (columns, totals) = (pane.columns(), model.shows_totals);
    let layout = Layout::of(columns, model.widths(pane), usize::from(area.width));
    let title = look.title(pane == model.focus);
    put(
        buffer,
        area,
        titles,
        &" ".repeat(usize::from(area.width)),
        title,
    );
    let place = |begin: usize| {
        let begin = u16::try_from(begin).unwrap_or(u16::MAX);
        area.x.saturating_add(begin)
    };
    for (begin, width, index) in layout.places() {
        let Some(column) = columns.get(index) else {
            continue;
        };
        let style = match column.is_called(model.sort.name()) {
            true => title.add_modifier(Modifier::UNDERLINED),
            false => title,
        };
        let text = padded(column, &column.title(totals), width);
        buffer.set_stringn(place(begin), titles, text, width, style);
    }
    for (row, line) in model.visible(pane).zip(titles + 1..area.bottom()) {
        let cells = table::cells(columns, row, totals);
        for (begin, width, index) in layout.places() {
            let (Some(column), Some(text)) = (columns.get(index), cells.get(index)) else {
                continue;
            };
            let style = match column.is_called("REFUSED") && !matches!(text.as_str(), "0" | "-") {
                true => look.of(Tone::Alarm),
                false => Style::new(),
            };
            buffer.set_stringn(
                place(begin),
                line,
                padded(column, text, width),
                width,
                style,
            );
        }
    }
    if model.len(pane) == 0 && titles + 1 < area.bottom() {
        let text = match model.filter.is_empty() {
            true => "nothing has been counted yet",
            false => "no name contains this text",
        };
        put(buffer, area, titles + 1, text, look.of(Tone::Remark));
    }
}

/// What is typed, or which keys there are.
fn draw_foot(buffer: &mut Buffer, model: &Model, look: Look, area: Rect) {
    let filter = presentable(&model.filter);
    let text = match model.mode {
        Mode::Filter => format!("filter: {filter}▏"),
        Mode::Help => "press any key to go back".to_owned(),
        Mode::Watch => {
            let mut text = String::new();
            if model.is_paused {
                text.push_str("PAUSED  ");
            }
            let order = if model.is_reversed {
                ", least first"
            } else {
                ""
            };
            text.push_str(&format!("by {}{order}", model.sort.name()));
            if !filter.is_empty() {
                text.push_str(&format!("  filter {filter}"));
            }
            let (above, all) = (model.above(model.focus), model.len(model.focus));
            if above > 0 {
                text.push_str(&format!("  from {} of {all}", above + 1));
            }
            format!("{text}  |  {KEYS}")
        }
    };
    let style = look.title(model.mode == Mode::Filter || model.is_paused);
    put(
        buffer,
        area,
        area.y,
        &" ".repeat(usize::from(area.width)),
        style,
    );
    put(buffer, area, area.y, &text, style);
}

/// A line, as much of it as has room.
fn put(buffer: &mut Buffer, area: Rect, row: u16, text: &str, style: Style) {
    let width = usize::from(area.width);
    buffer.set_stringn(area.x, row, cut(text, width), width, style);
}

impl Look {
    fn of(self, tone: Tone) -> Style {
        let colour = match tone {
            Tone::Plain => None,
            Tone::Fine => Some(Color::Green),
            Tone::Remark => Some(Color::Yellow),
            Tone::Alarm => Some(Color::Red),
        };
        match (colour, self.has_colours) {
            (Some(colour), true) => Style::new().fg(colour),
            (Some(_), false) if tone == Tone::Alarm => Style::new().add_modifier(Modifier::BOLD),
            _ => Style::new(),
        }
    }

    fn title(self, has_focus: bool) -> Style {
        let style = Style::new().add_modifier(Modifier::REVERSED);
        match has_focus {
            true => style.add_modifier(Modifier::BOLD),
            false => style,
        }
    }
}
