//! Well-behaved clients, on connections of their own: they must get their answers whatever
//! the others do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::{grpc, h1, h2};
use crate::{Request, Response};

const PAUSE: Duration = Duration::from_millis(10);

/// What they saw.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests sent, each answered as it should.
    pub answered: u64,
    /// The longest that one of them took.
    pub slowest: Duration,
    /// What went wrong; a client stops then.
    pub wrong: Vec<String>,
}

/// Clients at work.
#[derive(Debug)]
pub struct Clients {
    stop: Arc<AtomicBool>,
    running: JoinSet<(Tally, Result<()>)>,
}

impl Clients {
    /// Starts four: HTTP/1 kept alive, HTTP/1 with a connection for each
    /// request, HTTP/2, gRPC.
    pub fn start(peer: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        for kind in 0..4 {
            let stop = Arc::clone(&stop);
            running.spawn(async move {
                let mut tally = Tally::default();
                let result = run(peer, kind, &stop, &mut tally).await;
                (tally, result)
            });
        }
        Self { stop, running }
    }

    /// Ends them when each has its answer.
    pub async fn stop(mut self) -> Result<Tally> {
        self.stop.store(true, Ordering::SeqCst);
        let mut total = Tally::default();
        while let Some(ended) = self.running.join_next().await {
            let (tally, result) = ended?;
            total.answered += tally.answered;
            total.slowest = total.slowest.max(tally.slowest);
            total
                .wrong
                .extend(result.err().map(|error| format!("{error:#}")));
        }
        Ok(total)
    }
}

async fn run(peer: SocketAddr, kind: u32, stop: &AtomicBool, tally: &mut Tally) -> Result<()> {
    let mut kept = h1::Connection::open(peer).await?;
    let http2 = h2::Connection::open(peer).await?;
    while !stop.load(Ordering::SeqCst) {
        let body = format!("body {}", tally.answered);
        let echo = Request::post("/honest/echo", body.as_str());
        let took = match kind {
            0 => echoed(&kept.send(echo).await?, &body)?,
            1 => echoed(&h1::send(peer, echo).await?, &body)?,
            2 => echoed(&http2.send(echo).await?, &body)?,
            _ => {
                let reply = grpc::call(peer, "/honest/grpc/0", body.as_bytes()).await?;
                ensure!(
                    reply.grpc_status == Some(0),
                    "an honest gRPC call: {reply:?}"
                );
                reply.elapsed
            }
        };
        tally.answered += 1;
        tally.slowest = tally.slowest.max(took);
        sleep(PAUSE).await;
    }
    Ok(())
}

fn echoed(response: &Response, body: &str) -> Result<Duration> {
    let whole = response.status == 200 && response.broken.is_none();
    ensure!(
        whole,
        "an honest request: {} {}",
        response.status,
        response.text()
    );
    ensure!(
        response.json()?["body"] == body,
        "an honest request: {}",
        response.text()
    );
    Ok(response.elapsed)
}
