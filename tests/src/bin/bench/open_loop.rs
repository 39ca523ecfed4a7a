//! Requests at their own times, whether or not those before them have been answered: what
//! waits for a connection waits on the clock. Times between them are drawn as of many
//! independent clients (exponentially distributed).

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use btp_policy::hash::SplitMix64;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinSet, yield_now};

use crate::load::{Connection, Connections};
use crate::traffic::Request;

/// What became of requests, in microseconds, sorted.
pub(crate) struct Times {
    /// From when each was due to its answer.
    pub(crate) answered: Vec<f64>,
    /// From when each was due until the generator came to it: what the machine adds.
    pub(crate) late: Vec<f64>,
}

/// Sends so many requests per second for a time, on these connections.
pub(crate) async fn send(
    connections: Connections,
    request: &Request,
    per_second: f64,
    time: Duration,
    seed: u64,
) -> Result<(Connections, Times)> {
    let (due, queue) = mpsc::unbounded_channel();
    let queue = Arc::new(Mutex::new(queue));
    let mut clients = JoinSet::new();
    for connection in connections.into_parts() {
        clients.spawn(client(connection, Arc::clone(&queue), request.clone()));
    }
    let mut dice = SplitMix64::new(seed);
    let start = Instant::now();
    let (mut next, mut late) = (0.0, Vec::new());
    while next < time.as_secs_f64() {
        let at = start + Duration::from_secs_f64(next);
        // The runtime's timers are a millisecond coarse: this thread looks at the clock
        // and at its sockets in turns.
        while Instant::now() < at {
            yield_now().await;
        }
        due.send(at)?;
        late.push(micros(at));
        next += gap(&mut dice) / per_second;
    }
    drop(due);
    let (mut all, mut answered) = (Vec::new(), Vec::new());
    while let Some(client) = clients.join_next().await {
        let (connection, own) = client??;
        all.push(connection);
        answered.extend(own);
    }
    answered.sort_by(f64::total_cmp);
    late.sort_by(f64::total_cmp);
    Ok((Connections::from_parts(all), Times { answered, late }))
}

async fn client(
    mut connection: Connection,
    queue: Arc<Mutex<mpsc::UnboundedReceiver<Instant>>>,
    Request(bytes): Request,
) -> Result<(Connection, Vec<f64>)> {
    let mut latencies = Vec::new();
    loop {
        let next = queue.lock().await.recv().await;
        let Some(due) = next else {
            return Ok((connection, latencies));
        };
        connection.exchange(&bytes).await?;
        latencies.push(micros(due));
    }
}

/// Since then.
fn micros(then: Instant) -> f64 {
    then.elapsed().as_secs_f64() * 1e6
}

/// Exponentially distributed, 1 on average.
fn gap(dice: &mut SplitMix64) -> f64 {
    let uniform = (dice.draw() >> 11) as f64 / (1_u64 << 53) as f64;
    -(1.0 - uniform).ln()
}
