//! What `docker compose --profile observe` shows, with a real Prometheus: a load whose
//! numbers are known, and every query of the dashboard must give them. Grafana is not here:
//! that it can draw the dashboard is checked by its structure (`tests/src/dashboard.rs`).

use anyhow::{Result, ensure};
use btp_tests::dashboard::Dashboard;
use btp_tests::known_load::{ROUTES, Retries, WORKERS, hold, load, start};
use btp_tests::prometheus::Sample;
use btp_tests::{Build, Prometheus, Upstream};

/// What `$__rate_interval` is replaced by: all that Prometheus has seen of the load.
const WINDOW: &str = "300s";
const WINDOW_S: f64 = 300.0;

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
    // Three requests wait 0.5, 1 and 1.5 s, less what passes between them, and that twice. The
    // first time is in the rate only if a scrape came between the histogram's beginning and
    // Envoy's first sum; otherwise Prometheus adds half a second's worth at most.
    let waited = vec![("limits queue", CountedBetween(1.0, 6.5))];
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
