//! What the benchmarks have in common: CPU time of an Envoy, medians, and
//! tables that are written into pages.

use std::fs;

use anyhow::{Context, Result};

use crate::{Envoy, repo};

/// CPU time of an Envoy so far, in microseconds: what the scheduler has counted
/// in nanoseconds for each of its threads.
pub fn cpu_micros(envoy: &Envoy) -> Result<f64> {
    let mut nanos = 0.0;
    for thread in fs::read_dir(format!("/proc/{}/task", envoy.pid()))? {
        let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
        let run = schedstat.split_whitespace().next();
        nanos += run.context("an empty schedstat")?.parse::<f64>()?;
    }
    Ok(nanos / 1_000.0)
}

/// Resident memory of an Envoy, in KiB.
pub fn resident_kib(envoy: &Envoy) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", envoy.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .context("no VmRSS")
}

/// The order of `count` variants in a round: each other round it goes back
/// (ABBA), so that a machine that slows down slows all of them.
pub fn turns(count: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// The one in the middle, or between both in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    (values[middle] + values[(values.len() - 1) / 2]) / 2.0
}

/// The lower quartile, the median and the upper quartile; between two values the nearer
/// one.
pub fn quartiles(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let at = |share: f64| values.get((last as f64 * share).round() as usize).copied();
    let [low, high] = [0.25, 0.75].map(|share| at(share).unwrap_or_default());
    (low, median(values.clone()), high)
}

/// A number as people read it: `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The table of CPU per request against the first variant, the control, and the
/// rounds as CSV; each variant has as many as the control.
pub fn per_request(variants: &[(&str, &[f64])]) -> (String, String) {
    let control = variants.first().map_or(&[][..], |(_, rounds)| *rounds);
    let mut table = "| | CPU per request, ratio to the control | median of the differences |\n\
                     |---|---|---|\n"
        .to_owned();
    let mut raw = "variant,round,cpu_us_per_request\n".to_owned();
    for (name, rounds) in variants {
        let pairs = || rounds.iter().zip(control);
        let ratio = median(pairs().map(|(own, control)| own / control).collect());
        let added = median(pairs().map(|(own, control)| own - control).collect());
        table.push_str(&format!("| {name} | {ratio:.2} | {added:+.1} µs |\n"));
        // With a comma it would be two cells.
        let name = name.replace(',', "");
        for (round, value) in rounds.iter().enumerate() {
            raw.push_str(&format!("{name},{round},{value:.2}\n"));
        }
    }
    (table, raw)
}

/// Puts a table between `<!-- NAME -->` and `<!-- /NAME -->` of a page, given
/// relative to the repository's root.
pub fn write_table(page: &str, name: &str, table: &str) -> Result<()> {
    let file = repo::path(page);
    let text = fs::read_to_string(&file)?;
    fs::write(file, with_table(&text, name, table)?)?;
    Ok(())
}

/// The current table.
pub fn table_of(page: &str, name: &str) -> Result<String> {
    let text = fs::read_to_string(repo::path(page))?;
    let (begin, end) = marks(name);
    let (_, rest) = text.split_once(&begin).context("no place for the table")?;
    let (table, _) = rest.split_once(&end).context("no end of the table")?;
    Ok(table.to_owned())
}

fn marks(name: &str) -> (String, String) {
    (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"))
}

fn with_table(text: &str, name: &str, table: &str) -> Result<String> {
    let (begin, end) = marks(name);
    let (before, rest) = text.split_once(&begin).context("no place for the table")?;
    let (_, after) = rest.split_once(&end).context("no end of the table")?;
    Ok(format!("{before}{begin}{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::{median, per_request, quartiles, turns, with_table};

    #[test]
    fn rounds_are_compared_with_those_of_the_control() {
        let (table, raw) = per_request(&[("none", &[2.0, 4.0]), ("one, two", &[3.0, 8.0])]);
        assert!(table.ends_with("| none | 1.00 | +0.0 µs |\n| one, two | 1.75 | +2.5 µs |\n"));
        assert!(raw.ends_with("\none two,0,3.00\none two,1,8.00\n"), "{raw}");
    }

    #[test]
    fn a_table_takes_the_place_of_its_predecessor() {
        let page = "a\n<!-- t -->\nold\n<!-- /t -->\nb\n";
        let text = with_table(page, "t", "new\n").unwrap();
        assert_eq!(text, "a\n<!-- t -->\nnew\n<!-- /t -->\nb\n");
        assert!(with_table(page, "other", "").is_err());
    }

    #[test]
    fn rounds_go_there_and_back() {
        assert_eq!(turns(3, 0), [0, 1, 2]);
        assert_eq!(turns(3, 1), [2, 1, 0]);
    }

    #[test]
    fn quarters() {
        let (low, middle, high) = quartiles(vec![5.0, 1.0, 2.0, 4.0, 3.0]);
        assert_eq!([low, middle, high], [2.0, 3.0, 4.0]);
    }

    #[test]
    fn the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0]) - 2.5).abs() < f64::EPSILON);
    }
}
