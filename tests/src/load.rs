//! Closed-loop load: so many connections, each sending its next request as
//! soon as it has its answer, for a time or until it is stopped.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::h1;
use crate::{Request, Response};

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests sent.
    pub requests: u64,
    /// Responses by what `tell` made of them.
    pub answers: BTreeMap<String, u64>,
}

impl Tally {
    /// How many answers were told to be this.
    pub fn of(&self, answer: &str) -> u64 {
        self.answers.get(answer).copied().unwrap_or(0)
    }
}

/// Load that goes on until it is stopped, or dropped.
#[derive(Debug)]
pub struct Load {
    clients: JoinSet<Result<Tally>>,
    is_over: Arc<AtomicBool>,
}

/// Sends GETs of `path` from `connections` connections for `time`; `tell`
/// names each response.
pub async fn run(
    peer: SocketAddr,
    path: &str,
    connections: usize,
    time: Duration,
    tell: fn(&Response) -> String,
) -> Result<Tally> {
    let load = Load::start(peer, path, connections, tell);
    sleep(time).await;
    load.stop().await
}

impl Load {
    /// Begins to send GETs of `path` from `connections` connections; `tell`
    /// names each response.
    pub fn start(
        peer: SocketAddr,
        path: &str,
        connections: usize,
        tell: fn(&Response) -> String,
    ) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            clients.spawn(one(peer, path.to_owned(), is_over.clone(), tell));
        }
        Self { clients, is_over }
    }

    /// Ends it with the answers that are due.
    pub async fn stop(mut self) -> Result<Tally> {
        self.is_over.store(true, Ordering::Relaxed);
        let mut total = Tally::default();
        while let Some(tally) = self.clients.join_next().await {
            let tally = tally??;
            total.requests += tally.requests;
            for (answer, count) in tally.answers {
                *total.answers.entry(answer).or_default() += count;
            }
        }
        Ok(total)
    }
}

async fn one(
    peer: SocketAddr,
    path: String,
    is_over: Arc<AtomicBool>,
    tell: fn(&Response) -> String,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut connection = h1::Connection::open(peer).await?;
    while !is_over.load(Ordering::Relaxed) {
        if connection.is_closed() {
            connection = h1::Connection::open(peer).await?;
        }
        let response = connection.send(Request::get(&path)).await?;
        tally.requests += 1;
        *tally.answers.entry(tell(&response)).or_default() += 1;
    }
    Ok(tally)
}
