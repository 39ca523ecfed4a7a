//! docs/RELIABILITY.md, made of a campaign's raw log and of what fuzzers wrote.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::attack;
use super::fuzzing;
use super::guarantees;
use super::round::Round;
use crate::measure::thousands;
use crate::repo;

/// The raw log: a [`Campaign`], then a [`Round`] in each line.
pub const LOG: &str = "docs/reliability/campaign.jsonl";
/// The page that is made of it.
pub const PAGE: &str = "docs/RELIABILITY.md";

/// The first line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// When it began, in UTC.
    pub date: String,
    /// Envoy's release.
    pub envoy: String,
    /// The commit that the filter was built from.
    pub commit: String,
    /// What chance began with.
    pub seed: u64,
    /// How long it was to be.
    pub minutes: u64,
}

/// Writes the page from the log that is kept.
pub fn write() -> Result<()> {
    let log = fs::read_to_string(repo::path(LOG)).with_context(|| format!("reading {LOG}"))?;
    let (campaign, rounds) = parse(&log)?;
    fs::write(
        repo::path(PAGE),
        page(&campaign, &rounds) + &fuzzing::section()?,
    )?;
    Ok(())
}

/// Reads a log.
pub fn parse(log: &str) -> Result<(Campaign, Vec<Round>)> {
    let mut lines = log.lines();
    let campaign = serde_json::from_str(lines.next().context("an empty log")?)?;
    let rounds = lines.map(|line| serde_json::from_str(line).context("not a round"));
    Ok((campaign, rounds.collect::<Result<_>>()?))
}

/// The page.
pub fn page(campaign: &Campaign, rounds: &[Round]) -> String {
    let mut page = format!(
        "# Reliability\n\n\
         `cargo xtask campaign` writes this page from [its raw log](reliability/campaign.jsonl); do not\n\
         edit it. Hostile clients and a hostile upstream attack an Envoy with all capabilities switched\n\
         on, on loopback, while honest clients send requests and the configuration changes. CI includes\n\
         a short campaign (`tests/tests/hostile.rs`).\n\n\
         | | |\n|---|---|\n\
         | begun | {} |\n| Envoy | {} |\n| filter | commit {} |\n| seed | {} |\n\
         | planned | {} minutes |\n",
        campaign.date, campaign.envoy, campaign.commit, campaign.seed, campaign.minutes,
    );
    totals(&mut page, rounds);
    findings(&mut page, rounds);
    held(&mut page, rounds);
    tried(&mut page, rounds);
    page.push_str(
        "\n## What a stage is\n\n\
         A stage is an Envoy with one or two workers and one of two sets of policies\n\
         (`tests/src/hostile/policies.rs`). The policies have faults with delays and `maxActive`;\n\
         `requestBuffer` in mode Buffer with `minDataRate`, `maxDuration` and `maxTotal`, or in mode\n\
         Stream; overrides with operators of the request, variants and redirects; limits with `Distinct`\n\
         clients (1024 at a time), a queue and 200 places; and retries with a budget. The filter is also\n\
         at the upstream position. Policies come by ECDS and change every 0.4 s. Attackers choose paths\n\
         among three routes under these policies, one of which refuses everything.\n",
    );
    page
}

fn totals(page: &mut String, rounds: &[Round]) {
    let sum = |what: fn(&Round) -> u64| rounds.iter().map(what).sum::<u64>();
    let turns = rounds
        .iter()
        .flat_map(|round| round.turns.values())
        .sum::<u64>();
    let rows = [
        ("rounds", rounds.len() as u64),
        ("turns of attacks", turns),
        ("hostile requests and frames", sum(|it| it.sent)),
        ("honest requests", sum(|it| it.honest)),
        ("updates of the configuration", sum(|it| it.updates)),
    ];
    for (name, count) in rows {
        let _ = writeln!(page, "| {name} | {} |", thousands(count));
    }
}

fn findings(page: &mut String, rounds: &[Round]) {
    page.push_str("\n## What was found\n\n");
    let mut found = false;
    for round in rounds {
        for (name, what) in &round.findings {
            found = true;
            let _ = writeln!(
                page,
                "- **{name}**, round {} ({}, {} workers; {}): `{}`",
                round.number,
                round.setup,
                round.workers,
                round.attacks.join(", "),
                what.replace('`', "'"),
            );
        }
    }
    if !found {
        page.push_str("Nothing: every guarantee held in every round.\n");
    }
}

fn held(page: &mut String, rounds: &[Round]) {
    page.push_str("\n## Guarantees\n\nChecked after each round.\n\n| guarantee | held in | what |\n|---|---|---|\n");
    for guarantee in guarantees::ALL {
        let broken = |round: &&Round| {
            round
                .findings
                .iter()
                .any(|(name, _)| name == guarantee.name)
        };
        let held = rounds.len() - rounds.iter().filter(broken).count();
        let _ = writeln!(
            page,
            "| {} | {held} of {} | {} |",
            guarantee.name,
            rounds.len(),
            guarantee.what,
        );
    }
    let most = |what: fn(&Round) -> u64| rounds.iter().map(what).max().unwrap_or(0);
    let _ = writeln!(
        page,
        "\nThe slowest honest request took {} ms (hostile clients, Envoy and upstreams share the\n\
         machine). All accounts were zero, and all guarantees checked, at most {} ms after an attack.\n\
         The longest body that reached an upstream had {} bytes, of 65,536 allowed. Over all rounds of\n\
         a stage Envoy's memory grew by at most {} MiB, and a VM by at most {:.1} MiB, to {:.1} MiB.",
        thousands(most(|it| it.slowest_ms)),
        thousands(most(|it| it.settled_ms)),
        thousands(most(|it| it.largest_body)),
        most(|it| it.resident_kib[1].saturating_sub(it.resident_kib[0])) / 1024,
        mib(most(|it| it.vm_bytes[1].saturating_sub(it.vm_bytes[0]))),
        mib(most(|it| it.vm_bytes[1])),
    );
}

fn tried(page: &mut String, rounds: &[Round]) {
    page.push_str("\n## What was tried\n\n| attack | turns | what it does |\n|---|---|---|\n");
    for attack in attack::all() {
        let turns = rounds
            .iter()
            .filter_map(|round| round.turns.get(attack.name));
        let turns = thousands(turns.sum());
        let _ = writeln!(page, "| {} | {turns} | {} |", attack.name, attack.what);
    }
    let mut answers = BTreeMap::<&str, u64>::new();
    for (answer, count) in rounds.iter().flat_map(|round| &round.answers) {
        *answers.entry(answer).or_default() += count;
    }
    page.push_str("\nAll answers to attackers:\n\n| answer | times |\n|---|---|\n");
    for (answer, count) in answers {
        let _ = writeln!(page, "| {answer} | {} |", thousands(count));
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign() -> Campaign {
        Campaign {
            date: "2026-11-28 12:00".to_owned(),
            envoy: "1.40.0".to_owned(),
            commit: "abc".to_owned(),
            seed: 7,
            minutes: 15,
        }
    }

    #[test]
    fn numbers_are_read_in_threes() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }

    #[test]
    fn a_finding_stands_on_the_page_and_its_guarantee_did_not_hold() {
        let round = Round {
            setup: "Buffer".to_owned(),
            findings: vec![("vm".to_owned(), "3 VMs, not `4`".to_owned())],
            ..Round::default()
        };
        let page = page(&campaign(), &[round, Round::default()]);
        assert!(
            page.contains("**vm**") && page.contains("3 VMs, not '4'"),
            "{page}"
        );
        assert!(page.contains("| vm | 1 of 2 |"), "{page}");
        assert!(page.contains("| log | 2 of 2 |"), "{page}");
    }

    #[test]
    fn a_log_is_read_back() {
        let round = Round {
            number: 3,
            ..Round::default()
        };
        let lines = [
            serde_json::to_string(&campaign()),
            serde_json::to_string(&round),
        ];
        let log = lines.map(Result::unwrap).join("\n");
        assert_eq!(parse(&log).unwrap(), (campaign(), vec![round]));
        assert!(parse("").is_err());
    }

    /// The page in the repository is what its log says, as of the attacks and
    /// guarantees of now.
    #[test]
    fn the_page_is_up_to_date() {
        let read = |file| fs::read_to_string(repo::path(file)).unwrap();
        let (campaign, rounds) = parse(&read(LOG)).unwrap();
        assert_eq!(
            page(&campaign, &rounds) + &fuzzing::section().unwrap(),
            read(PAGE),
            "write it with `cargo xtask campaign --page`"
        );
    }
}
