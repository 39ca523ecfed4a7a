//! Retries per request under a 20 % budget: Envoy's two native modes beside
//! ours, in the same run. Writes the table in docs/COMPARE.md, its raw numbers
//! and the plot.
//!
//! Mostly every try fails, so that each request asks for three retries; what a
//! mode lets through is counted where it arrives, at the upstream. The last
//! rows are about what a budget must not cost: success where few tries fail.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use btp_policy::hash::SplitMix64;
use btp_tests::bootstrap::{cluster, upstream_filtered};
use btp_tests::measure::write_table;
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

struct Measured {
    requests: u64,
    retries: u64,
    ok: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    LocalSet::new().run_until(run()).await
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
    fs::create_dir_all(repo::path("docs/compare"))?;
    fs::write(repo::path("docs/compare/retry-budget.csv"), raw(&rows)?)?;
    fs::write(repo::path("docs/compare/retry-budget.svg"), plot(&rows)?)?;
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

type Rows = [(Case, Vec<(usize, Measured)>)];

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn table(rows: &Rows) -> Result<String> {
    let mut table = "| retries per request, asked for: 20 % |".to_owned();
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

/// Bars per case; the line is what was asked for.
fn plot(rows: &Rows) -> Result<String> {
    const SCALE: f64 = 1.0;
    const FLOOR: f64 = 330.0;
    const GROUP: usize = 176;
    const COLORS: [&str; 6] = [
        "#8c8c8c", "#c44e52", "#dd8452", "#2a6f4e", "#4c9f70", "#8cc5a2",
    ];
    let width = 40 + rows.len() * GROUP;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} 420\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (group, (case, row)) in rows.iter().enumerate() {
        let left = 40 + group * GROUP;
        for (index, it) in row {
            let value = percent(it.retries, it.requests);
            let (x, height) = (left + index * 26, value * SCALE);
            let (y, color) = (FLOOR - height, COLORS[*index % COLORS.len()]);
            writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{y:.1}\" width=\"22\" height=\"{height:.1}\" \
                 fill=\"{color}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"middle\">{value:.0}</text>",
                x + 11,
                y - 3.0,
            )?;
        }
        for (line, text) in case.name.split(", ").enumerate() {
            let y = 345 + line * 14;
            writeln!(svg, "<text x=\"{left}\" y=\"{y}\">{text}</text>")?;
        }
    }
    let asked = FLOOR - 20.0 * SCALE;
    writeln!(
        svg,
        "<path d=\"M30 {asked} H{width}\" stroke=\"#000\" stroke-dasharray=\"4 3\"/>\n\
         <text x=\"4\" y=\"{asked}\">20 %</text>"
    )?;
    for (index, (name, _)) in MODES.iter().enumerate() {
        let (x, color) = (40 + index * 145, COLORS[index % COLORS.len()]);
        let name = name.replace('`', "");
        writeln!(
            svg,
            "<rect x=\"{x}\" y=\"398\" width=\"10\" height=\"10\" fill=\"{color}\"/>\
             <text x=\"{}\" y=\"407\">{name}</text>",
            x + 14
        )?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}
