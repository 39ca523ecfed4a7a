//! What Prometheus scrapes: the same series with both builds, wherever the filter is, under
//! the labels that the shipped configurations make.

use anyhow::{Context, Result, ensure};
use btp_tests::bootstrap::{cluster, upstream_filtered};
use btp_tests::series::{PATIENCE, POLICY, Place, Series, labelled, plugin, scraped};
use btp_tests::{Builder, Envoy, Request, Route, Upstream, wait};
use serde_json::{Value, json};

/// Waits until the series with these names are these and no others.
async fn wait_for(envoy: &Envoy, prefix: &str, wanted: &[(&str, u64)]) -> Result<()> {
    let wanted: Series = wanted
        .iter()
        .map(|(name, value)| (name.replace('@', POLICY), *value))
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
    wait::until_async("series at zero", PATIENCE, async || {
        let all = scraped(envoy, prefix).await?;
        let is_zero = |name: &&str| all.get(&name.replace('@', POLICY)) == Some(&0);
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
            let of = |name: &str| all.get(&name.replace('@', POLICY)).copied();
            let found = [&requests, &retries, &min, &refused].map(|name| of(name));
            Ok((found == [Some(1), Some(0), Some(0), Some(0)]).then_some(()))
        })
        .await
        .context(scope)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn series_have_the_same_names_wherever_the_filter_is() -> Result<()> {
    for place in Place::ALL {
        place.check().await.with_context(|| format!("{place:?}"))?;
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
