//! The retry budget of a Service (`XBackendTrafficPolicy`) on the real Envoy: who shares it,
//! and which policy wins. Credit never comes back within a test, so that tries can be
//! counted.

use anyhow::{Result, ensure};
use btp_tests::bootstrap::{cluster, upstream_filtered};
use btp_tests::{Builder, Envoy, Route, Upstream};
use serde_json::{Value, json};

/// Routes and what they lead to: by the cluster's name or its metadata.
const ROUTES: [(&str, &str); 5] = [
    ("bare", "payments"),
    ("governed", "team/payments/80"),
    ("bounded", "payments"),
    ("stock", "anything"),
    ("elsewhere", "other"),
];

/// One retry an hour, and no more.
fn bound() -> Value {
    json!({"budget": {"percent": 0, "interval": "1h"},
        "minRetryRate": {"count": 1, "interval": "1h"}})
}

fn plugin(position: &str) -> Value {
    let of_route = |name: &str, spec: Value| {
        let mut spec = spec;
        spec["targetRefs"] = json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute",
            "name": name}]);
        json!({"metadata": {"namespace": "team", "name": name}, "spec": spec})
    };
    let services =
        ["payments", "stock"].map(|name| json!({"group": "", "kind": "Service", "name": name}));
    json!({
        "position": position,
        "gateway": {"namespace": "team", "name": "g"},
        "policies": [
            {"apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
                "kind": "XBackendTrafficPolicy",
                "metadata": {"namespace": "team", "name": "budgets"},
                "spec": {"targetRefs": services, "retryConstraint": bound()}},
            of_route("governed", json!({"retry": {"numRetries": 1}})),
            of_route("bounded", json!({"retry": {"numRetries": 1}, "retryConstraint": bound()})),
        ]
    })
}

struct Bench {
    envoy: Envoy,
    upstream: Upstream,
}

impl Bench {
    async fn start(gate: bool) -> Result<Self> {
        let upstream = Upstream::start().await?;
        let mut builder = Builder::new().plugin(&plugin("Downstream"));
        for name in ["payments", "team/payments/80", "anything", "other"] {
            let mut backend = cluster(name, upstream.addr());
            if name == "anything" {
                backend["metadata"]["filter_metadata"]["btp"]["backends"] =
                    json!(["team/stock/80"]);
            }
            if gate {
                backend = upstream_filtered(backend, &plugin("Upstream"))?;
            }
            builder = builder.raw_cluster(backend);
        }
        let retried = json!({"retry_on": "5xx", "num_retries": 1});
        for (route, cluster) in ROUTES {
            let mut it = Route::cluster(&format!("/{route}/"), cluster).named(route);
            if !["governed", "bounded"].contains(&route) {
                it = it.edit(|it| it["route"]["retry_policy"] = retried.clone());
            }
            builder = builder.route(it);
        }
        let envoy = Envoy::start(&builder.build()?).await?;
        Ok(Self { envoy, upstream })
    }

    /// Sends five requests that fail; how often they were retried, and what the
    /// last client got.
    async fn retries(&self, route: &str) -> Result<(usize, bool)> {
        self.upstream.clear();
        let mut is_refusal = false;
        for _ in 0..5 {
            let response = self.envoy.get(&format!("/{route}/status/503")).await?;
            ensure!(response.status == 503);
            is_refusal = response.header("x-upstream").is_none();
        }
        Ok((self.upstream.requests().len() - 5, is_refusal))
    }
}

/// Routes to one Service share its one retry, with a policy or without, by whatever name the
/// cluster goes; another Service of the same policy has its own; a route's own bound wins;
/// others are not bounded. Who is refused a retry of a policy gets a 503 of the filter; what
/// a route's own `retry_policy` would retry only Envoy knows.
#[tokio::test(flavor = "multi_thread")]
async fn one_budget_for_all_that_a_service_gets() -> Result<()> {
    for gate in [true, false] {
        let bench = Bench::start(gate).await?;
        for (route, wanted) in [
            ("bare", (1, false)),
            ("governed", (0, true)),
            ("bounded", (1, false)),
            ("stock", (1, false)),
            ("elsewhere", (5, false)),
        ] {
            let found = bench.retries(route).await?;
            ensure!(
                found == wanted,
                "gate {gate}: {route} was retried, and refused, {found:?}, not {wanted:?}"
            );
        }
        bench.envoy.assert_vm_alive().await?;
    }
    Ok(())
}
