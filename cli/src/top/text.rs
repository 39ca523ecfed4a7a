//! A view as text: the lines above the tables, and `--once`.

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
        let text = "Envoy has restarted: its counters start at zero again";
        say(Tone::Remark, text.to_owned());
    }
    if view.was_reset {
        let text = "counters were reset: rates are for the time since then";
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
                ".wasm, with {} in the largest VM and {} in all",
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

#[cfg(test)]
mod tests {
    use btp_policy::is_hidden;
    use proptest::prelude::*;

    use super::*;
    use crate::top::sample;

    const PAGE: &str = "\
Envoy 1.40.0 at 127.0.0.1:9901: live, up 1h2m, 2 workers
policies are in force on all 2 workers
141 decisions/s over 1.0 s; .wasm, with 4.0 MiB in the largest VM and 7.0 MiB in all

POLICY             CAPABILITY        RULE        PASSED/s  REFUSED/s  SHADOW/s  DELAYED/s  REPLACED/s  NOW          ALSO
default/api-limit  rateLimit         per-client       120        3.0                  2.0              7 in flight  concurrency_limited 1.0/s
shop/slow          faultInjection                                                     9.0              2 waiting
default/api-limit  rateLimit         trial              0                  5.0
shop/pages         responseOverride  (all)                                                        4.0
shop/pages         responseOverride  0                                                            4.0

POLICY          RETRY BUDGET    REQUESTS/s  RETRIES/s  REFUSED/s  BALANCE
shop/orders.v1  route checkout         120        6.0        1.0        3
";

    fn printed(view: View, shows_totals: bool) -> String {
        let mut model = Model::new(shows_totals);
        model.show(view);
        page(&"127.0.0.1:9901".parse().expect("an address"), &model)
    }

    #[test]
    fn a_page_has_all_that_counts_and_no_empty_column() {
        let page = printed(sample::view(), false);
        assert!(page == PAGE, "{page}");
        let totals = printed(sample::view(), true);
        assert!(totals.contains("REFUSED  SHADOW"), "{totals}");
        assert!(totals.contains("1120       43"), "{totals}");
        assert!(totals.contains("concurrency_limited 1"), "{totals}");
    }

    /// What has become of an Envoy since the last look.
    #[test]
    fn a_restart_is_said() {
        let mut view = sample::view();
        view.has_restarted = true;
        assert!(printed(view, false).contains("Envoy has restarted"));
        let mut view = sample::view();
        view.was_reset = true;
        assert!(printed(view, false).contains("counters were reset"));
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_printed(route in "(\\PC|\\p{C}|\u{1b}\\[2J){0,12}") {
            let name = format!("wasmcustom.btp.n.p.btp_route.{route}.retry_budget_requests");
            let page = printed(sample::with(&[(&name, 1)]), false);
            prop_assert!(!page.chars().any(|it| is_hidden(it) && it != '\n'));
            let lines = page.lines().count();
            prop_assert_eq!(lines, printed(sample::view(), false).lines().count() + 1);
        }
    }
}
