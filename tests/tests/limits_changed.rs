//! A live update that changes a limit: what was used stays used, and what is more is there
//! at once.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::client::h1;
use btp_tests::{Builder, EcdsFile, Envoy, Request, Response, Route, wait};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);
const RELOADS: &str = "extension_config_discovery.http_filter.backend_traffic_policy.config_reload";

/// One limit for all, and one for each value of `x-user`, both `shared` or not as the rule
/// says. `more` is added to both rules.
fn limits(limit: &Value, more: &Value) -> Value {
    let rule = |name: &str, selector: Value| {
        let mut rule = json!({"name": name, "clientSelectors": [selector], "limit": limit});
        if let (Some(rule), Some(more)) = (rule.as_object_mut(), more.as_object()) {
            rule.extend(more.clone());
        }
        rule
    };
    let each = json!({"headers": [{"name": "x-user", "type": "Distinct"}]});
    let all = json!({"headers": [{"name": "x-all", "value": "1"}]});
    json!({"policies": [{"metadata": {"name": "p"}, "spec": {"rateLimit": {"local": {
        "rules": [rule("all", all), rule("each", each)]}}}}]})
}

/// An Envoy whose limits change.
struct Stage {
    envoy: Envoy,
    file: EcdsFile,
    updates: u64,
}

impl Stage {
    async fn start(workers: u32, limit: &Value, more: &Value) -> Result<Self> {
        let file = EcdsFile::new(&limits(limit, more), false)?;
        let builder = Builder::new().plugin_from(&file).concurrency(workers);
        let builder = builder.route(Route::direct("/", 200, "ok"));
        let envoy = Envoy::start(&builder.build()?).await?;
        Ok(Self {
            envoy,
            file,
            updates: 1,
        })
    }

    async fn change(&mut self, limit: &Value, more: &Value) -> Result<()> {
        self.file.replace(&limits(limit, more))?;
        self.updates += 1;
        wait::until_async("the update", PATIENCE, async || {
            Ok((self.envoy.stat(RELOADS).await? >= Some(self.updates)).then_some(()))
        })
        .await
    }

    /// Each request has a connection of its own, so all workers get some.
    async fn get(&self, header: (&str, &str)) -> Result<Response> {
        let request = Request::get("/").header(header.0, header.1);
        h1::send(self.envoy.addr(), request).await
    }

    async fn passed(&self, header: (&str, &str), requests: usize) -> Result<usize> {
        let mut passed = 0;
        for _ in 0..requests {
            passed += usize::from(self.get(header).await?.status == 200);
        }
        Ok(passed)
    }
}

const CLIENTS: [(&str, &str); 2] = [("x-all", "1"), ("x-user", "ada")];

#[tokio::test(flavor = "multi_thread")]
async fn a_raised_limit_helps_at_once_and_a_lowered_one_keeps_what_was_used() -> Result<()> {
    for workers in [1, 2, 4] {
        let limit = |requests: u32, unit: &str| json!({"requests": requests, "unit": unit});
        let none = json!({});
        let mut stage = Stage::start(workers, &limit(1, "Day"), &none).await?;
        for client in CLIENTS {
            ensure!(stage.passed(client, 3).await? == 1, "{client:?}");
        }
        stage.change(&limit(1_000, "Day"), &none).await?;
        for client in CLIENTS {
            let next = stage.get(client).await?;
            ensure!(next.status == 200, "{client:?}: {next:?}");
            let left = next.header("x-ratelimit-remaining");
            ensure!(left.as_deref() == Some("998"), "{client:?}: {left:?}");
        }
        // Another unit and a lower limit: 2 of 5 are used.
        stage.change(&limit(5, "Hour"), &none).await?;
        for client in CLIENTS {
            ensure!(stage.passed(client, 5).await? == 3, "{client:?}");
        }
        // Lower than what was used: what comes back does so at the new rate.
        stage.change(&limit(2, "Minute"), &none).await?;
        for client in CLIENTS {
            let refused = stage.get(client).await?;
            ensure!(refused.status == 429, "{client:?}");
            let wait: u64 = refused.header("retry-after").unwrap_or_default().parse()?;
            ensure!((1..=30).contains(&wait), "{client:?}: {wait}");
        }
        // A larger burst alone: the 5 of the last hour are still used.
        let burst = json!({"requests": 2, "unit": "Minute", "burst": 12});
        stage.change(&burst, &none).await?;
        for client in CLIENTS {
            let passed = stage.passed(client, 14).await?;
            ensure!((7..=8).contains(&passed), "{client:?}: {passed}");
        }
        ensure!(stage.passed(("x-user", "bob"), 13).await? == 12);
        stage.envoy.assert_vm_alive().await?;
    }
    Ok(())
}

/// Requests that wait have taken their tokens ahead.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_queue_a_raised_limit_lets_newcomers_pass_at_once() -> Result<()> {
    let queue = json!({"queue": {"maxDelay": "1h", "maxQueued": 3}});
    let limit = |requests: u32| json!({"requests": requests, "unit": "Hour"});
    let mut stage = Stage::start(2, &limit(6), &queue).await?;
    ensure!(stage.passed(CLIENTS[0], 6).await? == 6);
    let addr = stage.envoy.addr();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let request = Request::get("/").header("x-all", "1");
            tokio::spawn(h1::send(addr, request))
        })
        .collect();
    let queued = "wasmcustom.btp.default.p.rate_limit.all.queued";
    wait::until_async("those who wait", PATIENCE, async || {
        Ok((stage.envoy.stat(queued).await? == Some(3)).then_some(()))
    })
    .await?;
    ensure!(stage.get(CLIENTS[0]).await?.status == 429);
    stage.change(&limit(100), &queue).await?;
    let next = stage.get(CLIENTS[0]).await?;
    let left = next.header("x-ratelimit-remaining");
    ensure!(
        next.status == 200 && left.as_deref() == Some("90"),
        "{next:?}"
    );
    for request in waiting {
        request.abort();
    }
    stage.envoy.assert_vm_alive().await
}
