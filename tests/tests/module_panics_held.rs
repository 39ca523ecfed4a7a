//! A panic in the dynamic module while something is held: the lock of what all workers
//! share (and with it the worker's own state, which is borrowed for the whole event), the
//! timer's lock, places and credit of an exchange. Whoever comes next, on the same worker
//! (there is one), is treated as if the panic had not been: nothing is locked for good, no
//! place is lost, and none is there twice.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::client::h2;
use btp_tests::module::{cluster_behind, commanded, filter, is_answered_for, named, panics};
use btp_tests::module::{policy, start_with};
use btp_tests::{Builder, Envoy, Reply, Request, Response, Route, Upstream, repo, wait};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(20);
const IN_FLIGHT: &str = "rate_limit.rule-af63bd4c.in_flight";

/// The planted copy under this policy.
async fn start(spec: &Value) -> Result<(Envoy, Upstream)> {
    start_with(&repo::planted_module()?, &policy("p", spec)).await
}

/// Waits until a number of the policy is this.
async fn comes_to(envoy: &Envoy, name: &str, wanted: u64) -> Result<()> {
    let what = format!("{name} to be {wanted}");
    wait::until_async(&what, PATIENCE, async || {
        Ok((envoy.policy_stat(name).await? == wanted).then_some(()))
    })
    .await
}

/// Waits until so many panics are counted.
async fn panicked(envoy: &Envoy, wanted: u64) -> Result<()> {
    wait::until_async("the panics", PATIENCE, async || {
        Ok((panics(envoy).await? == wanted).then_some(()))
    })
    .await
}

/// So many delayed requests at once, the first of which commands this.
async fn delayed(
    envoy: &Envoy,
    count: usize,
    command: &'static str,
) -> Result<JoinSet<Result<Response>>> {
    let connection = Arc::new(h2::Connection::open(envoy.addr()).await?);
    let mut clients = JoinSet::new();
    for number in 0..count {
        let connection = Arc::clone(&connection);
        let command = if number == 0 { command } else { "" };
        let request = Request::get("/x").header("x-planted", command);
        clients.spawn(async move { connection.send(request).await });
    }
    Ok(clients)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_the_thread_that_wakes_keeps_nobody_waiting() -> Result<()> {
    const DELAY: Duration = Duration::from_secs(2);
    let (envoy, _upstream) =
        start(&json!({"faultInjection": {"delay": {"fixedDelay": "2s"}}})).await?;
    // It panics, works, and panics once more.
    for (command, counted) in [("timer_thread", 1), ("", 1), ("timer_thread", 2)] {
        let mut clients = delayed(&envoy, 20, command).await?;
        comes_to(&envoy, "fault_active", 20).await?;
        while let Some(response) = clients.join_next().await {
            let response = response??;
            ensure!(response.status == 200, "{response:?}");
            ensure!(response.headers_after >= DELAY, "{response:?}");
        }
        comes_to(&envoy, "fault_active", 0).await?;
        panicked(&envoy, counted).await?;
    }
    let log = envoy.log();
    ensure!(log.contains("planted in the timer thread"), "{log}");
    ensure!(log.contains("caught a panic in the timer thread"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_under_a_buckets_lock_costs_no_token_and_no_place() -> Result<()> {
    let rule = json!({"limit": {"requests": 3, "unit": "Year"}, "concurrency": {"max": 1}});
    let (envoy, upstream) = start(&json!({"rateLimit": {"local": {"rules": [rule]}}})).await?;
    ensure!(envoy.get("/x").await?.status == 200);
    for round in 1..=3 {
        // Its place among those in flight has been taken by then.
        let response = commanded(&envoy, "BucketsId in request_headers").await?;
        ensure!(is_answered_for(&response), "{response:?}");
        panicked(&envoy, round).await?;
        comes_to(&envoy, IN_FLIGHT, 0).await?;
    }
    for status in [200, 200, 429] {
        let response = envoy.get("/x").await?;
        ensure!(response.status == status, "{status}: {response:?}");
    }
    ensure!(upstream.requests().len() == 3);
    comes_to(&envoy, IN_FLIGHT, 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_at_a_later_rule_costs_no_token_of_an_earlier_one() -> Result<()> {
    let rule = |requests: u32| {
        json!({
            "clientSelectors": [{"headers": [{"name": "both", "value": "yes"}]}],
            "limit": {"requests": requests, "unit": "Year"},
        })
    };
    let rules = json!([rule(2), rule(4)]);
    let (envoy, upstream) = start(&json!({"rateLimit": {"local": {"rules": rules}}})).await?;
    let both = || Request::get("/x").header("both", "yes");
    for round in 1..=5 {
        let command = "second BucketsId in request_headers";
        let response = envoy.send(both().header("x-planted", command)).await?;
        ensure!(is_answered_for(&response), "{response:?}");
        panicked(&envoy, round).await?;
    }
    for status in [200, 200, 429] {
        let response = envoy.send(both()).await?;
        ensure!(response.status == status, "{status}: {response:?}");
    }
    ensure!(upstream.requests().len() == 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_under_the_locks_of_clients_limits_leaves_each_client_its_own() -> Result<()> {
    let rule = json!({
        "clientSelectors": [{"headers": [{"name": "id", "type": "Distinct"}]}],
        "limit": {"requests": 2, "unit": "Year"},
    });
    let (envoy, _upstream) = start(&json!({"rateLimit": {"local": {"rules": [rule]}}})).await?;
    let by = |client| Request::get("/x").header("id", client);
    // The first request of all draws the key that tells clients apart.
    for (round, kind) in [(1, "SeedId"), (2, "BucketsId"), (3, "BucketsId")] {
        let command = format!("{kind} in request_headers");
        let response = envoy.send(by("a").header("x-planted", &command)).await?;
        ensure!(is_answered_for(&response), "{command}: {response:?}");
        panicked(&envoy, round).await?;
    }
    for (client, status) in [("a", 200), ("b", 200), ("a", 200), ("a", 429), ("b", 200)] {
        let response = envoy.send(by(client)).await?;
        ensure!(
            response.status == status,
            "{client}, {status}: {response:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_under_a_quotas_lock_loses_no_place() -> Result<()> {
    let rule = json!({"concurrency": {"max": 1}});
    let (envoy, upstream) = start(&json!({"rateLimit": {"local": {"rules": [rule]}}})).await?;
    // As a place is taken, and as it is given back.
    for (command, is_answered) in [
        ("QuotaId in request_headers", false),
        ("QuotaId in stream_complete", true),
        ("QuotaId in request_headers", false),
    ] {
        let before = panics(&envoy).await?;
        let response = commanded(&envoy, command).await?;
        ensure!((response.status == 200) == is_answered, "{response:?}");
        ensure!(is_answered_for(&response) != is_answered, "{response:?}");
        panicked(&envoy, before + 1).await?;
        comes_to(&envoy, IN_FLIGHT, 0).await?;
        one_at_a_time(&envoy, &upstream).await?;
    }
    Ok(())
}

/// There is one place, which one request has at a time.
async fn one_at_a_time(envoy: &Envoy, upstream: &Upstream) -> Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    upstream.script("/held", [Reply::status(200).behind(&gate)]);
    let (held, refused) = tokio::join!(envoy.get("/held"), async {
        comes_to(envoy, IN_FLIGHT, 1).await?;
        let response = envoy.get("/x").await;
        gate.add_permits(1);
        response
    });
    let (held, refused) = (held?, refused?);
    ensure!(held.status == 200, "{held:?}");
    ensure!(refused.status == 429, "{refused:?}");
    comes_to(envoy, IN_FLIGHT, 0).await?;
    let next = envoy.get("/x").await?;
    ensure!(next.status == 200, "{next:?}");
    comes_to(envoy, IN_FLIGHT, 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_under_a_quotas_lock_ends_a_delay_and_leaves_room_for_the_next() -> Result<()> {
    const DELAY: Duration = Duration::from_millis(300);
    let fault = json!({"delay": {"fixedDelay": "300ms"}, "maxActive": 1});
    let (envoy, upstream) = start(&json!({"faultInjection": fault})).await?;
    // As the delay begins, and as it ends.
    for (count, command) in [
        (1, "QuotaId in request_headers"),
        (2, "QuotaId in scheduled"),
    ] {
        let response = commanded(&envoy, command).await?;
        ensure!(is_answered_for(&response), "{command}: {response:?}");
        panicked(&envoy, count).await?;
        comes_to(&envoy, "fault_active", 0).await?;
        // Who finds no room is not delayed.
        let next = envoy.get("/x").await?;
        ensure!(next.status == 200, "{command}: {next:?}");
        ensure!(next.headers_after >= DELAY, "{command}: {next:?}");
    }
    ensure!(upstream.requests().len() == 2);
    comes_to(&envoy, "fault_active", 0).await
}

/// A budget that always has credit.
fn retried() -> Value {
    json!({
        "retry": {"numRetries": 1, "retryOn": {"triggers": ["5xx"]}},
        "retryConstraint": {"minRetryRate": {"count": 100, "interval": "1s"}},
        "rateLimit": {"local": {"rules": [{"concurrency": {"max": 1}}]}},
        "faultInjection": {"position": "Upstream", "delay": {"fixedDelay": "300ms"}},
    })
}

/// The planted copy at both positions, under the policy of [`retried`].
async fn start_at_both() -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let planted = repo::planted_module()?;
    let policies = json!([{"metadata": {"name": "p"}, "spec": retried()}]);
    let behind = json!({"position": "Upstream", "policies": policies}).to_string();
    let builder = Builder::new()
        .http_filter(filter(&planted, &policy("p", &retried())))
        .route(Route::cluster("/", "backend"))
        .raw_cluster(cluster_behind(filter(&planted, &behind), &upstream)?);
    let envoy = Envoy::start(&named(builder)?).await?;
    Ok((envoy, upstream))
}

/// Nothing of the exchange is held any more.
async fn is_released(envoy: &Envoy) -> Result<()> {
    for gauge in [
        IN_FLIGHT,
        "fault_active",
        "retry_budget_debug_held",
        "retry_budget_debug_min_held",
    ] {
        comes_to(envoy, gauge, 0).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_under_the_accounts_lock_leaves_the_budget_to_the_next() -> Result<()> {
    let (envoy, upstream) = start(&retried()).await?;
    // The first request opens the account.
    let response = commanded(&envoy, "Accounts in request_headers").await?;
    ensure!(is_answered_for(&response), "{response:?}");
    panicked(&envoy, 1).await?;
    is_released(&envoy).await?;
    upstream.script("/y", [Reply::status(503), Reply::status(200)]);
    let response = envoy.get("/y").await?;
    ensure!(response.status == 200, "{response:?}");
    ensure!(upstream.requests().len() == 2);
    let paid = envoy.policy_stat("retry_budget_min_retries").await?
        + envoy.policy_stat("retry_budget_retries").await?;
    ensure!(paid == 1, "{paid} retries were paid for");
    is_released(&envoy).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_behind_the_router_releases_what_the_exchange_holds() -> Result<()> {
    let (envoy, upstream) = start_at_both().await?;
    let mut counted = 0;
    // The router tries again after what came from the upstream, not after a reply to a
    // request that has not gone out. For the retry that panics credit is held by then.
    for (command, attempts) in [
        ("upstream request_headers", 1),
        ("upstream timer", 1),
        ("upstream response_headers", 2),
        ("upstream retry", 1),
    ] {
        upstream.script("/x", [Reply::status(503)]);
        let (response, waits) = tokio::join!(commanded(&envoy, command), async {
            // The other position's exchange waits for it meanwhile.
            if command == "upstream request_headers" {
                return Ok(());
            }
            comes_to(&envoy, "fault_active", 1).await?;
            comes_to(&envoy, IN_FLIGHT, 1).await
        });
        let response = response?;
        waits?;
        ensure!(is_answered_for(&response), "{command}: {response:?}");
        is_released(&envoy).await?;
        counted += attempts;
        let next = envoy.get("/y").await?;
        ensure!(next.status == 200, "after {command}: {next:?}");
        panicked(&envoy, counted).await?;
        is_released(&envoy).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_as_numbers_are_shown_leaves_them_to_the_next_time() -> Result<()> {
    let (envoy, upstream) = start_at_both().await?;
    for round in 1..=2 {
        let response = commanded(&envoy, "config_scheduled").await?;
        ensure!(response.status == 200, "{response:?}");
        panicked(&envoy, round).await?;
        is_released(&envoy).await?;
        let next = envoy.get("/y").await?;
        ensure!(next.status == 200, "{next:?}");
        is_released(&envoy).await?;
    }
    ensure!(upstream.requests().len() == 4);
    Ok(())
}
