//! A view as text: what stands above the tables, and `--once`.

use btp_policy::presentable;

use super::figures::{bytes, rate_of, time};
use super::health::Verdict;
use super::model::{Model, Pane};
use super::table::{self, Layout, padded};
use super::view::View;
use crate::host_port::HostPort;

/// A line above the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) tone: Tone,
    pub(super) text: String,
}

/// How a line is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Fine,
    Remark,
    Alarm,
}

/// What is known of the Envoy and of the filter as a whole.
pub(super) fn head(address: &HostPort, view: &View) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut say = |tone, text| lines.push(Line { tone, text });
    let server = &view.server;
    let workers = match server.workers {
        Some(1) => ", 1 worker".to_owned(),
        Some(workers) => format!(", {workers} workers"),
        None => String::new(),
    };
    let (version, state) = (&server.version, server.state.to_lowercase());
    let envoy = format!(
        "Envoy {version} at {address}: {state}, up {}{workers}",
        time(server.uptime)
    );
    say(Tone::Plain, presentable(&envoy).into_owned());
    for (place, word) in view.health.words.iter().enumerate() {
        let tone = match (place, view.health.verdict) {
            (0, Verdict::InForce) => Tone::Fine,
            (0, Verdict::Off) => Tone::Alarm,
            _ => Tone::Remark,
        };
        say(tone, presentable(word).into_owned());
    }
    if view.has_restarted {
        let text = "Envoy has restarted: its counters have begun anew";
        say(Tone::Remark, text.to_owned());
    }
    if view.was_reset {
        let text = "counters were set to zero: rates are of what was counted since then";
        say(Tone::Remark, text.to_owned());
    }
    let process = &view.process;
    let mut about = Vec::new();
    if let (Some(rate), Some(span)) = (view.decisions().per_second, view.span) {
        about.push(format!(
            "{} decisions/s over {:.1} s",
            rate_of(rate),
            span.as_secs_f64()
        ));
    }
    if process.has_module {
        about.push("dynamic module".to_owned());
    }
    if process.has_wasm {
        about.push(match process.largest {
            0 => ".wasm".to_owned(),
            largest => format!(
                ".wasm, with {} in the largest machine and {} in all",
                bytes(largest),
                bytes(process.memory.max(largest))
            ),
        });
    }
    if !about.is_empty() {
        say(Tone::Plain, about.join("; "));
    }
    lines
}

/// All of it, as wide as it is.
pub(super) fn page(address: &HostPort, model: &Model) -> String {
    let Some(view) = model.view() else {
        return String::new();
    };
    let mut out = String::new();
    for line in head(address, view) {
        out.push_str(&line.text);
        out.push('\n');
    }
    for pane in [Pane::Rules, Pane::Budgets] {
        if model.len(pane) > 0 {
            out.push('\n');
            write_table(pane, model, &mut out);
        }
    }
    out
}

fn write_table(pane: Pane, model: &Model, out: &mut String) {
    let (columns, totals) = (pane.columns(), model.shows_totals);
    let layout = Layout::of(columns, model.widths(pane), usize::MAX);
    let titles = columns.iter().map(|it| it.title(totals)).collect();
    let rows = model.rows(pane).map(|it| table::cells(columns, it, totals));
    for cells in std::iter::once(titles).chain(rows) {
        let cells: Vec<String> = cells;
        let mut line = String::new();
        for (begin, width, place) in layout.places() {
            line.push_str(&" ".repeat(begin.saturating_sub(table::width(&line))));
            if let (Some(column), Some(text)) = (columns.get(place), cells.get(place)) {
                line.push_str(&padded(column, text, width));
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}
