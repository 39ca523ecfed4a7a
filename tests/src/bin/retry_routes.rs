//! What a written request header costs: Envoy drops the route it has found and
//! looks for it anew. CPU per request with one route and behind a thousand
//! others, for the ways in which retries are switched on and bounded. Writes
//! its table in docs/PERFORMANCE.md and the raw numbers beside it.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;

use anyhow::{Result, ensure};
use btp_tests::bootstrap::{cluster, upstream_filtered};
use btp_tests::client::h1;
use btp_tests::measure::{cpu_micros, median, turns, write_table};
use btp_tests::{Builder, Envoy, Request, Route, repo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const ROUNDS: usize = 30;
const CONNECTIONS: usize = 8;
const REQUESTS_PER_CONNECTION: usize = 750;
const OTHER_ROUTES: [usize; 2] = [0, 1_000];

/// How retries come about.
#[derive(Clone, Copy)]
struct Variant {
    name: &'static str,
    writes: &'static str,
    way: Way,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    None,
    Headers,
    Balance,
    Empty,
}

const VARIANTS: [Variant; 4] = [
    variant("filter, no retry policy (control)", "none", Way::None),
    variant("`retry` switched on by the filter", "5", Way::Headers),
    variant(
        "Envoy's own retry policy, `retryConstraint` with credit",
        "none",
        Way::Balance,
    ),
    variant(
        "Envoy's own retry policy, `retryConstraint` without credit",
        "1",
        Way::Empty,
    ),
];

const fn variant(name: &'static str, writes: &'static str, way: Way) -> Variant {
    Variant { name, writes, way }
}

#[tokio::main]
async fn main() -> Result<()> {
    let backend = backend().await?;
    let mut envoys = Vec::new();
    for variant in VARIANTS {
        for routes in OTHER_ROUTES {
            envoys.push(start(variant.way, routes, backend).await?);
        }
    }
    let mut micros = vec![Vec::new(); envoys.len()];
    for round in 0..ROUNDS {
        for index in turns(envoys.len(), round) {
            let before = cpu_micros(&envoys[index])?;
            load(&envoys[index]).await?;
            let requests = (CONNECTIONS * REQUESTS_PER_CONNECTION) as f64;
            micros[index].push((cpu_micros(&envoys[index])? - before) / requests);
        }
    }
    for envoy in envoys {
        envoy.stop();
    }
    let table = table(&micros)?;
    println!("{table}");
    fs::write(
        repo::path("docs/performance/retry-routes.csv"),
        raw(&micros)?,
    )?;
    write_table("docs/PERFORMANCE.md", "retry-routes", &table)
}

async fn start(way: Way, others: usize, backend: SocketAddr) -> Result<Envoy> {
    let retry = json!({"numRetries": 2, "retryOn": {
        "triggers": ["connect-failure", "unavailable"], "httpStatusCodes": [503]},
        "perRetry": {"timeout": "5s"}});
    let percent = if way == Way::Balance { 100 } else { 0 };
    let mut spec = json!({});
    if way != Way::None {
        spec["retry"] = retry;
    }
    let is_bounded = matches!(way, Way::Balance | Way::Empty);
    if is_bounded {
        spec["retryConstraint"] = json!({"budget": {"percent": percent, "interval": "1h"},
            "minRetryRate": {"count": 1, "interval": "1h"}});
    }
    let plugin = |position: &str| {
        let native = if is_bounded { "Applied" } else { "Refuse" };
        json!({"policies": [{"metadata": {"name": "p"}, "spec": spec}],
               "nativeFields": native, "position": position})
    };
    let mut target = cluster("backend", backend);
    if is_bounded {
        target = upstream_filtered(target, &plugin("Upstream"))?;
    }
    let native = |route: &mut Value| {
        if is_bounded {
            route["route"]["retry_policy"] = json!({"num_retries": 2, "per_try_timeout": "5s",
                "retry_on": "connect-failure,unavailable,retriable-status-codes",
                "retriable_status_codes": [503]});
        }
    };
    let mut builder = Builder::new()
        .plugin(&plugin("Downstream"))
        .raw_cluster(target);
    for other in 0..others {
        builder = builder.route(Route::direct(&format!("/other{other}/"), 404, "no"));
    }
    let route = Route::cluster("/", "backend").named("here").edit(native);
    let envoy = Envoy::start(&builder.route(route).build()?).await?;
    if way == Way::Empty {
        // The floor's one retry goes here.
        for _ in 0..3 {
            envoy.get("/fail").await?;
        }
        let refused = envoy.stat("wasmcustom.btp.default.p.retry_budget_refused");
        ensure!(refused.await? > Some(0), "the budget is not empty");
    }
    load(&envoy).await?;
    Ok(envoy)
}

/// Requests on kept-alive connections, as fast as they are answered.
async fn load(envoy: &Envoy) -> Result<()> {
    let addr = envoy.addr();
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        clients.spawn(async move {
            let mut connection = h1::Connection::open(addr).await?;
            for _ in 0..REQUESTS_PER_CONNECTION {
                connection.send(Request::get("/")).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    Ok(())
}

/// Answers 503 to `/fail` and 200 to all else, as cheaply as can be.
async fn backend() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    Ok(addr)
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut unread = Vec::new();
    loop {
        while !unread.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut unread).await? == 0 {
                return Ok(());
            }
        }
        let fails = unread.starts_with(b"GET /fail ");
        unread.clear();
        let status = if fails { "503 No" } else { "200 OK" };
        let reply = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(reply.as_bytes()).await?;
    }
}

fn names() -> impl Iterator<Item = (Variant, usize)> {
    VARIANTS
        .into_iter()
        .flat_map(|variant| OTHER_ROUTES.map(|routes| (variant, routes + 1)))
}

/// Each variant beside its like with one route: what the table costs.
fn table(micros: &[Vec<f64>]) -> Result<String> {
    let mut table = "| | headers written | 1 route | 1001 routes | what a thousand routes cost |\n\
                     |---|---|---|---|---|\n"
        .to_owned();
    for (variant, pair) in VARIANTS.iter().zip(micros.chunks(OTHER_ROUTES.len())) {
        let [few, many] = pair else { continue };
        let added = median(many.iter().zip(few).map(|(a, b)| a - b).collect());
        writeln!(
            table,
            "| {} | {} | {:.1} µs | {:.1} µs | {added:+.1} µs |",
            variant.name,
            variant.writes,
            median(few.clone()),
            median(many.clone()),
        )?;
    }
    Ok(table)
}

fn raw(micros: &[Vec<f64>]) -> Result<String> {
    let mut raw = "variant,routes,round,cpu_us_per_request\n".to_owned();
    for ((variant, routes), own) in names().zip(micros) {
        for (round, value) in own.iter().enumerate() {
            writeln!(raw, "\"{}\",{routes},{round},{value:.2}", variant.name)?;
        }
    }
    Ok(raw)
}
