//! The short run of the campaign: each attack on each set of policies, several
//! at once, on an Envoy that is updated meanwhile. `cargo xtask campaign` runs
//! for longer.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::hostile::attack;
use btp_tests::hostile::dice::Dice;
use btp_tests::hostile::policies::Setup;
use btp_tests::hostile::round::{self, Plan};
use btp_tests::hostile::stage::Stage;

/// Attacks of one round.
const AT_ONCE: usize = 13;
/// All of them have their turns in this time, on a busy machine, too.
const TIME: Duration = Duration::from_secs(5);
const SEED: u64 = 14;

async fn everything_holds(setup: Setup, workers: u32) -> Result<()> {
    let mut stage = Stage::start(setup, workers, SEED).await?;
    let mut attacks = attack::all();
    Dice::new(&[SEED, u64::from(workers)]).shuffle(&mut attacks);
    for (number, some) in attacks.chunks(AT_ONCE).enumerate() {
        let plan = Plan {
            seed: SEED,
            number: number as u64,
            time: TIME,
        };
        let round = round::run(&mut stage, some, plan).await?;
        ensure!(round.findings.is_empty(), "{round:#?}");
        ensure!(round.honest > 0 && round.updates > 0, "{round:#?}");
        let names: Vec<_> = some.iter().map(|attack| attack.name).collect();
        let idle: Vec<_> = names
            .iter()
            .filter(|name| !round.turns.contains_key(**name))
            .collect();
        ensure!(idle.is_empty(), "no turn of {idle:?}: {round:#?}");
    }
    ensure!(stage.seen().requests > 0, "nothing got to the upstreams");
    stage.envoy.stop();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn guarantees_hold_where_bodies_are_gathered() -> Result<()> {
    everything_holds(Setup::Buffer, 2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn guarantees_hold_where_bodies_stream() -> Result<()> {
    everything_holds(Setup::Stream, 1).await
}

/// Guarantees that cannot fail would be worth nothing: without policies the
/// same attacks break those that are about policies, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn without_policies_it_is_found_that_nothing_is_enforced() -> Result<()> {
    let mut stage = Stage::start(Setup::Nothing, 1, SEED).await?;
    let names = ["h1-large-body", "h2-large-body", "rapid-reset", "h1-vanish"];
    let mut attacks = attack::all();
    attacks.retain(|attack| names.contains(&attack.name));
    let plan = Plan {
        seed: SEED,
        number: 0,
        time: TIME,
    };
    let round = round::run(&mut stage, &attacks, plan).await?;
    let found: BTreeSet<_> = round
        .findings
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    ensure!(
        found == BTreeSet::from(["bodies", "counted", "denied"]),
        "{round:#?}"
    );
    stage.envoy.stop();
    Ok(())
}
