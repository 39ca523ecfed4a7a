//! What the planted copy of the module says of its worker: calls into Envoy, by
//! callback, and allocations.

use anyhow::{Context, Result};

use super::Tally;
use crate::Request;
use crate::client::h1;

/// The name under which the allocations are.
pub(super) const ALLOCATIONS: &str = "allocations";

/// All counts of the worker.
pub(super) async fn so_far(client: &mut h1::Connection) -> Result<Tally> {
    let asked = Request::get("/").header("x-planted", "counts");
    let text = client.send(asked).await?.text();
    let counts = text.lines().map(|line| {
        let (name, count) = line.split_once(": ")?;
        Some((name.to_owned(), count.parse().ok()?))
    });
    let counts: Option<Tally> = counts.collect();
    counts
        .filter(|it| it.contains_key(ALLOCATIONS))
        .with_context(|| format!("{text:?} are no counts"))
}

/// How much more there is of each; `None` if there is less of any.
pub(super) fn less(all: &Tally, known: &Tally) -> Option<Tally> {
    let less = all.iter().map(|(name, count)| {
        let known = known.get(name).copied().unwrap_or_default();
        let count = count.checked_sub(known)?;
        Some((name.clone(), count))
    });
    less.collect()
}
