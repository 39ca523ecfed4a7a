//! How much of what the .wasm costs are its hostcalls, which only Envoy could make
//! cheaper, and how much is the filter's own.

use anyhow::{Context, Result};

use crate::costs::{QUIET, added, find, more};
use crate::cpu::Series;
use crate::machine::Generator;
use crate::replays;
use crate::variants::{Kind, NOTHING};

/// A row for each kind of work that is replayed.
pub(crate) fn table(series: &[Series]) -> Result<String> {
    let mut text = "|".to_owned();
    for traffic in QUIET {
        let name = traffic.name();
        text.push_str(&format!(
            " | .wasm, {name} | its hostcalls alone, {name} | the filter's own, {name}"
        ));
    }
    text.push_str(&format!(" |\n|---|{}\n", "---|".repeat(3 * QUIET.len())));
    for what in replays::ROWS {
        text.push_str(&format!("| {what}"));
        for traffic in QUIET {
            let of = |what, kind| {
                find(series, what, kind, (traffic, Generator::SameCore)).context("no such series")
            };
            let (_, nothing, _) = added(series, of(NOTHING, Kind::Wasm)?)?;
            let [row, replay] = [of(what, Kind::Wasm)?, of(what, Kind::Replay)?];
            for it in [row, replay] {
                let (_, added, _) = added(series, it)?;
                text.push_str(&format!(" | {added:+.1} µs ({:.1})", added / nothing));
            }
            let (_, own, _) = more(row, replay);
            text.push_str(&format!(" | {own:+.1} µs"));
        }
        text.push_str(" |\n");
    }
    Ok(text)
}
