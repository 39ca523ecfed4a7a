//! Waiting for a condition: poll often, give up with a message.
//!
//! Tests never sleep for a fixed time and hope; they say what they wait for.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const PAUSE: Duration = Duration::from_millis(5);

/// Polls `condition` until it yields a value or `timeout` is over.
pub async fn until<T>(
    what: &str,
    timeout: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<T> {
    until_async(what, timeout, async || Ok(condition())).await
}

/// Like [`until`] for a condition that itself waits; its error ends the wait.
pub async fn until_async<T>(
    what: &str,
    timeout: Duration,
    mut condition: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await? {
            return Ok(value);
        }
        if started.elapsed() > timeout {
            bail!("waited {timeout:?} in vain for {what}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}
