//! Runs a table on a real Envoy, row by row.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpSocket;

use super::{Expect, Observed, Protocol, Scenario, Table, check};
use crate::bootstrap::cluster;
use crate::client::{grpc, h1, h2};
use crate::{Body, Bootstrap, Builder, Envoy, Request, Route, Upstream, wait};

/// Tells the rows apart in the access log. Envoy passes it on.
const ROW_HEADER: &str = "x-scenario-row";
/// What else a line has: details, and what was decided, in which there are spaces.
const LOGGED: &str = "%RESPONSE_CODE_DETAILS% %FILTER_STATE(wasm.btp_decision:PLAIN)%";
const LOG_WAIT: Duration = Duration::from_secs(10);

/// How a run went, when nothing was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Rows that ran.
    pub rows: usize,
    /// Expectations that this way of running cannot check.
    pub skipped: usize,
}

/// The rows of a table that did not come out as expected.
#[derive(Clone, Debug, Default)]
pub struct Failures {
    /// The rows' names, and what was wrong.
    pub rows: Vec<(String, Vec<String>)>,
}

impl Failures {
    fn add(&mut self, row: usize, scenario: &Scenario, wrong: Vec<String>) {
        if !wrong.is_empty() {
            let name = format!("row {row} ({})", scenario.name);
            self.rows.push((name, wrong));
        }
    }

    fn into_result(self, table: &str) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows = self.rows.iter();
        let lines =
            rows.flat_map(|(row, wrong)| wrong.iter().map(move |it| format!("{row}: {it}")));
        let lines: Vec<String> = lines.collect();
        bail!("table {table:?}:\n  {}", lines.join("\n  "));
    }
}

/// Starts Envoy for a table and runs every row. The error names all failures.
pub async fn run_table_on_envoy(file: &Path) -> Result<Report> {
    let table = Table::load(file)?;
    try_table_on_envoy(&table).await?.into_result(&table.name)?;
    Ok(Report {
        rows: table.scenarios.len(),
        skipped: 0,
    })
}

/// Starts Envoy for a table and runs every row; yields what was wrong.
pub async fn try_table_on_envoy(table: &Table) -> Result<Failures> {
    let upstream = Upstream::start().await?;
    let (down, down_addr) = refusing_host()?;
    let logs = TempDir::new()?;
    let log = logs.path().join("access.log");
    let bootstrap = bootstrap(table, upstream.addr(), down_addr, &log)?;
    let envoy = Envoy::start(&bootstrap).await?;

    let mut failures = Failures::default();
    for (row, scenario) in table.scenarios.iter().enumerate() {
        upstream.clear();
        match exchange(envoy.addr(), row, scenario).await {
            Ok(mut observed) => {
                observed.upstream_requests = Some(upstream.requests().len());
                let (details, decision) = logged(&log, row).await?;
                observed.details = Some(details);
                observed.decision = Some(decision);
                failures.add(row, scenario, check(&scenario.expect, &observed));
            }
            Err(error) => failures.add(row, scenario, vec![format!("{error:#}")]),
        }
    }
    drop(down);
    if let Err(error) = envoy.assert_vm_alive().await {
        let row = ("after the last row".to_owned(), vec![format!("{error:#}")]);
        failures.rows.push(row);
    }
    Ok(failures)
}

/// Runs every row against an Envoy that serves the table's configuration at
/// `url` (`http://host:port`), without what only the harness's own upstream and
/// access log can tell.
pub async fn run_table_against(url: &str, table: &Table) -> Result<Report> {
    let peer = peer(url)?;
    let mut failures = Failures::default();
    let mut skipped = 0;
    for (row, scenario) in table.scenarios.iter().enumerate() {
        skipped += unobservable(&scenario.expect);
        match exchange(peer, row, scenario).await {
            Ok(observed) => failures.add(row, scenario, check(&scenario.expect, &observed)),
            Err(error) => failures.add(row, scenario, vec![format!("{error:#}")]),
        }
    }
    failures.into_result(&table.name)?;
    Ok(Report {
        rows: table.scenarios.len(),
        skipped,
    })
}

fn bootstrap(
    table: &Table,
    upstream: SocketAddr,
    down: SocketAddr,
    log: &Path,
) -> Result<Bootstrap> {
    let stop_iteration = table.config["allowOnHeadersStopIteration"] == true;
    let mut builder = Builder::new()
        .plugin(&table.config)
        .stop_iteration(stop_iteration)
        .access_log(log, &format!("%REQ({ROW_HEADER})% {LOGGED}"))
        .cluster("backend", upstream)
        .cluster_h2("backend-h2", upstream)
        .cluster("down", down);
    let mut known = BTreeSet::new();
    for it in table.clusters.values().filter(|it| known.insert(&it.name)) {
        let mut own = cluster(&it.name, upstream);
        if !it.backends.is_empty() {
            own["metadata"]["filter_metadata"]["btp"]["backends"] = json!(it.backends);
        }
        builder = builder.raw_cluster(own);
    }
    for name in &table.routes {
        let prefix = format!("/{name}/");
        let grpc = Route::cluster(&prefix, "backend-h2")
            .named(name)
            .edit(|route| route["match"]["grpc"] = json!({}));
        let own = table.clusters.get(name).map_or("backend", |it| &it.name);
        let plain = Route::cluster(&prefix, own).named(name);
        builder = builder.route(grpc).route(plain);
    }
    builder
        .route(Route::direct("/direct/", 418, "teapot").named("direct"))
        .route(Route::cluster("/down/", "down").named("down"))
        .build()
}

async fn exchange(peer: SocketAddr, row: usize, scenario: &Scenario) -> Result<Observed> {
    let spec = &scenario.request;
    let body = spec.body_data();
    let mut request = match scenario.protocol {
        Protocol::Grpc => grpc::request(&spec.path, &body),
        _ if spec.body.is_none() && spec.body_bytes.is_none() => {
            Request::new(&spec.method, &spec.path)
        }
        _ if spec.chunked => {
            let pieces = body.chunks(10_000).map(<[u8]>::to_vec);
            Request::new(&spec.method, &spec.path).body(Body::chunked(pieces))
        }
        _ => Request::new(&spec.method, &spec.path).body(Body::sized(body)),
    };
    for (name, value) in &spec.headers {
        request = request.header(name, value);
    }
    let mut request = request.header(ROW_HEADER, row.to_string());
    if let Some(host) = &spec.host {
        request = request.host(host);
    }

    let response = match scenario.protocol {
        Protocol::Http1 => h1::send(peer, request).await?,
        Protocol::Http2 => h2::send(peer, request).await?,
        Protocol::Grpc => {
            let reply = grpc::send(peer, request).await?;
            return Ok(Observed {
                status: reply.status,
                headers: reply.headers,
                body: reply.messages.concat(),
                grpc_status: reply.grpc_status,
                delay: reply.headers_after,
                upstream_requests: None,
                details: None,
                decision: None,
            });
        }
    };
    if let Some(reason) = response.broken {
        bail!("the response broke off: {reason}");
    }
    Ok(Observed {
        status: response.status,
        headers: response.headers,
        body: response.body,
        grpc_status: None,
        delay: response.headers_after,
        upstream_requests: None,
        details: None,
        decision: None,
    })
}

/// The details of a row's response, and what was decided.
async fn logged(log: &Path, row: usize) -> Result<(String, String)> {
    let start = format!("{row} ");
    wait::until(&format!("row {row} in the access log"), LOG_WAIT, || {
        let text = fs::read_to_string(log).ok()?;
        let (complete, _) = text.rsplit_once('\n')?;
        let mut lines = complete.lines();
        let line = lines.find_map(|line| line.strip_prefix(&start))?;
        let (details, decision) = line.split_once(' ')?;
        Some((details.to_owned(), decision.to_owned()))
    })
    .await
}

/// A port that is taken but on which nobody listens: connections are refused
/// as long as the socket lives.
fn refusing_host() -> Result<(TcpSocket, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let addr = socket.local_addr()?;
    Ok((socket, addr))
}

fn unobservable(expect: &Expect) -> usize {
    usize::from(expect.upstream_requests.is_some())
        + usize::from(expect.details.is_some())
        + usize::from(expect.decision.is_some())
}

fn peer(url: &str) -> Result<SocketAddr> {
    url.strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/'))
        .context("only http:// URLs")?
        .to_socket_addrs()
        .with_context(|| format!("resolving {url}"))?
        .find(SocketAddr::is_ipv4)
        .with_context(|| format!("{url} has no IPv4 address"))
}
