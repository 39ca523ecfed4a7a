//! `cargo xtask campaign`: attacks an Envoy for so many minutes, keeps a line
//! for each round in docs/reliability, and writes docs/RELIABILITY.md.
//!
//! `campaign MINUTES SEED DATE COMMIT`, or `campaign page` to write the page
//! from the log that is there. Fails if a guarantee did not hold.

use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use btp_tests::hostile::attack::{self, Attack};
use btp_tests::hostile::dice::Dice;
use btp_tests::hostile::page::{self, Campaign};
use btp_tests::hostile::policies::Setup;
use btp_tests::hostile::round::{self, Plan, Round};
use btp_tests::hostile::stage::Stage;
use btp_tests::repo;

/// How long attackers of one round begin new turns.
const ROUND: Duration = Duration::from_secs(4);
/// A stage ends after so many rounds, for the next to take its turn.
const ROUNDS: usize = 12;
const STAGES: [(Setup, u32); 4] = [
    (Setup::Buffer, 2),
    (Setup::Stream, 2),
    (Setup::Buffer, 1),
    (Setup::Stream, 1),
];

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [minutes, seed, date, commit] = arguments.as_slice() else {
        return page::write();
    };
    let (major, minor, patch) = repo::envoy_version()?;
    let campaign = Campaign {
        date: date.clone(),
        envoy: format!("{major}.{minor}.{patch}"),
        commit: commit.clone(),
        seed: seed.parse().context("the seed is a number")?,
        minutes: minutes.parse().context("the minutes are a number")?,
    };
    let file = repo::path(page::LOG);
    fs::create_dir_all(file.parent().context("a folder")?)?;
    let mut log = File::create(&file)?;
    writeln!(log, "{}", serde_json::to_string(&campaign)?)?;
    let findings = run(&campaign, &mut log).await?;
    drop(log);
    page::write()?;
    match findings {
        0 => Ok(()),
        _ => bail!("{findings} findings: see {}", page::PAGE),
    }
}

/// Stages in turns until time is up; every other round is of one attack.
async fn run(campaign: &Campaign, log: &mut File) -> Result<usize> {
    let until = Instant::now() + Duration::from_secs(60 * campaign.minutes);
    let attacks = attack::all();
    let mut order = Dice::new(&[campaign.seed]);
    let mut singles: Vec<Attack> = Vec::new();
    let (mut number, mut findings) = (0, 0);
    for (setup, workers) in STAGES.into_iter().cycle() {
        let mut stage = Stage::start(setup, workers, campaign.seed).await?;
        for _ in 0..ROUNDS {
            if Instant::now() >= until {
                return Ok(findings);
            }
            let some = match number % 2 {
                0 => {
                    if singles.is_empty() {
                        singles.clone_from(&attacks);
                        order.shuffle(&mut singles);
                    }
                    singles.pop().into_iter().collect()
                }
                _ => mixed(&attacks, &mut order),
            };
            let plan = Plan {
                seed: campaign.seed,
                number,
                time: ROUND,
            };
            let round = round::run(&mut stage, &some, plan).await?;
            writeln!(log, "{}", serde_json::to_string(&round)?)?;
            tell(&round);
            number += 1;
            findings += round.findings.len();
            if !round.findings.is_empty() {
                // What is broken stays broken; the next stage is fresh.
                break;
            }
        }
        if findings == 0 {
            stage.envoy.stop();
        }
    }
    Ok(findings)
}

/// Six attacks at once, one for each attacker.
fn mixed(attacks: &[Attack], order: &mut Dice) -> Vec<Attack> {
    let mut some = attacks.to_vec();
    order.shuffle(&mut some);
    some.truncate(6);
    some
}

fn tell(round: &Round) {
    let (number, setup, workers) = (round.number, &round.setup, round.workers);
    let (sent, honest, settled) = (round.sent, round.honest, round.settled_ms);
    println!(
        "round {number}, {setup}, {workers} workers, {}: {sent} sent, {honest} honest, settled in {settled} ms",
        round.attacks.join(" ")
    );
    for (name, what) in &round.findings {
        println!("  FOUND {name}: {what}");
    }
}
