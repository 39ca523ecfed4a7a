//! The overload for which `examples/retry-storm` has classes: paying clients with their
//! usual load, and for a while too many batch clients.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::h1;
use crate::{Bootstrap, Envoy, Request};

/// How long each of the three parts takes, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// Before the storm.
    pub before: u32,
    /// The storm.
    pub storm: u32,
    /// Behind it.
    pub after: u32,
}

/// The two classes of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Clients that must not notice the storm.
    Paying,
    /// Clients that can wait.
    Batch,
}

/// What became of the requests that were sent in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// Paying clients' that were served.
    pub paying: u64,
    /// Batch clients' that were served.
    pub batch: u64,
    /// All that were sent by batch clients.
    pub batch_sent: u64,
}

/// Requests a second of paying clients; of batch clients, and in the storm. The backend
/// has 25 places a second.
pub const PAYING: u32 = 5;
const BATCH: u32 = 10;
const STORM: u32 = 100;

/// The example's Envoy, and its backend.
pub async fn start() -> Result<(Envoy, Envoy)> {
    let backend = Envoy::start(&Bootstrap::load("envoy/upstream.yaml")?).await?;
    let mut bootstrap = Bootstrap::load("examples/retry-storm/envoy.yaml")?.with_concurrency(2);
    bootstrap.redirect_cluster("backend", backend.addr())?;
    Ok((Envoy::start(&bootstrap).await?, backend))
}

/// The storm on one route, second by second.
pub async fn seconds(peer: SocketAddr, route: &str, parts: Parts) -> Result<Vec<Second>> {
    let path = format!("/{route}/?work=40");
    let length = parts.before + parts.storm + parts.after;
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for second in 0..length {
        let in_storm = (parts.before..parts.before + parts.storm).contains(&second);
        let batch = if in_storm { STORM } else { BATCH };
        for (client, rate) in [(Client::Paying, PAYING), (Client::Batch, batch)] {
            for number in 0..rate {
                let at = start + Duration::from_secs(second.into());
                let at = at + Duration::from_secs(1) * number / rate;
                let path = path.clone();
                clients.spawn(async move {
                    tokio::time::sleep_until(at).await;
                    anyhow::Ok((second, client, send(peer, &path, client).await?))
                });
            }
        }
    }
    let mut seconds = vec![Second::default(); usize::try_from(length)?];
    while let Some(ended) = clients.join_next().await {
        let (second, client, status) = ended??;
        ensure!(matches!(status, 200 | 429 | 503), "{status}");
        let served = u64::from(status == 200);
        if let Some(second) = seconds.get_mut(usize::try_from(second)?) {
            match client {
                Client::Paying => second.paying += served,
                Client::Batch => {
                    second.batch += served;
                    second.batch_sent += 1;
                }
            }
        }
    }
    Ok(seconds)
}

async fn send(peer: SocketAddr, path: &str, client: Client) -> Result<u16> {
    let tier = match client {
        Client::Paying => "paying",
        Client::Batch => "batch",
    };
    let request = Request::get(path).header("x-tier", tier);
    Ok(h1::send(peer, request).await?.status)
}
