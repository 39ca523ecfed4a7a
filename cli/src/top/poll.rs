//! Polls an Envoy in a thread beside the view, so that a slow answer does not delay a key.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::error::Error;
use super::reading::{Reading, Source};

/// Between two questions, also where the answers take longer than the interval.
const LEAST: Duration = Duration::from_millis(50);

/// Begins to ask, so long after the first look. It ends when nobody takes the answers.
pub(super) fn start(source: Source, interval: Duration) -> Receiver<Result<Reading, Error>> {
    let (answers, taken) = sync_channel(1);
    thread::spawn(move || {
        let mut asked = Instant::now();
        loop {
            thread::sleep(interval.saturating_sub(asked.elapsed()).max(LEAST));
            asked = Instant::now();
            if answers.send(source.ask()).is_err() {
                return;
            }
        }
    });
    taken
}
