//! What clients cost who open requests and never end them: with all
//! capabilities on, and paths as long as Envoy takes them.
//!
//! The tests run this with some thousand streams, the campaign with as many
//! as one machine opens.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::hostile::h2;
use crate::hostile::hpack::Field;
use crate::{Builder, Envoy, Request, Route, wait};

/// Where the requests are held that are not delayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// In the filter, which buffers their bodies.
    Gathered,
    /// At an upstream that does not answer.
    Upstream,
}

/// What became of one Envoy with one worker.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    /// Streams that were open at once.
    pub streams: usize,
    /// The VM's memory before.
    pub before: u64,
    /// With all streams open.
    pub open: u64,
    /// With all streams open a second time, after the first had gone.
    pub again: u64,
    /// Values that were not kept.
    pub too_long: u64,
    /// Requests for which the worker had no room.
    pub no_room: u64,
}

/// The gauge of the only worker's VM.
pub const GAUGE: &str = "wasmcustom.btp.vm_memory_bytes.0";

/// Bytes by which a stream may enlarge a VM: 64 MiB for 20,000.
pub const BYTES_PER_STREAM: u64 = 64 * 1024 * 1024 / 20_000;

const STREAMS_PER_CONNECTION: usize = 100;
/// So many fit into the buffers of a connection that Envoy does not read yet.
const AT_ONCE: usize = 20;
const PATIENCE: Duration = Duration::from_secs(120);
const RELOADS: &str = "wasm.backend_traffic_policy.vm_reload_success";

impl Growth {
    /// Bytes by which one stream has enlarged the VM.
    pub fn per_stream(&self) -> u64 {
        let streams = u64::try_from(self.streams).unwrap_or(u64::MAX);
        (self.open - self.before) / streams.max(1)
    }
}

/// Every capability at once, each with all that it can keep of a request.
pub fn all_capabilities(held: Held) -> Value {
    let buffer = match held {
        Held::Gathered => json!({
            "limit": 100_000, "mode": "Buffer", "maxTotal": "4Gi", "maxDuration": "1h"}),
        Held::Upstream => json!({"limit": 100_000, "mode": "Stream"}),
    };
    let errors = |from: u16, to: u16| json!({"statusCodes": [{"type": "Range", "range": {"start": from, "end": to}}]});
    let printing = "<p>%REQ(:path)% %PATH(WQ)% %PATH(NQ)% %QUERY_PARAM(q)% %REQ(x-user)%</p>";
    json!({"allowOnHeadersStopIteration": true, "policies": [{
    "metadata": {"name": "p"},
    "spec": {
        "faultInjection": {
                "match": [{"headers": [{"name": "x-delayed", "value": "yes"}]}],
                "delay": {"fixedDelay": "1h"}},
        "requestBuffer": buffer,
        "rateLimit": {"local": {
            "rules": [
                {"clientSelectors": [{"headers": [{"name": "x-user", "type": "Distinct"}]}],
                 "limit": {"requests": 4_000_000, "unit": "Hour"},
                 "concurrency": {"max": 1_000_000}, "xRateLimitHeaders": "DraftVersion10"},
                {"limit": {"requests": 4_000_000_000_u32, "unit": "Hour"},
                 "concurrency": {"max": 1_000_000}, "xRateLimitHeaders": "DraftVersion10"},
            ],
        }},
        "responseOverride": [
            {"match": errors(500, 501), "response": {
                "contentType": "text/html", "body": {"type": "Inline", "inline": printing}}},
            {"match": errors(502, 502), "redirect": {
                "mode": "Client", "scheme": "https", "hostname": "errors.example"}},
            {"match": errors(503, 503), "response": {"variants": [
                {"contentType": "text/html", "body": {"inline": printing}},
                {"contentType": "application/json", "body": {"inline": "\"%PATH(WQ)%\""}},
            ]}},
        ],
        "retry": {"numRetries": 2, "retryOn": {"triggers": ["5xx"]}},
        "retryConstraint": {"budget": {"percent": 20}},
    }}]})
}

/// Opens so many streams, twice, with paths of so many bytes.
///
/// # Errors
/// The VM died, or Envoy did not take the streams.
pub async fn measure(streams: usize, path_bytes: usize, held: Held) -> Result<Growth> {
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let address = silent.local_addr()?;
    let _accepting = tokio::spawn(async move {
        let mut accepted = Vec::new();
        while let Ok(connection) = silent.accept().await {
            accepted.push(connection);
        }
    });
    let mut bootstrap = Builder::new()
        .plugin(&all_capabilities(held))
        .stop_iteration(true)
        .route(Route::direct("/first", 200, ""))
        .route(Route::cluster("/", "silent").edit(|route| {
            route["route"]["timeout"] = "0s".into();
        }))
        .cluster("silent", address)
        .build()?;
    bootstrap.edit_http("main", |http| http["stream_idle_timeout"] = "0s".into())?;
    bootstrap.edit(|config| {
        let thresholds = json!([{"max_requests": 1_000_000, "max_connections": 1_000_000}]);
        config["static_resources"]["clusters"][0]["circuit_breakers"] =
            json!({"thresholds": thresholds});
    });
    let envoy = Envoy::start(&bootstrap).await?;
    // Bodies are gathered here: the filter has seen one.
    let whole = Request::post("/first", "x").header("x-user", "first");
    ensure!(envoy.send(whole).await?.status == 200);
    let before = wait::until_async("the VM's gauge", PATIENCE, async || {
        Ok(gauge(&envoy).await?.filter(|bytes| *bytes > 0))
    })
    .await?;
    let open = open_all(&envoy, streams, path_bytes).await?;
    let again = open_all(&envoy, streams, path_bytes).await?;
    ensure!(envoy.stat(RELOADS).await?.unwrap_or(0) == 0, "the VM died");
    envoy.assert_vm_alive().await?;
    let sent = envoy.stat("cluster.silent.upstream_cx_total").await?;
    ensure!(
        (sent > Some(0)) == (held == Held::Upstream),
        "{sent:?} sent on"
    );
    let counter = async |name: &str| -> Result<u64> {
        let name = format!("wasmcustom.btp.default.p.{name}");
        Ok(envoy.stat(&name).await?.unwrap_or(0))
    };
    Ok(Growth {
        streams,
        before,
        open,
        again,
        too_long: counter("request_values_too_long").await?,
        no_room: counter("request_values_no_room").await?,
    })
}

/// Opens so many streams, and closes them again; the VM's memory in between.
async fn open_all(envoy: &Envoy, streams: usize, path_bytes: usize) -> Result<u64> {
    let (start, end) = ("/", "?q=1");
    let middle = "a".repeat(path_bytes - start.len() - end.len());
    let path = format!("{start}{middle}{end}");
    let mut connections = Vec::new();
    // One more: the gauge is written when an exchange begins.
    for stream in 0..=streams {
        if stream % AT_ONCE == 0 || stream == streams {
            active(envoy, stream).await?;
        }
        if stream % STREAMS_PER_CONNECTION == 0 {
            connections.push(h2::Connection::open(envoy.addr(), &[]).await?);
        }
        let user = format!("user {stream}");
        let delayed: &[u8] = if stream % 2 == 0 { b"yes" } else { b"no" };
        let fields: [Field<'_>; 7] = [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":authority", b"h"),
            (b":path", path.as_bytes()),
            (b"x-user", user.as_bytes()),
            (b"x-delayed", delayed),
            (b"accept", b"text/html,application/json;q=0.9,*/*;q=0.8"),
        ];
        if let Some(connection) = connections.last_mut() {
            connection.request(&fields, false).await?;
        }
    }
    active(envoy, streams + 1).await?;
    let bytes = gauge(envoy).await?.unwrap_or(0);
    ensure!(bytes > 0, "the gauge has gone");
    drop(connections);
    active(envoy, 0).await?;
    Ok(bytes)
}

async fn active(envoy: &Envoy, streams: usize) -> Result<()> {
    let streams = u64::try_from(streams)?;
    wait::until_async("the streams to be there", PATIENCE, async || {
        let active = envoy.stat("http.main.downstream_rq_active").await?;
        Ok((active == Some(streams)).then_some(()))
    })
    .await
}

async fn gauge(envoy: &Envoy) -> Result<Option<u64>> {
    envoy.stat(GAUGE).await
}
