//! The calls and allocations of an exchange, counted exactly: tests/counts.txt.
//!
//! CPU per request is noise on a machine that others use. The calls between Envoy and the
//! filter are not, and most of the cost is in them. Each kind of exchange (`cases`) is sent
//! one after the other to a real Envoy with one worker. Envoy's own trace (`trace`) shows
//! the calls of the .wasm, and the planted copy of the module counts its own (`planted`).
//!
//! Some exchanges do a little more than the others: they fetch the next lease of tokens,
//! publish a balance, or send a heartbeat that is due. The most frequent result counts.

mod cases;
pub mod file;
mod planted;
mod trace;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use crate::client::h1;
use crate::{Build, Envoy, Upstream, wait};
use cases::{Case, SLICE};
pub use file::Counted;

/// How often which kind.
type Tally = BTreeMap<String, u64>;

/// Exchanges until everything that is kept is there: more than it takes until a budget
/// knows whether it has an instance behind the router.
const WARM_UP: usize = 48;
/// Exchanges of each kind that are looked at.
const COUNTED: usize = 9;
const PATIENCE: Duration = Duration::from_secs(30);

/// Counts all kinds of exchanges, on the build under test.
pub async fn count() -> Result<Counted> {
    let upstream = Upstream::start().await?;
    let mut running = Vec::new();
    for stage in cases::stages(&upstream)? {
        let envoy = Envoy::start(&stage.bootstrap).await?;
        warm_up(&envoy, &stage.cases).await?;
        running.push((envoy, stage.cases));
    }
    // In the slice in which a budget begins no request has paid for a retry yet.
    sleep(SLICE).await;
    let mut counted = Counted::new();
    for (envoy, cases) in running {
        counted.extend(count_on(&envoy, &cases).await?);
        envoy.assert_vm_alive().await?;
        envoy.stop();
    }
    Ok(counted)
}

async fn warm_up(envoy: &Envoy, cases: &[Case]) -> Result<()> {
    for case in cases {
        let client = &mut connection(envoy, case).await?;
        for _ in 0..WARM_UP {
            client.send(case.request.clone()).await?;
        }
    }
    Ok(())
}

async fn count_on(envoy: &Envoy, cases: &[Case]) -> Result<Counted> {
    let build = Build::under_test()?;
    if build == Build::Wasm {
        envoy.admin_post("/logging?wasm=trace").await?;
    }
    let mut counted = Counted::new();
    for case in cases {
        let lines = match build {
            Build::Wasm => of_wasm(envoy, case).await,
            Build::Module => of_module(envoy, case).await,
        };
        let lines = lines.with_context(|| case.name.clone())?;
        counted.push((case.name.clone(), lines));
    }
    Ok(counted)
}

async fn of_wasm(envoy: &Envoy, case: &Case) -> Result<Vec<String>> {
    let client = &mut connection(envoy, case).await?;
    let mut all = Vec::new();
    for _ in 0..COUNTED {
        let before = envoy.log().len();
        let status = client.send(case.request.clone()).await?.status;
        let ends = || trace::exchange(envoy.log().get(before..)?);
        let calls = wait::until("an exchange's end in the trace", PATIENCE, ends).await?;
        all.push((status, calls));
    }
    let (status, calls) = usual(&all)?;
    ensure!(*status == case.status, "answered {status}");
    Ok(vec![
        line("wasm entries", &calls.entries),
        line("wasm hostcalls", &calls.hostcalls),
    ])
}

async fn of_module(envoy: &Envoy, case: &Case) -> Result<Vec<String>> {
    let client = &mut connection(envoy, case).await?;
    // To ask has to be warm, too.
    let mut last = planted::so_far(client).await?;
    let mut asking = Vec::new();
    for _ in 0..COUNTED {
        let next = planted::so_far(client).await?;
        asking.push(planted::less(&next, &last));
        last = next;
    }
    let asking = usual(&asking)?.as_ref().context("counts go back")?;
    let mut all = Vec::new();
    for _ in 0..COUNTED {
        let status = client.send(case.request.clone()).await?.status;
        let next = planted::so_far(client).await?;
        let both = planted::less(&next, &last);
        all.push((status, both.and_then(|both| planted::less(&both, asking))));
        last = next;
    }
    let (status, tally) = usual(&all)?;
    ensure!(*status == case.status, "answered {status}");
    let mut calls = tally.clone().context("less than asking takes")?;
    let allocations = calls.remove(planted::ALLOCATIONS).unwrap_or_default();
    Ok(vec![
        line("module callbacks", &calls),
        format!("module allocations {allocations}"),
    ])
}

async fn connection(envoy: &Envoy, case: &Case) -> Result<h1::Connection> {
    h1::Connection::open(envoy.listener_addr(&case.listener)?).await
}

/// What more than half of these are.
fn usual<T: PartialEq + std::fmt::Debug>(all: &[T]) -> Result<&T> {
    let times = |wanted: &T| all.iter().filter(|it| *it == wanted).count();
    let found = all.iter().find(|it| times(it) * 2 > all.len());
    found.with_context(|| format!("they differ: {all:#?}"))
}

/// `what 3: one kind 1, another 2`.
fn line(what: &str, tally: &Tally) -> String {
    let kinds: Vec<String> = tally
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    let total: u64 = tally.values().sum();
    if kinds.is_empty() {
        return format!("{what} 0");
    }
    format!("{what} {total}: {}", kinds.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_exchanges_do_counts() {
        assert_eq!(*usual(&[1, 2, 1]).unwrap(), 1);
        assert!(usual(&[1, 2, 1, 2]).is_err());
    }

    #[test]
    fn a_line_has_the_sum_and_what_it_is_of() {
        let tally = |counts: &[(&str, u64)]| -> Tally {
            counts
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect()
        };
        assert_eq!(line("calls", &tally(&[])), "calls 0");
        let three = tally(&[("b", 2), ("a", 1), ("none", 0)]);
        assert_eq!(line("calls", &three), "calls 3: a 1, b 2");
    }
}
