//! Envoy's workers: each has connections of its own.

use anyhow::{Result, ensure};

use super::Envoy;
use crate::Request;
use crate::client::h1;

/// In so many connections the kernel's choice meets every worker.
const MOST_CONNECTIONS: usize = 64 * 4;

impl Envoy {
    /// One connection to each of so many workers, on the first listener. Each
    /// has sent a GET of `path`, as Envoy counts a connection late otherwise.
    pub async fn connection_to_each_worker(
        &self,
        workers: usize,
        path: &str,
    ) -> Result<Vec<h1::Connection>> {
        self.one_for_each_worker(workers, async || {
            let mut connection = h1::Connection::open(self.addr()).await?;
            connection.send(Request::get(path)).await?;
            Ok(connection)
        })
        .await
    }

    /// The same of connections that `open` opens. Each must have had an answer.
    pub async fn one_for_each_worker<T>(
        &self,
        workers: usize,
        mut open: impl AsyncFnMut() -> Result<T>,
    ) -> Result<Vec<T>> {
        const ACCEPTED: &str = r"^listener\.127\..*\.worker_\d+\.downstream_cx_total$";
        let mut found = Vec::new();
        let mut known = Vec::new();
        for _ in 0..MOST_CONNECTIONS {
            let before = self.stats_matching(ACCEPTED).await?;
            let connection = open().await?;
            let after = self.stats_matching(ACCEPTED).await?;
            let grown = after
                .into_iter()
                .find(|(name, count)| before.get(name).is_none_or(|before| count > before));
            if let Some((worker, _)) = grown
                && !known.contains(&worker)
            {
                known.push(worker);
                found.push(connection);
            }
            if found.len() == workers {
                return Ok(found);
            }
        }
        ensure!(
            found.len() == workers,
            "connections reached {known:?} only, of {workers} workers"
        );
        Ok(found)
    }
}
