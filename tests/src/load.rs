//! Closed-loop load: so many connections, each sending its next request as
//! soon as it has its answer, for a time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

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

/// Sends GETs of `path` from `connections` connections for `time`; `tell`
/// names each response.
pub async fn run(
    peer: SocketAddr,
    path: &str,
    connections: usize,
    time: Duration,
    tell: fn(&Response) -> String,
) -> Result<Tally> {
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        clients.spawn(one(peer, path.to_owned(), time, tell));
    }
    let mut total = Tally::default();
    while let Some(tally) = clients.join_next().await {
        let tally = tally??;
        total.requests += tally.requests;
        for (answer, count) in tally.answers {
            *total.answers.entry(answer).or_default() += count;
        }
    }
    Ok(total)
}

async fn one(
    peer: SocketAddr,
    path: String,
    time: Duration,
    tell: fn(&Response) -> String,
) -> Result<Tally> {
    let started = Instant::now();
    let mut tally = Tally::default();
    let mut connection = h1::Connection::open(peer).await?;
    while started.elapsed() < time {
        if connection.is_closed() {
            connection = h1::Connection::open(peer).await?;
        }
        let response = connection.send(Request::get(&path)).await?;
        tally.requests += 1;
        *tally.answers.entry(tell(&response)).or_default() += 1;
    }
    Ok(tally)
}
