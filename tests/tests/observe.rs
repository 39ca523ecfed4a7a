//! What `docker compose --profile observe` shows, with a real Prometheus: a load whose
//! numbers are known, and every query of the dashboard must give them. Grafana is not here:
//! that it can draw the dashboard is checked by its structure (`tests/src/dashboard.rs`).

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use btp_tests::bootstrap::{cluster, read_yaml, upstream_filtered};
use btp_tests::dashboard::Dashboard;
use btp_tests::prometheus::{CONFIG, Sample};
use btp_tests::setup::labelled;
use btp_tests::{Body, Build, Builder, Envoy, Prometheus, Request, Route, Upstream, repo, wait};
use regex_lite::Regex;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(30);
const WORKERS: u32 = 2;

/// What `$__rate_interval` is replaced by: all that Prometheus has seen of the load.
const WINDOW: &str = "300s";
const WINDOW_S: f64 = 300.0;

/// How long requests are held while a scrape looks at them.
const HELD: Duration = Duration::from_secs(4);
const ROUTES: [&str; 6] = ["limits", "late", "broken", "pages", "bodies", "retries"];

/// When a query is evaluated.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    /// At a scrape while requests are held.
    Meanwhile,
    /// At the last scrape, when nothing happens any more.
    End,
}

/// How the values of a query are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    /// The value itself.
    Exactly(f64),
    /// A rate over [`WINDOW`] that ends with the last scrape and begins before the first one.
    /// All counters are there from the start, at zero: Prometheus then adds nothing to what
    /// it saw, so that rate × window is the count.
    Counted(f64),
    /// From here to there, both included.
    Between(f64, f64),
    /// The same of a rate × window.
    CountedBetween(f64, f64),
}

/// A panel, the letter of its query, when, and all series that it gives: labels in the order
/// of [`SHOWN`], and a value.
type Row = (&'static str, &'static str, At, Vec<(&'static str, Is)>);

/// The labels that tell series of a panel apart, but for the Envoy's and the namespace's,
/// which all have in common.
const SHOWN: [&str; 6] = [
    "btp_policy",
    "btp_rule",
    "btp_class",
    "btp_route",
    "btp_cluster",
    "btp_vm",
];

/// What was counted outside of the filter.
#[derive(Clone, Copy, Debug)]
struct Retries {
    requests: f64,
    retries: f64,
    refused: f64,
}

fn policy(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    spec["targetRefs"] = json!([
        {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name}]);
    json!({"metadata": {"name": name}, "spec": spec})
}

/// One for each route of [`ROUTES`], with all capabilities that count anything.
fn plugin(position: &str) -> Value {
    let with = |name: &str| json!([{"headers": [{"name": "x-rule", "value": name}]}]);
    let limits = json!({"rateLimit": {"local": {"rules": [
        {"name": "few", "clientSelectors": with("few"), "limit": {"requests": 2, "unit": "Hour"}},
        {"name": "shadow", "clientSelectors": with("shadow"), "shadowMode": true,
            "limit": {"requests": 1, "unit": "Hour"}},
        {"name": "queue", "clientSelectors": with("queue"), "queue": {"maxDelay": "9s"},
            "limit": {"requests": 2, "unit": "Second", "burst": 1}},
        {"name": "keyed", "limit": {"requests": 9, "unit": "Hour"},
            "clientSelectors": [{"headers": [{"name": "x-rule", "value": "keyed"},
                {"name": "x-user", "type": "Distinct", "onMissing": "Refuse"}]}]},
        {"name": "places", "clientSelectors": with("places"), "concurrency": {"max": 2,
            "classes": [{"name": "vip", "reserved": "50%",
                "clientSelectors": [{"headers": [{"name": "x-vip", "value": "1"}]}]}]}}]}}});
    let page = json!([{"name": "gone", "match": {"statusCodes": [{"value": 410}]},
        "response": {"statusCode": 404}}]);
    json!({"position": position, "allowOnHeadersStopIteration": true, "policies": [
        policy("limits", limits),
        policy("late", json!({"faultInjection": {"delay": {"fixedDelay": "4s"}, "maxActive": 2}})),
        policy("broken", json!({"faultInjection": {"abort": {"httpStatus": 503}}})),
        policy("pages", json!({"responseOverride": page})),
        policy("bodies", json!({"requestBuffer": {"limit": "1Ki", "maxTotal": "2Ki"}})),
        policy("retries", json!({
            "retry": {"numRetries": 1, "retryOn": {"triggers": ["5xx"]}},
            "retryConstraint": {"budget": {"percent": 20, "interval": "60s"},
                "minRetryRate": {"count": 1, "interval": "1h"}, "reportExhausted": true}})),
    ]})
}

async fn start(upstream: &Upstream) -> Result<Envoy> {
    let mut builder = Builder::new()
        .plugin(&plugin("Downstream"))
        .stop_iteration(true)
        .concurrency(WORKERS)
        .raw_cluster(upstream_filtered(
            cluster("backend", upstream.addr()),
            &plugin("Upstream"),
        )?);
    for name in ROUTES {
        builder = builder.route(Route::cluster(&format!("/{name}"), "backend").named(name));
    }
    Envoy::start(&labelled(builder.build()?)?).await
}

fn with_rule(path: &str, rule: &str) -> Request {
    Request::get(path).header("x-rule", rule)
}

async fn statuses(envoy: &Envoy, request: Request, wanted: &[u16]) -> Result<()> {
    for wanted in wanted {
        let came = envoy.send(request.clone()).await?.status;
        ensure!(came == *wanted, "{request:?}: {came}, not {wanted}");
    }
    Ok(())
}

/// Holds requests, and yields when Prometheus has seen them. Histograms come with their first
/// value, so that these are the first delayed and queued ones.
async fn hold(envoy: &Envoy, prometheus: &Prometheus) -> Result<f64> {
    let addr = envoy.addr();
    let slow = format!("/limits?delay={}", HELD.as_millis());
    let half = |byte: &[u8]| (HELD, byte.repeat(300));
    let mut held = JoinSet::new();
    for request in [
        with_rule(&slow, "places"),
        with_rule(&slow, "places").header("x-vip", "1"),
        Request::get("/late"),
        Request::get("/late"),
        Request::post("/bodies", "").body(Body::streamed([
            (Duration::ZERO, b"a".repeat(300)),
            half(b"b"),
        ])),
    ] {
        held.spawn(async move { btp_tests::client::h1::send(addr, request).await });
    }
    let seen = "(sum(btp_rate_limit_in_flight) == 2) and on() (sum(btp_fault_active) == 2) \
                and on() (sum(btp_request_buffer_bytes) > 0)";
    let scrape = wait::until_async("what is held to be seen", PATIENCE, async || {
        let Some(at) = prometheus.last_scrape().await? else {
            return Ok(None);
        };
        let found = prometheus.query(seen, Some(at)).await?;
        Ok((!found.is_empty()).then_some(at))
    })
    .await?;
    statuses(envoy, with_rule("/limits", "places"), &[429; 2]).await?;
    let vip = with_rule("/limits", "places").header("x-vip", "1");
    statuses(envoy, vip, &[429]).await?;
    statuses(envoy, Request::get("/late"), &[200]).await?;
    queue(envoy).await?;
    while let Some(response) = held.join_next().await {
        let status = response??.status;
        ensure!(status == 200, "a held request is answered {status}");
    }
    Ok(scrape)
}

/// Four requests at once, to a rule that lets one pass each half second.
async fn queue(envoy: &Envoy) -> Result<()> {
    let addr = envoy.addr();
    let mut waiting = JoinSet::new();
    for _ in 0..4 {
        let request = with_rule("/limits", "queue");
        waiting.spawn(async move { btp_tests::client::h1::send(addr, request).await });
    }
    while let Some(response) = waiting.join_next().await {
        let status = response??.status;
        ensure!(status == 200, "a queued request is answered {status}");
    }
    Ok(())
}

async fn retries(envoy: &Envoy, upstream: &Upstream) -> Result<Retries> {
    const REQUESTS: usize = 40;
    let mut refused = 0.0;
    for _ in 0..REQUESTS {
        let response = envoy.get("/retries/status/503").await?;
        ensure!(response.status == 503);
        if response.header("x-btp-retry-budget").is_some() {
            refused += 1.0;
        }
    }
    let tries = upstream.requests_under("/retries").len();
    let retries = tries.checked_sub(REQUESTS).context("requests are lost")? as f64;
    ensure!(retries > 0.0 && refused > 0.0, "{retries}, {refused}");
    Ok(Retries {
        requests: REQUESTS as f64,
        retries,
        refused,
    })
}

async fn load(envoy: &Envoy, upstream: &Upstream) -> Result<Retries> {
    statuses(
        envoy,
        with_rule("/limits", "few"),
        &[200, 200, 429, 429, 429],
    )
    .await?;
    statuses(envoy, with_rule("/limits", "shadow"), &[200; 5]).await?;
    statuses(envoy, with_rule("/limits", "keyed"), &[400; 2]).await?;
    statuses(envoy, Request::get("/broken"), &[503; 4]).await?;
    statuses(envoy, Request::get("/pages/status/410"), &[404; 2]).await?;
    statuses(envoy, Request::post("/bodies", [0; 2000]), &[413]).await?;
    statuses(envoy, Request::post("/bodies", [0; 500]), &[200]).await?;
    let (queued, late) = tokio::join!(queue(envoy), statuses(envoy, Request::get("/late"), &[200]));
    queued.and(late)?;
    retries(envoy, upstream).await
}

fn name_of(sample: &Sample) -> String {
    let shown = SHOWN.iter().filter_map(|label| sample.labels.get(*label));
    let shown: Vec<&str> = shown.map(String::as_str).collect();
    shown.join(" ")
}

/// What every query of the dashboard must give.
fn expected(build: Build, retries: Retries) -> Vec<Row> {
    use At::{End, Meanwhile};
    use Is::{Between, Counted, CountedBetween, Exactly};
    let one = |value: f64| vec![("", Exactly(value))];
    let counted = |series: &[(&'static str, f64)]| {
        let counted = series.iter().map(|(name, count)| (*name, Counted(*count)));
        counted.collect::<Vec<_>>()
    };
    let rules = |counts: [f64; 4]| {
        let names = [
            "limits few",
            "limits keyed",
            "limits places",
            "limits queue",
        ];
        names
            .into_iter()
            .zip(counts)
            .map(|(name, count)| (name, Counted(count)))
    };
    let refused = rules([3.0, 0.0, 3.0, 0.0]).collect();
    let with_shadow = |counts, shadow| {
        let all = rules(counts).chain([("limits shadow", Counted(shadow))]);
        all.collect::<Vec<_>>()
    };
    let none = || with_shadow([0.0; 4], 0.0);
    let zero = |name| vec![(name, Counted(0.0))];
    // Of three requests that wait 0.5, 1 and 1.5 s, less what passes between them; twice, and
    // the first time is not in the rate, as a histogram comes with its first value. Prometheus
    // adds for that half an interval of a second at most, to at least three.
    let waited = vec![("limits queue", CountedBetween(1.0, 3.5))];
    // All delays are in the bucket from 2.5 to 5 s, within which a quantile is interpolated.
    let (median, last) = (2500.0 + 0.5 * 2500.0, 2500.0 + 0.99 * 2500.0);
    let mut rows = vec![
        ("Policies are off", "A", End, one(0.0)),
        ("Workers on an older configuration", "A", End, one(0.0)),
        ("Machines replaced, last hour", "A", End, one(0.0)),
        ("Panics, last hour", "A", End, one(0.0)),
        ("Alerts", "A", End, one(0.0)),
        ("Envoys", "A", End, one(1.0)),
        ("Refused", "A", End, refused),
        (
            "Would be refused",
            "A",
            End,
            counted(&[("limits shadow", 4.0)]),
        ),
        ("Let pass", "A", End, with_shadow([2.0, 0.0, 2.0, 8.0], 1.0)),
        (
            "Too many in flight",
            "A",
            End,
            counted(&[("limits places", 3.0)]),
        ),
        (
            "Too many in flight",
            "B",
            End,
            counted(&[("limits places vip", 1.0)]),
        ),
        (
            "In flight",
            "A",
            Meanwhile,
            vec![("limits places", Exactly(2.0))],
        ),
        ("In flight", "A", End, vec![("limits places", Exactly(0.0))]),
        ("Without a key", "A", End, counted(&[("limits keyed", 2.0)])),
        ("Shared buckets, lost races", "A", End, none()),
        ("Shared buckets, lost races", "B", End, none()),
        ("Waiting now", "A", End, waited),
        (
            "Waiting now",
            "B",
            Meanwhile,
            vec![("broken", Exactly(0.0)), ("late", Exactly(2.0))],
        ),
        (
            "Waiting now",
            "B",
            End,
            vec![("broken", Exactly(0.0)), ("late", Exactly(0.0))],
        ),
        (
            "Time in queues",
            "A",
            End,
            vec![("limits queue", Between(250.0, 1000.0))],
        ),
        (
            "Time in queues",
            "B",
            End,
            vec![("limits queue", Between(1000.0, 2500.0))],
        ),
        (
            "Time of delays",
            "A",
            End,
            vec![("late", Between(median - 1.0, median + 1.0))],
        ),
        (
            "Time of delays",
            "B",
            End,
            vec![("late", Between(last - 1.0, last + 1.0))],
        ),
        ("Queued", "A", End, counted(&[("limits queue", 6.0)])),
        (
            "Delayed and aborted",
            "A",
            End,
            counted(&[("broken", 0.0), ("late", 3.0)]),
        ),
        (
            "Delayed and aborted",
            "B",
            End,
            counted(&[("broken", 4.0), ("late", 0.0)]),
        ),
        (
            "Delayed and aborted",
            "C",
            End,
            counted(&[("broken", 0.0), ("late", 1.0)]),
        ),
        ("Overridden", "A", End, counted(&[("pages gone", 2.0)])),
        ("Bodies refused", "A", End, counted(&[("bodies", 1.0)])),
        (
            "Bytes set aside",
            "A",
            Meanwhile,
            vec![("bodies", Exactly(1024.0))],
        ),
        ("Bytes set aside", "A", End, vec![("bodies", Exactly(0.0))]),
        (
            "Requests and retries",
            "A",
            End,
            counted(&[("retries", retries.requests)]),
        ),
        // minRetryRate pays for one an hour, if the budget does not.
        (
            "Requests and retries",
            "B",
            End,
            vec![(
                "retries",
                CountedBetween(retries.retries - 1.0, retries.retries),
            )],
        ),
        (
            "Requests and retries",
            "C",
            End,
            vec![("retries", CountedBetween(0.0, 1.0))],
        ),
        (
            "Retries refused",
            "A",
            End,
            counted(&[("retries", retries.refused)]),
        ),
        (
            "Retries per request",
            "A",
            End,
            vec![("retries", Exactly(retries.retries / retries.requests))],
        ),
        // A fifth of the requests pays, and all retries were asked for.
        ("Balance", "A", End, vec![("retries", Between(0.0, 1.0))]),
    ];
    for letter in ["A", "B", "C", "D"] {
        rows.push(("Not overridden as wished", letter, End, zero("pages")));
    }
    for letter in ["B", "C", "D", "E", "F"] {
        rows.push(("Bodies refused", letter, End, zero("bodies")));
    }
    let machines = |value: Is| match build {
        Build::Wasm => vec![("", value)],
        Build::Module => Vec::new(),
    };
    let has = Between(1e6, 64e6);
    let both = match build {
        Build::Wasm => vec![("0", has), ("1", has)],
        Build::Module => Vec::new(),
    };
    rows.extend([
        ("Memory", "A", End, both),
        ("Largest", "A", End, machines(has)),
        (
            "Machines",
            "A",
            End,
            machines(Exactly(f64::from(WORKERS) + 2.0)),
        ),
        ("Machines", "B", End, machines(Exactly(0.0))),
    ]);
    rows
}

/// What is wrong with an answer.
fn difference(found: &[Sample], wanted: &[(&str, Is)]) -> Option<String> {
    let is_right = |name: &str, value: f64| {
        let wanted = wanted.iter().find(|(it, _)| *it == name);
        wanted.is_some_and(|(_, is)| is.holds(value))
    };
    let all = found
        .iter()
        .all(|sample| is_right(&name_of(sample), sample.value));
    if all && found.len() == wanted.len() {
        return None;
    }
    let found: Vec<_> = found.iter().map(|it| (name_of(it), it.value)).collect();
    Some(format!("{found:?}, not {wanted:?}"))
}

impl Is {
    fn holds(self, found: f64) -> bool {
        const ROUNDING: f64 = 1e-6;
        let is_within =
            |value: f64, from: f64, to: f64| (from - ROUNDING..=to + ROUNDING).contains(&value);
        match self {
            Self::Exactly(value) => is_within(found, value, value),
            Self::Counted(count) => is_within(found * WINDOW_S, count, count),
            Self::Between(from, to) => is_within(found, from, to),
            Self::CountedBetween(from, to) => is_within(found * WINDOW_S, from, to),
        }
    }
}

/// A query without a row fails, and so does a row without a query; both builds have the
/// same rows, but for the virtual machines.
#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_the_dashboard_gives_what_the_load_caused() -> Result<()> {
    let board = Dashboard::load()?;
    let upstream = Upstream::start().await?;
    let envoy = start(&upstream).await?;
    let prometheus = Prometheus::start(&envoy).await?;
    // Everything is to be seen at zero first.
    prometheus.scrapes_again(1).await?;
    let meanwhile = hold(&envoy, &prometheus).await?;
    prometheus.scrapes_again(2).await?;
    let retries = load(&envoy, &upstream).await?;
    // Envoy adds up histograms once a second.
    let end = prometheus.scrapes_again(3).await?;

    let mut rows = expected(Build::under_test()?, retries);
    let mut wrong = Vec::new();
    for query in board.queries() {
        let (panel, letter) = (query.panel, query.letter);
        let is_of_query = |row: &mut Row| row.0 == panel && row.1 == letter;
        let asked: Vec<Row> = rows.extract_if(.., is_of_query).collect();
        if asked.is_empty() {
            wrong.push(format!(
                "{panel}, {letter}: no row of this test is about it"
            ));
        }
        let expression = board.substituted(query.expression, WINDOW, &[]);
        for (_, _, at, wanted) in asked {
            let time = if at == At::End { end } else { meanwhile };
            let found = prometheus.query(&expression, Some(time)).await?;
            if let Some(difference) = difference(&found, &wanted) {
                wrong.push(format!("{panel}, {letter}, {at:?}: {difference}"));
            }
        }
        if query.expression.contains("$policy") {
            let chosen = [("policy", "nobody")];
            let expression = board.substituted(query.expression, WINDOW, &chosen);
            let found = prometheus.query(&expression, Some(end)).await?;
            if !found.is_empty() {
                wrong.push(format!("{panel}, {letter}: shows other policies, too"));
            }
        }
    }
    wrong.extend(
        rows.iter()
            .map(|row| format!("{}, {}: no such query", row.0, row.1)),
    );
    ensure!(wrong.is_empty(), "{wrong:#?}");

    let admin = envoy.admin_addr().to_string();
    let mut policies = ROUTES.to_vec();
    policies.sort_unstable();
    let choices: [(&str, Vec<&str>); 4] = [
        ("instance", vec![&admin]),
        ("namespace", vec!["default"]),
        ("policy", policies),
        (
            "rule",
            vec!["few", "gone", "keyed", "places", "queue", "shadow"],
        ),
    ];
    ensure!(board.variables().len() == choices.len());
    for (variable, (name, wanted)) in board.variables().iter().zip(choices) {
        let (selector, label) = variable.asks()?;
        let selector = board.substituted(selector, WINDOW, &[]);
        let found = prometheus.label_values(label, &selector).await?;
        ensure!(
            variable.name == name && found == wanted,
            "${}: {found:?}, not {wanted:?}",
            variable.name
        );
    }
    Ok(())
}

fn promtool(arguments: &[&str]) -> Result<()> {
    let folder = repo::path(CONFIG);
    let folder = folder.parent().context("is in a folder")?;
    let mut promtool = Command::new(repo::promtool()?);
    let output = promtool.args(arguments).current_dir(folder).output()?;
    ensure!(
        output.status.success(),
        "promtool {arguments:?}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[test]
fn rules_and_configuration_are_valid() -> Result<()> {
    promtool(&["check", "config", "prometheus.yaml"])?;
    promtool(&["check", "rules", "rules.yaml", "alerts.yaml"])
}

#[test]
fn each_alert_fires_and_does_not_fire() -> Result<()> {
    promtool(&["test", "rules", "alerts_test.yaml"])?;
    let tests = read_yaml(&repo::path("envoy/observe/alerts_test.yaml"))?;
    let tests = tests["tests"].as_array().context("has tests")?;
    let tested: Vec<&Value> = tests
        .iter()
        .flat_map(|test| test["alert_rule_test"].as_array())
        .flatten()
        .collect();
    let guide = fs::read_to_string(repo::path("docs/guides/observe.md"))?;
    for alert in alerts()? {
        let of_alert = || tested.iter().filter(|it| it["alertname"] == *alert);
        let fires = |it: &&Value| it["exp_alerts"].as_array().is_some_and(|it| !it.is_empty());
        let is_tested = of_alert().any(fires) && !of_alert().all(fires);
        ensure!(is_tested, "{alert} is tested by half");
        ensure!(
            guide.contains(&format!("### {alert}\n")),
            "{alert}: no advice"
        );
    }
    Ok(())
}

fn alerts() -> Result<Vec<String>> {
    let file = read_yaml(&repo::path("envoy/observe/alerts.yaml"))?;
    let groups = file["groups"].as_array().context("has groups")?;
    let rules = groups.iter().flat_map(|group| group["rules"].as_array());
    let mut names = Vec::new();
    for rule in rules.flatten() {
        let name = rule["alert"].as_str().context("is an alert")?;
        let runbook = rule["annotations"]["runbook"].as_str().unwrap_or_default();
        let wanted = format!("docs/guides/observe.md#{}", name.to_lowercase());
        ensure!(runbook == wanted, "{name}: {runbook}, not {wanted}");
        names.push(name.to_owned());
    }
    Ok(names)
}

/// What nobody counts would never fire, and never show.
#[test]
fn all_series_are_those_of_the_reference() -> Result<()> {
    let page = fs::read_to_string(repo::path("docs/reference/metrics.md"))?;
    let name = Regex::new(r"\bbtp_[a-z_]+\b")?;
    let mut used = BTreeSet::new();
    for file in [
        "rules.yaml",
        "alerts.yaml",
        "alerts_test.yaml",
        "grafana/dashboards/btp.json",
    ] {
        let text = fs::read_to_string(repo::path("envoy/observe").join(file))?;
        used.extend(name.find_iter(&text).map(|it| it.as_str().to_owned()));
    }
    ensure!(used.len() > 30, "only {used:?}");
    let unknown: Vec<&String> = used
        .iter()
        .filter(|name| {
            let ends = ["_bucket", "_sum"];
            let base = ends.iter().find_map(|end| name.strip_suffix(end));
            !page.contains(&format!("`{}`", base.unwrap_or(name)))
        })
        .collect();
    ensure!(unknown.is_empty(), "{unknown:?}");
    Ok(())
}
