//! What CPU per request comes to: tables for people who have to decide, tables with all
//! of it, and plots.

use anyhow::{Context, Result};
use btp_tests::measure::quartiles;
use btp_tests::plot::{self, Bar, Bars, Group, palette};

use crate::cpu::Series;
use crate::machine::Generator;
use crate::output::Output;
use crate::traffic::Traffic;
use crate::variants::{CONTROL, CONTROL_AGAIN, Kind, NOTHING};

/// Lower quartile, median and upper quartile.
pub(crate) type Quartiles = (f64, f64, f64);

/// The columns of the table with everything.
const COLUMNS: [(Traffic, Generator); 4] = [
    (Traffic::Direct, Generator::SameCore),
    (Traffic::Proxied, Generator::SameCore),
    (Traffic::Direct, Generator::OtherCore),
    (Traffic::Proxied, Generator::OtherCore),
];
pub(crate) const QUIET: [Traffic; 2] = [Traffic::Direct, Traffic::Proxied];

/// Writes all of it; `run` says when and on what was measured.
pub(crate) fn publish(series: &[Series], run: &str, output: &Output) -> Result<()> {
    output.table("costs", &costs(series)?)?;
    output.table("cpu", &everything(series)?)?;
    output.table("firing", &firing(series)?)?;
    output.table("run", &format!("{run} {}\n", noise(series)?))?;
    for traffic in QUIET {
        let file = format!("cpu-{}.svg", traffic.name());
        output.file(&file, &plot(series, traffic)?)?;
    }
    Ok(())
}

/// A row for each kind of work, a column for whoever does it: what it adds, and that as a
/// ratio to what a filter of this kind adds that does nothing.
fn costs(series: &[Series]) -> Result<String> {
    let mut text = "|".to_owned();
    for kind in Kind::FILTERS {
        for traffic in QUIET {
            text.push_str(&format!(" | {}, {}", kind.name(), traffic.name()));
        }
    }
    text.push_str(&format!(" |\n|---|{}\n", "---|".repeat(6)));
    for what in kinds_of_work(measured(series), Traffic::Proxied) {
        text.push_str(&format!("| {what}"));
        for kind in Kind::FILTERS {
            for traffic in QUIET {
                let of = |what| find(series, what, kind, (traffic, Generator::SameCore));
                let Some(own) = of(what) else {
                    text.push_str(" | –");
                    continue;
                };
                let (_, added, _) = added(series, own)?;
                text.push_str(&format!(" | {added:+.1} µs"));
                if let Some(floor) = of(NOTHING) {
                    let (_, floor, _) = self::added(series, floor)?;
                    text.push_str(&format!(" ({:.1})", added / floor));
                }
            }
        }
        text.push_str(" |\n");
    }
    Ok(text)
}

/// A row for each variant, with quartiles.
fn everything(series: &[Series]) -> Result<String> {
    let heading = |(traffic, generator): (Traffic, Generator)| {
        format!("{}, {}", traffic.name(), generator.name())
    };
    let headings = COLUMNS.map(heading).join(" | ");
    let mut text = format!("| | {headings} |\n|---|{}\n", "---|".repeat(COLUMNS.len()));
    let mut rows: Vec<&Series> = series.iter().filter(|it| is_at(it, COLUMNS[0])).collect();
    rows.sort_by_key(|it| it.kind != Kind::Control);
    for row in rows {
        text.push_str(&format!("| {}", row.name));
        for column in COLUMNS {
            let own = find(series, row.what, row.kind, column).context("no such series")?;
            text.push_str(&format!(" | {}", cell(series, own)?));
        }
        text.push_str(" |\n");
    }
    Ok(text)
}

/// What an answer of a filter costs against the backend's.
fn firing(series: &[Series]) -> Result<String> {
    let kinds = [Kind::Envoy, Kind::Wasm, Kind::Module];
    let mut text = "| | no filter".to_owned();
    for kind in kinds {
        text.push_str(&format!(" | {}", kind.name()));
    }
    text.push_str(&format!(" |\n|---|{}\n", "---|".repeat(1 + kinds.len())));
    for traffic in [Traffic::Refused, Traffic::Upload, Traffic::Absent] {
        for what in kinds_of_work(measured(series), traffic) {
            let place = (traffic, Generator::SameCore);
            let control = find(series, CONTROL, Kind::Control, place).context("no control")?;
            text.push_str(&format!("| {what} | {}", cell(series, control)?));
            for kind in kinds {
                let own = find(series, what, kind, place).context("no such series")?;
                text.push_str(&format!(" | {}", cell(series, own)?));
            }
            text.push_str(" |\n");
        }
    }
    Ok(text)
}

/// What the control differs by from itself.
fn noise(series: &[Series]) -> Result<String> {
    let mut parts = Vec::new();
    for place in COLUMNS {
        let again = find(series, CONTROL_AGAIN, Kind::Control, place).context("no control")?;
        let (low, middle, high) = added(series, again)?;
        let (traffic, generator) = (place.0.name(), place.1.name());
        parts.push(format!(
            "{middle:+.1} µs [{low:+.1}, {high:+.1}] ({traffic}, {generator})"
        ));
    }
    Ok(format!(
        "Noise, as a second listener without a filter differs from the first: {}.",
        parts.join(", ")
    ))
}

fn plot(series: &[Series], traffic: Traffic) -> Result<String> {
    let place = (traffic, Generator::SameCore);
    let mut groups = Vec::new();
    for what in kinds_of_work(measured(series), traffic) {
        let mut bars = Vec::new();
        for kind in Kind::FILTERS {
            let own = find(series, what, kind, place);
            bars.push(own.map(|own| bar(series, own)).transpose()?);
        }
        // One bar alone compares nothing.
        if bars.iter().flatten().count() > 1 {
            let name = what.replace('`', "");
            groups.push(Group { name, bars });
        }
    }
    let control = find(series, CONTROL, Kind::Control, place).context("no control")?;
    let (_, absolute, _) = quartiles(control.micros.clone());
    let names = [".wasm", "dynamic module", "Envoy's own filters"];
    let colors = [palette::BLUE, palette::ORANGE, palette::GREY];
    let legend = names.into_iter().zip(colors);
    Bars {
        title: format!("CPU that each policy adds to a {} request", traffic.name()),
        subtitle: format!(
            "Nothing fires. Without any filter Envoy takes {absolute:.1} µs. \
             Medians, lines from quartile to quartile."
        ),
        axis: "added CPU of Envoy per request, µs".to_owned(),
        decimals: 1,
        series: legend
            .map(|(name, color)| plot::Series { name, color })
            .collect(),
        groups,
        mark: None,
    }
    .draw()
}

fn bar(series: &[Series], own: &Series) -> Result<Bar> {
    let (low, value, high) = added(series, own)?;
    Ok(Bar {
        value,
        range: Some((low, high)),
    })
}

/// `+4.2 µs [+3.9, +4.4]`; of the control itself what it takes.
fn cell(series: &[Series], own: &Series) -> Result<String> {
    if own.what == CONTROL {
        let (_, absolute, _) = quartiles(own.micros.clone());
        return Ok(format!("{absolute:.1} µs"));
    }
    let (low, middle, high) = added(series, own)?;
    Ok(format!("{middle:+.1} µs [{low:+.1}, {high:+.1}]"))
}

/// What it takes more than the control of the same round.
pub(crate) fn added(series: &[Series], own: &Series) -> Result<Quartiles> {
    let place = (own.traffic, own.generator);
    let control = find(series, CONTROL, Kind::Control, place).context("no control")?;
    Ok(more(own, control))
}

/// What one takes more than another of the same round.
pub(crate) fn more(one: &Series, other: &Series) -> Quartiles {
    let pairs = one.micros.iter().zip(&other.micros);
    quartiles(pairs.map(|(one, other)| one - other).collect())
}

pub(crate) fn find<'a>(
    series: &'a [Series],
    what: &str,
    kind: Kind,
    place: (Traffic, Generator),
) -> Option<&'a Series> {
    let mut series = series.iter().filter(|it| is_at(it, place));
    series.find(|it| it.what == what && it.kind == kind)
}

fn is_at(series: &Series, (traffic, generator): (Traffic, Generator)) -> bool {
    series.traffic == traffic && series.generator == generator
}

fn measured(series: &[Series]) -> impl Iterator<Item = (Kind, &'static str, Traffic)> {
    series.iter().map(|it| (it.kind, it.what, it.traffic))
}

/// The kinds of work with this traffic, each once and in the order of the variants.
pub(crate) fn kinds_of_work(
    all: impl Iterator<Item = (Kind, &'static str, Traffic)>,
    traffic: Traffic,
) -> Vec<&'static str> {
    let mut found = Vec::new();
    for (kind, what, own) in all {
        if own == traffic && kind != Kind::Control && !found.contains(&what) {
            found.push(what);
        }
    }
    found
}
