//! One round: some attacks for some seconds, with honest clients and updates
//! beside them, and the question afterwards what still holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::attack::{Attack, Turn};
use super::dice::Dice;
use super::guarantees;
use super::honest::Clients;
use super::stage::Stage;

/// Attackers at a time.
const LANES: u64 = 6;
/// More than any turn takes on a quiet machine.
const TURN: Duration = Duration::from_secs(20);
const UPDATE_EVERY: Duration = Duration::from_millis(400);
/// Each so many an update is one that must be refused.
const BAD_UPDATE: u64 = 4;

/// What a round was, and what came of it: a line of the raw log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// Its number, with which the seed draws it.
    pub number: u64,
    /// Policies of the stage.
    pub setup: String,
    /// Worker threads of the stage.
    pub workers: u32,
    /// The attacks.
    pub attacks: Vec<String>,
    /// Turns of each.
    pub turns: BTreeMap<String, u64>,
    /// Requests that the attackers sent, or frames where there are none.
    pub sent: u64,
    /// What they were answered.
    pub answers: BTreeMap<String, u64>,
    /// Honest requests, all answered unless a finding says otherwise.
    pub honest: u64,
    /// The slowest of them, in milliseconds.
    pub slowest_ms: u64,
    /// Updates of the configuration meanwhile.
    pub updates: u64,
    /// Requests of this stage that reached the bad upstreams so far.
    pub upstream: u64,
    /// The longest body of them, in bytes.
    pub largest_body: u64,
    /// Milliseconds from the end of the attack until all was asked, accounts
    /// at zero.
    pub settled_ms: u64,
    /// Resident memory of Envoy when it had started and now, in KiB.
    pub resident_kib: [u64; 2],
    /// Memory of the largest VM when Envoy had started and now, in bytes.
    pub vm_bytes: [u64; 2],
    /// What did not hold: a guarantee, and how it failed.
    pub findings: Vec<(String, String)>,
}

/// How a round is run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What chance begins with.
    pub seed: u64,
    /// The round's number.
    pub number: u64,
    /// How long attackers begin new turns.
    pub time: Duration,
}

/// Runs a round.
pub async fn run(stage: &mut Stage, attacks: &[Attack], plan: Plan) -> Result<Round> {
    let peer = stage.envoy.addr();
    let honest = Clients::start(peer);
    let attacks: Arc<[Attack]> = attacks.into();
    let until = Instant::now() + plan.time;
    let mut attackers = JoinSet::new();
    for lane in 0..LANES {
        let attacks = Arc::clone(&attacks);
        let dice = Dice::new(&[plan.seed, plan.number, lane]);
        attackers.spawn(attack(attacks, Turn::new(peer, dice), lane, until));
    }
    let mut round = Round {
        number: plan.number,
        setup: stage.setup.to_string(),
        workers: stage.workers,
        attacks: attacks.iter().map(|it| it.name.to_owned()).collect(),
        ..Round::default()
    };
    while Instant::now() < until {
        sleep(UPDATE_EVERY).await;
        round.updates += 1;
        if round.updates.is_multiple_of(BAD_UPDATE) {
            stage.update_badly()?;
        } else {
            stage.update()?;
        }
    }
    stage.update()?;
    while let Some(ended) = attackers.join_next().await {
        let (turn, turns) = ended?;
        round.sent += turn.sent;
        add(&mut round.answers, turn.answers);
        add(&mut round.turns, turns);
    }
    let honest = honest.stop().await?;
    round.honest = honest.answered;
    round.slowest_ms = honest.slowest.as_millis() as u64;
    stage.forget();
    let ended = Instant::now();
    let note = |(name, what): (&str, String)| (name.to_owned(), what);
    let wrong = honest.wrong.into_iter().map(|what| ("honest", what));
    round.findings = wrong.map(note).collect();
    let broken = guarantees::broken(stage).await;
    round.findings.extend(broken.into_iter().map(note));
    round.settled_ms = ended.elapsed().as_millis() as u64;
    let seen = stage.seen();
    round.upstream = seen.requests;
    round.largest_body = seen.largest_body as u64;
    // Envoy may be gone; the finding `alive` says so.
    round.resident_kib = [stage.resident_at_start, stage.resident().unwrap_or(0)];
    round.vm_bytes = [stage.vm_bytes_at_start, stage.vm_bytes().await.unwrap_or(0)];
    Ok(round)
}

/// One attacker: turn after turn, of one attack after the other.
async fn attack(
    attacks: Arc<[Attack]>,
    mut turn: Turn,
    lane: u64,
    until: Instant,
) -> (Turn, BTreeMap<String, u64>) {
    let mut turns = BTreeMap::new();
    let mut next = lane as usize;
    while Instant::now() < until {
        let attack = attacks[next % attacks.len()];
        next += 1;
        let outcome = match timeout(TURN, attack.go(&mut turn)).await {
            Ok(Ok(())) => None,
            Ok(Err(_)) => Some("cut off"),
            Err(_) => Some("stuck"),
        };
        if let Some(outcome) = outcome {
            *turn.answers.entry(outcome.to_owned()).or_default() += 1;
            // Not in a tight loop against one that refuses connections.
            sleep(Duration::from_millis(5)).await;
        }
        *turns.entry(attack.name.to_owned()).or_default() += 1;
    }
    (turn, turns)
}

fn add(to: &mut BTreeMap<String, u64>, from: BTreeMap<String, u64>) {
    for (name, count) in from {
        *to.entry(name).or_default() += count;
    }
}
