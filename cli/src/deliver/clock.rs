//! A witness that waits: a phase has arrived when its files have been there for a while. It
//! is used where no admin interface is given.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

use super::Witness;
use super::error::Cause;
use super::file::{File, Kind};
use super::plan::Plan;

/// How long connections of an earlier listener may stay: Envoy's own
/// `--drain-time-s`, unless it is told another.
const DRAIN: Duration = Duration::from_secs(600);

/// Gives each phase a time.
pub(super) struct Clock {
    wait: Duration,
}

impl Clock {
    pub(super) fn new(wait: Duration) -> Self {
        Self { wait }
    }

    /// Waits until files have been there for long enough, those that a killed
    /// run has written, too.
    fn settle<'a>(&self, files: impl Iterator<Item = &'a File>) {
        let now = SystemTime::now();
        let written = files.filter_map(|it| fs::metadata(&it.path).ok()?.modified().ok());
        let rest = written.map(|it| rest(now, it, self.wait)).max();
        thread::sleep(rest.unwrap_or_default());
    }
}

impl Witness for Clock {
    fn look(&mut self, _: &Plan) -> Result<(), Cause> {
        Ok(())
    }

    fn clusters(&mut self, plan: &Plan, _: &[PathBuf]) -> Result<(), Cause> {
        let missing = plan.only_by_restart();
        if !missing.is_empty() {
            return Err(Cause::Restart(missing));
        }
        if !plan.switch().is_empty() {
            self.settle(plan.of(Kind::Clusters));
        }
        Ok(())
    }

    fn routes(&mut self, plan: &Plan, _: &[PathBuf]) -> Result<BTreeSet<String>, Cause> {
        let kept = kept(plan);
        if plan.retired().iter().any(|it| !kept.contains(it)) {
            self.settle(plan.of(Kind::Routes).chain(plan.of(Kind::Listeners)));
        }
        Ok(kept)
    }

    fn end(&mut self, _: &Plan, _: &[PathBuf]) -> Result<(), Cause> {
        Ok(())
    }
}

/// The clusters of before that something still may send to, as far as the
/// files tell.
pub(super) fn kept(plan: &Plan) -> BTreeSet<String> {
    kept_at(plan, SystemTime::now())
}

pub(super) fn kept_at(plan: &Plan, now: SystemTime) -> BTreeSet<String> {
    let retired = plan.retired();
    let mut kept = BTreeSet::new();
    // An Envoy that runs has the bootstrap of before until it is restarted.
    for file in plan.of(Kind::Bootstrap).filter(|it| it.is_changed()) {
        kept.extend(file.named_before(&retired));
    }
    for file in plan.of(Kind::Listeners) {
        // Connections of an earlier listener keep its routes while they drain.
        if file.is_changed() {
            kept.extend(file.named_before(&retired));
        }
        // And those of the one before that, which may have named any.
        let is_young = file
            .written
            .is_some_and(|it| !rest(now, it, DRAIN).is_zero());
        if is_young && plan.listeners_name_clusters() {
            kept.extend(retired.iter().cloned());
        }
    }
    kept
}

/// What is left of a wait that began when a file was written; all of it if the
/// clock was put back since.
fn rest(now: SystemTime, written: SystemTime, wait: Duration) -> Duration {
    let age = now.duration_since(written).unwrap_or_default();
    wait.saturating_sub(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_counts_from_when_the_file_was_written() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let wait = Duration::from_secs(10);
        assert_eq!(rest(at(100), at(100), wait), wait);
        assert_eq!(rest(at(104), at(100), wait), Duration::from_secs(6));
        assert_eq!(rest(at(200), at(100), wait), Duration::ZERO);
        assert_eq!(rest(at(50), at(100), wait), wait);
    }
}
