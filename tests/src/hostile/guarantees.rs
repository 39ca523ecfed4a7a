//! The conditions that must hold after every round, each checked on the Envoy.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::policies::BODY_LIMIT;
use super::stage::Stage;
use crate::{Build, wait};

/// What the filter accounts for: of an idle Envoy each is zero.
const ACCOUNTS: &str = r"^wasmcustom\.btp\..*\.(rate_limit\..*\.in_flight|fault_active|request_buffer_bytes|retry_budget_debug_held|retry_budget_debug_min_held)$";
/// Envoy's own: no stream is left hanging.
const STREAMS: &str = r"^(http\.main\.downstream_rq_active|cluster\.(bad|bad-h2|good)\.upstream_rq_(active|pending_active))$";
/// The 13 s that the documentation promises, and the pace of a busy machine.
const IDLE: Duration = Duration::from_secs(13 + 12);
const VMS: &str = "wasm.envoy.wasm.runtime.v8.active";
/// What Envoy may keep of a round: memory is not handed back at once.
const GROWTH_KIB: u64 = 400 * 1024;
/// What a VM may take on top in bytes, and never gives back.
const VM_GROWTH: u64 = 64 << 20;

/// What the filter says as an error when it does its work: the clients' doing,
/// at most once a minute for each.
const EXPECTED: &[&str] = &[
    // The table of clients, or that of routes, is full.
    "room for",
    "Envoy answered 413 because its own buffer is smaller",
    "a client that waits for 100 Continue",
    "requests reach an upstream without an instance",
    // Updates that are bad on purpose.
    "configuration refused: polices: is not a known field",
    // What Envoy says then: "base" is the canary, and no worker.
    "Wasm VM failed Failed to configure base Wasm plugin",
    "Plugin configured to fail closed failed to load",
    "Plugin backend_traffic_policy failed to load",
];

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Guarantee {
    /// Its name in findings.
    pub name: &'static str,
    /// What it says, for the page.
    pub what: &'static str,
}

/// All of them, in the order in which they are asked.
pub const ALL: &[Guarantee] = &[
    Guarantee {
        name: "alive",
        what: "Envoy runs, and its admin interface answers",
    },
    Guarantee {
        name: "vm",
        what: "no VM fails: `vm_reload_*` stays 0, and `wasm.envoy.wasm.runtime.v8.active` is the number of workers + 2",
    },
    Guarantee {
        name: "log",
        what: "the filter logs no error except the known ones about full tables and buffers",
    },
    Guarantee {
        name: "denied",
        what: "a route with `requests: 0` answers 429 on every worker, with the text of the latest configuration, and its upstream sees nothing",
    },
    Guarantee {
        name: "updates",
        what: "a good update is accepted and in force on every worker, even right after a refused one; no worker reports an older configuration or none",
    },
    Guarantee {
        name: "honest",
        what: "each honest request (HTTP/1, HTTP/2, gRPC) always gets the right answer",
    },
    Guarantee {
        name: "accounts",
        what: "within 25 s of idleness (13 s are documented, 17 s for credit of a retry budget) every account is zero: requests in flight, delayed requests, bytes of bodies, held retries; and Envoy has no stream left",
    },
    Guarantee {
        name: "bodies",
        what: "no body beyond the limit reaches the upstream",
    },
    Guarantee {
        name: "smuggling",
        what: "the upstream sees no request that was part of a body, and only requests",
    },
    Guarantee {
        name: "counted",
        what: "the upstream sees at most as many requests as were admitted and retried",
    },
    Guarantee {
        name: "memory",
        what: "the largest VM grows by at most 64 MiB in all, Envoy's resident memory by at most 400 MiB",
    },
];

/// Asks all but `honest`, which the round knows; gives what does not hold.
pub async fn broken(stage: &mut Stage) -> Vec<(&'static str, String)> {
    let mut findings = Vec::new();
    let mut note = |name, result: Result<()>| {
        if let Err(error) = result {
            findings.push((name, format!("{error:#}")));
        }
    };
    note("alive", alive(stage).await);
    note("accounts", accounts(stage).await);
    note("denied", stage.denies().await);
    note("vm", vms(stage).await);
    note("log", log(stage));
    note("updates", updates(stage).await);
    note("counted", counted(stage).await);
    let seen = stage.seen();
    note(
        "denied",
        none(
            seen.denied,
            "requests of the denied route reached the upstream",
        ),
    );
    note("smuggling", none(seen.smuggled, "requests were smuggled"));
    note(
        "smuggling",
        none(seen.torn, "times the upstream read what is no request"),
    );
    let large = (seen.largest_body > BODY_LIMIT).then_some(seen.largest_body);
    note(
        "bodies",
        none(
            large.unwrap_or(0) as u64,
            "bytes of a body reached the upstream",
        ),
    );
    note("memory", memory(stage).await);
    findings
}

fn none(count: u64, what: &str) -> Result<()> {
    ensure!(count == 0, "{count} {what}");
    Ok(())
}

async fn alive(stage: &Stage) -> Result<()> {
    stage.envoy.admin_get("/ready").await?;
    Ok(())
}

async fn vms(stage: &Stage) -> Result<()> {
    stage.envoy.assert_vm_alive().await?;
    if Build::under_test()? == Build::Module {
        return Ok(());
    }
    let active = stage.envoy.stat(VMS).await?.context("no gauge of VMs")?;
    let expected = u64::from(stage.workers) + 2;
    ensure!(active == expected, "{active} VMs, not {expected}");
    Ok(())
}

fn log(stage: &Stage) -> Result<()> {
    let log = stage.envoy.log();
    let ours = format!("][error][{}]", Build::under_test()?.log_component());
    let bad = |line: &&str| {
        let error = line.contains(&ours) || line.contains("][critical]");
        error && !EXPECTED.iter().any(|known| line.contains(known))
    };
    let unexpected = log.lines().find(bad);
    ensure!(
        unexpected.is_none(),
        "in the log: {}",
        unexpected.unwrap_or_default()
    );
    Ok(())
}

async fn updates(stage: &Stage) -> Result<()> {
    let refused = stage
        .sum(r"^extension_config_discovery\..*\.config_fail$")
        .await?;
    let bad = stage.refused();
    ensure!(
        refused <= bad,
        "{refused} updates were refused, of {bad} bad ones"
    );
    let left = stage
        .sum(r"^wasmcustom\.btp\.workers_(on_older_configuration|not_configured)$")
        .await?;
    none(left, "workers have an older configuration, or none")
}

async fn accounts(stage: &Stage) -> Result<()> {
    let mut left = String::new();
    let idle = wait::until_async("idleness", IDLE, async || {
        let mut open = stage.envoy.stats_matching(ACCOUNTS).await?;
        open.extend(stage.envoy.stats_matching(STREAMS).await?);
        open.retain(|_, value| *value > 0);
        left = format!("{open:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(open.is_empty().then_some(()))
    });
    let idle = idle.await;
    idle.with_context(|| format!("not zero: {left}"))
}

/// Only of an idle Envoy: a request is counted before it arrives.
async fn counted(stage: &Stage) -> Result<()> {
    let admitted = stage
        .sum(r"^wasmcustom\.btp\.default\.p\.rate_limit\.all\.admitted$")
        .await?;
    let retried = stage
        .sum(r"^cluster\.(bad|bad-h2)\.upstream_rq_retry$")
        .await?;
    let seen = stage.seen().requests;
    ensure!(
        seen <= admitted + retried,
        "{seen} requests at the upstream, {admitted} admitted and {retried} retried"
    );
    Ok(())
}

async fn memory(stage: &Stage) -> Result<()> {
    let (now, start) = (stage.vm_bytes().await?, stage.vm_bytes_at_start);
    ensure!(
        now <= start + VM_GROWTH,
        "the largest VM has {now} bytes, {start} at the start"
    );
    let (now, start) = (stage.resident()?, stage.resident_at_start);
    ensure!(
        now <= start + GROWTH_KIB,
        "{now} KiB resident, {start} at the start"
    );
    Ok(())
}
