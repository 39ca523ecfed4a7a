//! What Prometheus scrapes: the same series with both builds, wherever the filter is, under
//! the labels that the shipped configurations make.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use btp_tests::bootstrap::{cluster, upstream_filtered, wasm_filter};
use btp_tests::setup::labelled;
use btp_tests::{Builder, Envoy, Request, Route, Upstream, wait};
use regex_lite::Regex;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);
const CODEC: &str =
    "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec";

/// Where an instance at the upstream position is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Behind {
    Router,
    Cluster,
}

/// Series and their values, without labels that are empty or Envoy's own.
type Series = BTreeMap<String, u64>;

fn plugin(position: &str, spec: &Value) -> Value {
    json!({"position": position, "policies":
        [{"metadata": {"namespace": "team", "name": "p.q"}, "spec": spec}]})
}

/// What Prometheus makes of the statistics whose names begin so.
async fn scraped(envoy: &Envoy, prefix: &str) -> Result<Series> {
    let text = envoy.admin_get("/stats/prometheus").await?;
    // As docs/reference/metrics.md says.
    let of_cluster = Regex::new("^envoy_cluster_.+_dynamicmodulescustom_(btp_.+)$")?;
    let mut found = Series::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let (name, labels) = name.split_once('{').context("has labels")?;
        let name = of_cluster.replace(name, "$1");
        if !name.starts_with(prefix) || name.ends_with("_bucket") || name.ends_with("_sum") {
            continue;
        }
        let labels: Vec<&str> = labels
            .trim_end_matches('}')
            .split(',')
            .filter(|it| !it.ends_with("=\"\"") && !it.starts_with("envoy_"))
            .collect();
        let value: f64 = value.parse().context("is a number")?;
        #[expect(
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            reason = "counts"
        )]
        let value = value as u64;
        *found
            .entry(format!("{name}{{{}}}", labels.join(",")))
            .or_default() += value;
    }
    Ok(found)
}

/// Waits until the series with these names are these and no others.
async fn wait_for(envoy: &Envoy, prefix: &str, wanted: &[(&str, u64)]) -> Result<()> {
    let whose = r#"btp_namespace="team",btp_policy="p.q""#;
    let wanted: Series = wanted
        .iter()
        .map(|(name, value)| (name.replace('@', whose), *value))
        .collect();
    let mut last = Series::new();
    let waited = wait::until_async("the series", PATIENCE, async || {
        last = scraped(envoy, prefix).await?;
        Ok((last == wanted).then_some(()))
    });
    waited
        .await
        .with_context(|| format!("there are {last:#?}, not {wanted:#?}"))
}

/// Waits until these series are there, at zero, beside others.
async fn wait_for_all(envoy: &Envoy, prefix: &str, wanted: &[&str]) -> Result<()> {
    let whose = r#"btp_namespace="team",btp_policy="p.q""#;
    wait::until_async("series at zero", PATIENCE, async || {
        let all = scraped(envoy, prefix).await?;
        let is_zero = |name: &&str| all.get(&name.replace('@', whose)) == Some(&0);
        Ok(wanted.iter().all(is_zero).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_has_a_series_for_each_rule_from_the_start() -> Result<()> {
    let spec = json!({
        "rateLimit": {"local": {"rules": [
            {"name": "few", "clientSelectors": [{"headers": [{"name": "x-few", "value": "1"}]}],
                "limit": {"requests": 2, "unit": "Hour"}},
            {"clientSelectors": [{"path": {"type": "Exact", "value": "/slow"}}],
                "limit": {"requests": 10, "unit": "Second", "burst": 1},
                "queue": {"maxDelay": "5s"}},
            {"name": "places", "concurrency": {"max": 100, "classes":
                [{"name": "all", "reserved": "10%"}]}, "shadowMode": true}]}},
        "responseOverride": [
            {"name": "gone", "match": {"statusCodes": [{"value": 410}]},
                "response": {"statusCode": 404}},
            {"match": {"statusCodes": [{"value": 503}]}, "response": {"statusCode": 500}}],
        "faultInjection": {"delay": {"fixedDelay": "5ms"},
            "match": [{"headers": [{"name": "x-late", "value": "1"}]}]}});
    let upstream = Upstream::start().await?;
    let bootstrap = Builder::new()
        .plugin(&plugin("Downstream", &spec))
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr())
        .build()?;
    let envoy = Envoy::start(&labelled(bootstrap)?).await?;

    let few = |count| {
        [
            (r#"btp_rate_limit_admitted{@,btp_rule="few"}"#, count),
            (r#"btp_rate_limit_limited{@,btp_rule="few"}"#, 0),
        ]
    };
    let zero = |name: &'static str| (name, 0);
    let start: Vec<(&str, u64)> = few(0)
        .into_iter()
        .chain(
            [
                r#"btp_rate_limit_overflows{@,btp_rule="few"}"#,
                r#"btp_rate_limit_store_contended{@,btp_rule="few"}"#,
                r#"btp_rate_limit_admitted{@,btp_rule="rule-4bead684"}"#,
                r#"btp_rate_limit_limited{@,btp_rule="rule-4bead684"}"#,
                r#"btp_rate_limit_queued{@,btp_rule="rule-4bead684"}"#,
                r#"btp_rate_limit_overflows{@,btp_rule="rule-4bead684"}"#,
                r#"btp_rate_limit_store_contended{@,btp_rule="rule-4bead684"}"#,
                r#"btp_rate_limit_admitted{@,btp_rule="places"}"#,
                r#"btp_rate_limit_shadow_limited{@,btp_rule="places"}"#,
                r#"btp_rate_limit_concurrency_limited{@,btp_rule="places"}"#,
                r#"btp_rate_limit_class_limited{@,btp_rule="places",btp_class="all"}"#,
                r#"btp_rate_limit_in_flight{@,btp_rule="places"}"#,
                r#"btp_rate_limit_overflows{@,btp_rule="places"}"#,
                r#"btp_rate_limit_store_contended{@,btp_rule="places"}"#,
            ]
            .map(zero),
        )
        .collect();
    let no_debug = async |wanted: &[(&str, u64)]| wait_for(&envoy, "btp_rate_limit_", wanted).await;
    no_debug(&start).await?;

    for (path, header, wanted) in [
        ("/", ("x-few", "1"), 200),
        ("/", ("x-few", "1"), 200),
        ("/", ("x-few", "1"), 429),
        ("/slow", ("x-few", "0"), 200),
        ("/slow", ("x-few", "0"), 200),
        ("/", ("x-late", "1"), 200),
        ("/status/410", ("x-few", "0"), 404),
        ("/status/503", ("x-few", "0"), 500),
        ("/status/503", ("x-few", "0"), 500),
    ] {
        let request = Request::new("GET", path).header(header.0, header.1);
        let came = envoy.send(request).await?;
        ensure!(came.status == wanted, "{path} {header:?}: {}", came.status);
    }
    wait_for(
        &envoy,
        "btp_fault_",
        &[
            ("btp_fault_aborts_injected{@}", 0),
            ("btp_fault_active{@}", 0),
            ("btp_fault_delay_milliseconds_count{@}", 1),
            ("btp_fault_delays_injected{@}", 1),
            ("btp_fault_overflow{@}", 0),
        ],
    )
    .await?;
    wait_for(
        &envoy,
        "btp_response",
        &[
            ("btp_responses_overridden{@}", 3),
            (
                r#"btp_response_override_responses_overridden{@,btp_rule="gone"}"#,
                1,
            ),
            (
                r#"btp_response_override_responses_overridden{@,btp_rule="rule-7b7a492d"}"#,
                2,
            ),
        ],
    )
    .await?;
    for (name, value) in [
        ("btp_rate_limit_queue_milliseconds", 1),
        ("btp_rate_limit_queued", 1),
        ("btp_rate_limit_limited", 1),
    ] {
        let all = scraped(&envoy, name).await?;
        ensure!(all.values().sum::<u64>() == value, "{name}: {all:?}");
    }
    Ok(())
}

/// Each budget's route or cluster is a label, whatever is in the policy's name.
#[tokio::test(flavor = "multi_thread")]
async fn a_budget_of_a_route_has_its_name_as_label() -> Result<()> {
    for (scope, label) in [
        ("Policy", ""),
        ("Route", ",btp_route=\"one-1\""),
        ("Cluster", ",btp_cluster=\"back_end\""),
    ] {
        let spec = json!({"retry": {"numRetries": 1}, "retryConstraint": {"scope": scope}});
        let upstream = Upstream::start().await?;
        let backend = upstream_filtered(
            cluster("back.end", upstream.addr()),
            &plugin("Upstream", &spec),
        )?;
        let bootstrap = Builder::new()
            .plugin(&plugin("Downstream", &spec))
            .route(Route::cluster("/", "back.end").named("one-1"))
            .raw_cluster(backend)
            .build()?;
        let envoy = Envoy::start(&labelled(bootstrap)?).await?;
        if scope == "Policy" {
            let start = [
                "btp_retry_budget_balance{@}",
                "btp_retry_budget_min_retries{@}",
                "btp_retry_budget_refused{@}",
                "btp_retry_budget_requests{@}",
                "btp_retry_budget_retries{@}",
            ];
            wait_for_all(&envoy, "btp_retry_budget_", &start).await?;
        }
        envoy.get("/").await?;
        let name = |what: &str| format!("btp_retry_budget_{what}{{@{label}}}");
        let (requests, retries, min, refused) = (
            name("requests"),
            name("retries"),
            name("min_retries"),
            name("refused"),
        );
        wait::until_async("the budget", PATIENCE, async || {
            let all = scraped(&envoy, "btp_retry_budget_").await?;
            let whose = r#"btp_namespace="team",btp_policy="p.q""#;
            let of = |name: &str| all.get(&name.replace('@', whose)).copied();
            let found = [&requests, &retries, &min, &refused].map(|name| of(name));
            Ok((found == [Some(1), Some(0), Some(0), Some(0)]).then_some(()))
        })
        .await
        .context(scope)?;
    }
    Ok(())
}

/// What an instance behind the router counts has the same name, with and without one in
/// front of it.
#[tokio::test(flavor = "multi_thread")]
async fn instances_behind_the_router_count_under_the_same_names() -> Result<()> {
    let spec = json!({"faultInjection": {"position": "Upstream", "delay": {"fixedDelay": "5ms"}}});
    for behind in [Behind::Router, Behind::Cluster] {
        for is_in_front in [true, false] {
            let upstream = Upstream::start().await?;
            let mut backend = cluster("back.end", upstream.addr());
            if behind == Behind::Cluster {
                backend = upstream_filtered(backend, &plugin("Upstream", &spec))?;
            }
            let mut builder = Builder::new()
                .raw_cluster(backend)
                .route(Route::cluster("/", "back.end"));
            if is_in_front {
                builder = builder.plugin(&plugin("Downstream", &spec));
            }
            let mut bootstrap = builder.build()?;
            if behind == Behind::Router {
                let filter = wasm_filter(&plugin("Upstream", &spec), false)?;
                bootstrap.edit_http("main", |http| {
                    let filters = http["http_filters"].as_array_mut();
                    if let Some(router) = filters.and_then(|filters| filters.last_mut()) {
                        router["typed_config"]["upstream_http_filters"] = json!([filter,
                            {"name": "codec", "typed_config": {"@type": CODEC}}]);
                    }
                })?;
            }
            let envoy = Envoy::start(&labelled(bootstrap)?).await?;
            for _ in 0..3 {
                ensure!(envoy.get("/").await?.status == 200);
            }
            let counted = wait::until_async("the delays", PATIENCE, async || {
                let all = scraped(&envoy, "btp_fault_delay").await?;
                let whose = r#"{btp_namespace="team",btp_policy="p.q"}"#;
                let of = |name: &str| all.get(&format!("{name}{whose}")).copied();
                let found = [
                    "btp_fault_delays_injected",
                    "btp_fault_delay_milliseconds_count",
                ]
                .map(of);
                Ok((found == [Some(3); 2] && all.len() == 2).then_some(()))
            });
            counted
                .await
                .with_context(|| format!("{behind:?} {is_in_front}"))?;
        }
    }
    Ok(())
}

/// Rules that are inserted rename none, and what is beyond the bound counts together.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_the_bound_counts_together() -> Result<()> {
    let rules: Vec<Value> = (0..8)
        .map(|number| {
            json!({"name": format!("r{number}"),
            "clientSelectors": [{"path": {"type": "Exact", "value": format!("/{number}")}}],
            "limit": {"requests": 1, "unit": "Hour"}})
        })
        .collect();
    let mut config = plugin(
        "Downstream",
        &json!({"rateLimit": {"local": {"rules": rules}}}),
    );
    config["limits"] = json!({"metricSeries": 20});
    let upstream = Upstream::start().await?;
    let bootstrap = Builder::new()
        .plugin(&config)
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr())
        .build()?;
    let envoy = Envoy::start(&labelled(bootstrap)?).await?;
    for number in 0..8 {
        for wanted in [200, 429] {
            ensure!(envoy.get(&format!("/{number}")).await?.status == wanted);
        }
    }
    let others =
        r#"btp_rate_limit_limited{btp_namespace="_others",btp_policy="others",btp_rule="others"}"#;
    wait::until_async("those beyond the bound", PATIENCE, async || {
        let all = scraped(&envoy, "btp_rate_limit_limited").await?;
        let own = all.len() as u64 - 1;
        let is_right = all.values().sum::<u64>() == 8 && all.get(others) == Some(&(8 - own));
        Ok((is_right && own >= 3).then_some(()))
    })
    .await?;
    ensure!(
        envoy.log().contains("limits.metricSeries (20)"),
        "nothing is said"
    );
    Ok(())
}
