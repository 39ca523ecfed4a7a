//! `retryConstraint.scope` on the real Envoy: who shares one budget. Credit
//! never comes back within a test, so that tries can be counted.

use anyhow::{Result, ensure};
use btp_tests::bootstrap::{cluster, upstream_filtered};
use btp_tests::{Builder, Envoy, Route, Upstream};
use serde_json::json;

/// Routes and what they lead to.
const ROUTES: [(&str, &str); 3] = [("one", "near"), ("two", "near"), ("three", "far")];

struct Bench {
    envoy: Envoy,
    upstream: Upstream,
}

impl Bench {
    /// `percent` of an hour's requests, and one retry an hour on top.
    async fn start(scope: &str, percent: u32, gate: bool) -> Result<Self> {
        let plugin = |position: &str| {
            json!({"position": position, "policies": [{"metadata": {"name": "p"}, "spec": {
                "retry": {"numRetries": 1},
                "retryConstraint": {"scope": scope,
                    "budget": {"percent": percent, "interval": "1h"},
                    "minRetryRate": {"count": 1, "interval": "1h"}}}}]})
        };
        let upstream = Upstream::start().await?;
        let mut builder = Builder::new().plugin(&plugin("Downstream"));
        for name in ["near", "far"] {
            let mut backend = cluster(name, upstream.addr());
            if gate {
                backend = upstream_filtered(backend, &plugin("Upstream"))?;
            }
            builder = builder.raw_cluster(backend);
        }
        for (route, cluster) in ROUTES {
            builder = builder.route(Route::cluster(&format!("/{route}/"), cluster).named(route));
        }
        let envoy = Envoy::start(&builder.build()?).await?;
        Ok(Self { envoy, upstream })
    }

    /// Sends so many requests that get this status; how often they were retried.
    async fn retries(&self, route: &str, status: u16, requests: usize) -> Result<usize> {
        self.upstream.clear();
        for _ in 0..requests {
            let response = self.envoy.get(&format!("/{route}/status/{status}")).await?;
            ensure!(response.status == status && response.header("x-upstream").is_some());
        }
        Ok(self.upstream.requests().len() - requests)
    }

    async fn stat(&self, budget: &str, name: &str) -> Result<Option<u64>> {
        let name = format!("wasmcustom.btp.default.p{budget}.retry_budget_{name}");
        self.envoy.stat(&name).await
    }
}

/// Each budget has its floor's one retry and no more, whoever takes it.
#[tokio::test(flavor = "multi_thread")]
async fn one_is_exhausted_and_others_are_not() -> Result<()> {
    for gate in [true, false] {
        for (scope, wanted, names) in [
            ("Policy", [1, 0, 0], &[""][..]),
            (
                "Route",
                [1, 1, 1],
                &[".btp_route.one", ".btp_route.two", ".btp_route.three"],
            ),
            (
                "Cluster",
                [1, 0, 1],
                &[".btp_cluster.near", ".btp_cluster.far"],
            ),
        ] {
            let bench = Bench::start(scope, 0, gate).await?;
            for ((route, _), wanted) in ROUTES.into_iter().zip(wanted) {
                let retries = bench.retries(route, 503, 5).await?;
                ensure!(
                    retries == wanted,
                    "{scope}, gate {gate}: {route} was retried {retries} times, not {wanted}"
                );
            }
            for name in names {
                let used = bench.stat(name, "min_retries").await?;
                ensure!(
                    used == Some(1),
                    "{scope}, gate {gate}: {name} used {used:?}"
                );
            }
            bench.envoy.assert_vm_alive().await?;
        }
    }
    Ok(())
}

/// What one route's requests pay for, another's retries can have if they
/// share the budget, and only then.
#[tokio::test(flavor = "multi_thread")]
async fn requests_pay_for_those_they_share_with() -> Result<()> {
    const FINE: usize = 50;
    // The last one meets what the tenth before it has paid for.
    const FAILING: usize = 11;
    for gate in [true, false] {
        for (scope, wanted) in [
            // A tenth of the 60 requests before, and the floor's.
            ("Policy", [("two", 7), ("three", 1)]),
            // A tenth of its own 10, and the floor's.
            ("Route", [("two", 2), ("three", 2)]),
            ("Cluster", [("two", 7), ("three", 2)]),
        ] {
            let bench = Bench::start(scope, 10, gate).await?;
            ensure!(bench.retries("one", 200, FINE).await? == 0);
            for (route, wanted) in wanted {
                let retries = bench.retries(route, 503, FAILING).await?;
                ensure!(
                    retries == wanted,
                    "{scope}, gate {gate}: {route} was retried {retries} times, not {wanted}"
                );
            }
            bench.envoy.assert_vm_alive().await?;
        }
    }
    Ok(())
}
