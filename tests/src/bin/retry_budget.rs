//! Retries per request under a 20 % budget: Envoy's two native modes beside
//! ours, in the same run. Writes the table in docs/COMPARE.md, its raw numbers
//! and the plot; `retry_budget plot` draws the plot of the raw numbers that are there.
//!
//! In most rows every try fails, so that each request would need three retries. The
//! upstream counts how many a mode admits. The last rows show what a budget must not cost:
//! success where few tries fail.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use btp_policy::hash::SplitMix64;
use btp_tests::bootstrap::{cluster, upstream_filtered};
use btp_tests::measure::write_table;
use btp_tests::plot::{Bar, Bars, Group, Series, palette};
use btp_tests::{Builder, Envoy, Response, Route, load, repo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};

const TIME: Duration = Duration::from_secs(15);
const WARM_UP: Duration = Duration::from_secs(1);
const RETRIES: u32 = 3;

/// What the backend does, and who asks it.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    first: Duration,
    others: Duration,
    connections: usize,
    /// Of a hundred tries.
    failing: u64,
}

const CASES: [Case; 7] = [
    case("fails at once, 64 connections", 0, 0, 64, 100),
    case("fails after 200 ms, 64 connections", 200, 200, 64, 100),
    case("fails after 200 ms, 256 connections", 200, 200, 256, 100),
    case(
        "slow first try (1 s), then at once, 256 connections",
        1_000,
        0,
        256,
        100,
    ),
    case(
        "3 of 10 tries fail after 200 ms, 256 connections",
        200,
        200,
        256,
        30,
    ),
    case(
        "1 of 10 tries fails after 20 ms, 64 connections",
        20,
        20,
        64,
        10,
    ),
    case(
        "1 of 20 tries fails after 20 ms, 64 connections",
        20,
        20,
        64,
        5,
    ),
];

const fn case(
    name: &'static str,
    first: u64,
    others: u64,
    connections: usize,
    failing: u64,
) -> Case {
    Case {
        name,
        first: Duration::from_millis(first),
        others: Duration::from_millis(others),
        connections,
        failing,
    }
}

impl Case {
    /// Whether a budget has something left.
    fn is_healthy(self) -> bool {
        self.failing <= 10
    }
}

#[derive(Clone, Copy)]
enum Mode {
    Unbounded,
    Concurrency,
    Interval,
    Gate(u32),
}

const MODES: [(&str, Mode); 6] = [
    ("Envoy, no budget", Mode::Unbounded),
    ("Envoy, `retry_budget`", Mode::Concurrency),
    ("Envoy, `budget_interval: 10s`", Mode::Interval),
    ("gate mode, 1 worker", Mode::Gate(1)),
    ("2 workers", Mode::Gate(2)),
    ("4 workers", Mode::Gate(4)),
];

const RAW: &str = "docs/compare/retry-budget.csv";
const PLOT: &str = "docs/compare/retry-budget.svg";

struct Measured {
    requests: u64,
    retries: u64,
    ok: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("plot") => {
            let rows = read(&fs::read_to_string(repo::path(RAW))?)?;
            Ok(fs::write(repo::path(PLOT), plot(&rows)?)?)
        }
        _ => LocalSet::new().run_until(run()).await,
    }
}

async fn run() -> Result<()> {
    let mut rows = Vec::new();
    for case in CASES {
        let mut running = JoinSet::new();
        for (index, (_, mode)) in MODES.into_iter().enumerate() {
            running.spawn_local(async move { Ok((index, measure(case, mode).await?)) });
        }
        let mut row: Vec<(usize, Measured)> = Vec::new();
        while let Some(measured) = running.join_next().await {
            let measured: Result<(usize, Measured)> = measured?;
            row.push(measured?);
        }
        row.sort_by_key(|(index, _)| *index);
        rows.push((case, row));
        println!("{}", table(&rows)?);
    }
    fs::write(repo::path(RAW), raw(&rows)?)?;
    fs::write(repo::path(PLOT), plot(&rows)?)?;
    write_table("docs/COMPARE.md", "retry-budget", &table(&rows)?)
}

async fn measure(case: Case, mode: Mode) -> Result<Measured> {
    let tries = Arc::new(AtomicU64::new(0));
    let addr = backend(case, Arc::clone(&tries)).await?;
    let mut backend = cluster("backend", addr);
    let most = 1_000_000;
    let mut limits = json!({"max_retries": most, "max_requests": most,
        "max_connections": most, "max_pending_requests": most});
    let mut builder = Builder::new();
    match mode {
        Mode::Unbounded => {}
        Mode::Concurrency => {
            limits["retry_budget"] =
                json!({"budget_percent": {"value": 20}, "min_retry_concurrency": 3});
        }
        Mode::Interval => {
            limits["retry_budget"] = json!({"budget_percent": {"value": 20},
                "min_retry_concurrency": 3, "budget_interval": "10s"});
        }
        Mode::Gate(workers) => builder = builder.concurrency(workers),
    }
    backend["circuit_breakers"] = json!({"thresholds": [limits]});
    if let Mode::Gate(_) = mode {
        builder = builder.plugin(&plugin(case, "Downstream"));
        backend = upstream_filtered(backend, &plugin(case, "Upstream"))?;
    }
    let native = |route: &mut Value| {
        route["route"]["retry_policy"] = json!({"retry_on": "5xx", "num_retries": RETRIES});
    };
    let builder = builder
        .raw_cluster(backend)
        .route(Route::cluster("/", "backend").edit(native));
    let mut bootstrap = builder.build()?;
    bootstrap.edit_http("main", |http| {
        http["route_config"]["virtual_hosts"][0]["include_request_attempt_count"] = true.into();
    })?;
    let envoy = Envoy::start(&bootstrap).await?;
    let load = async |time| {
        let tell = |response: &Response| response.status.to_string();
        load::run(envoy.addr(), "/", case.connections, time, tell).await
    };
    if case.is_healthy() {
        load(WARM_UP).await?;
        tries.store(0, Ordering::SeqCst);
    }
    let tally = load(TIME).await?;
    envoy.assert_vm_alive().await?;
    envoy.stop();
    Ok(Measured {
        requests: tally.requests,
        retries: tries.load(Ordering::SeqCst).saturating_sub(tally.requests),
        ok: tally.of("200"),
    })
}

/// In a storm the floor is next to nothing, so that what is seen is the share.
fn plugin(case: Case, position: &str) -> Value {
    let floor = if case.is_healthy() {
        json!({})
    } else {
        json!({"count": 3, "interval": "10s"})
    };
    json!({"position": position, "nativeFields": "Applied", "policies": [{
        "metadata": {"name": "p"},
        "spec": {
            "retry": {"numRetries": RETRIES, "retryOn": {"triggers": ["5xx"]}},
            "retryConstraint": {
                "budget": {"percent": 20, "interval": "10s"},
                "minRetryRate": floor}}}]})
}

/// Counts tries, and answers each by its number.
async fn backend(case: Case, tries: Arc<AtomicU64>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, case, Arc::clone(&tries)));
        }
    });
    Ok(addr)
}

async fn serve(mut stream: TcpStream, case: Case, tries: Arc<AtomicU64>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut unread = Vec::new();
    loop {
        while !unread.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut unread).await? == 0 {
                return Ok(());
            }
        }
        let number = tries.fetch_add(1, Ordering::SeqCst);
        let head = String::from_utf8_lossy(&unread);
        let is_first = head.contains("x-envoy-attempt-count: 1\r\n");
        tokio::time::sleep(if is_first { case.first } else { case.others }).await;
        unread.clear();
        let fails = scramble(number) % 100 < case.failing;
        let status = if fails { "503 No" } else { "200 OK" };
        let reply = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(reply.as_bytes()).await?;
    }
}

/// The generator's draw of this number: the same tries fail in each run and for
/// each mode.
fn scramble(number: u64) -> u64 {
    let before = number.wrapping_sub(1).wrapping_mul(SplitMix64::STEP);
    SplitMix64::new(before).draw()
}

/// What each mode did in one case.
type Row = (Case, Vec<(usize, Measured)>);
type Rows = [Row];

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn table(rows: &Rows) -> Result<String> {
    let mut table = "| retries per request, with a budget of 20 % |".to_owned();
    for (name, _) in MODES {
        write!(table, " {name} |")?;
    }
    writeln!(table, "\n|---|{}", "---|".repeat(MODES.len()))?;
    for (case, row) in rows {
        write!(table, "| {} |", case.name)?;
        for (_, it) in row {
            write!(table, " {:.1} %", percent(it.retries, it.requests))?;
            if case.failing < 100 {
                write!(table, " ({:.2} % succeed)", percent(it.ok, it.requests))?;
            }
            write!(table, " |")?;
        }
        writeln!(table)?;
    }
    Ok(table)
}

fn raw(rows: &Rows) -> Result<String> {
    let mut raw = "case,mode,requests,retries,succeeded\n".to_owned();
    for (case, row) in rows {
        for (index, it) in row {
            let (name, mode) = (case.name, MODES[*index].0);
            let (requests, retries, ok) = (it.requests, it.retries, it.ok);
            writeln!(raw, "\"{name}\",\"{mode}\",{requests},{retries},{ok}")?;
        }
    }
    Ok(raw)
}

/// What [`raw`] has written.
fn read(raw: &str) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = CASES.into_iter().map(|case| (case, Vec::new())).collect();
    for line in raw.lines().skip(1) {
        let parts: Vec<&str> = line.split('"').collect();
        let [_, case, _, mode, numbers] = parts.as_slice() else {
            anyhow::bail!("{line:?} is none of the lines that are written there");
        };
        let numbers: Vec<u64> = numbers
            .split_terminator(',')
            .filter(|it| !it.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [requests, retries, ok] = numbers.as_slice() else {
            anyhow::bail!("{line:?} does not end with three numbers");
        };
        let row = rows.iter_mut().find(|(it, _)| it.name == *case);
        let (_, row) = row.with_context(|| format!("no case {case:?}"))?;
        let index = MODES.iter().position(|(name, _)| name == mode);
        let index = index.with_context(|| format!("no mode {mode:?}"))?;
        row.push((
            index,
            Measured {
                requests: *requests,
                retries: *retries,
                ok: *ok,
            },
        ));
    }
    Ok(rows)
}

/// Bars per case; the line is the configured budget.
fn plot(rows: &Rows) -> Result<String> {
    let [dark, green, light] = palette::GREENS;
    let colors = [
        palette::GREY,
        palette::RED,
        palette::ORANGE,
        dark,
        green,
        light,
    ];
    let names = [
        "Envoy, no budget",
        "retry_budget",
        "budget_interval: 10s",
        "gate mode, 1 worker",
        "2 workers",
        "4 workers",
    ];
    let series = names.into_iter().zip(colors);
    let group = |(case, row): &Row| {
        let bar = |index| {
            let (_, it) = row.iter().find(|(mode, _)| *mode == index)?;
            Some(Bar {
                value: percent(it.retries, it.requests),
                range: None,
            })
        };
        Group {
            name: case.name.replace(", ", "\n"),
            bars: (0..MODES.len()).map(bar).collect(),
        }
    };
    Bars {
        title: "Retries under a budget of 20 %".to_owned(),
        subtitle: "Each request may be retried three times; retries are counted where they \
                   arrive."
            .to_owned(),
        axis: "retries per 100 requests".to_owned(),
        decimals: 0,
        series: series.map(|(name, color)| Series { name, color }).collect(),
        groups: rows.iter().map(group).collect(),
        mark: Some((20.0, "20 %: the budget".to_owned())),
    }
    .draw()
}
