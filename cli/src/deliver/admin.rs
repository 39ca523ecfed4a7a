//! A witness that reads Envoy's admin interface: counters, names of clusters, and the
//! objects that still name clusters that are to be removed. It changes nothing there.

mod counters;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use btp_policy::json;
use btp_policy::node::Node;

use super::Witness;
use super::error::Cause;
use super::file::{File, Kind, mentions};
use super::plan::Plan;
use crate::envoy::tree::{items, type_of};
use crate::host_port::HostPort;
use crate::http::{self, Bounds};
use counters::{Counters, Fate};

/// A `/config_dump` of a hundred thousand routes is smaller.
const ANSWER: Bounds = Bounds {
    patience: Duration::from_secs(10),
    largest: 1 << 30,
};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(50);

/// Envoys that watch the files, and what they counted before a phase.
pub(super) struct Envoys {
    envoys: Vec<Envoy>,
    patience: Duration,
}

struct Envoy {
    address: HostPort,
    before: Counters,
    is_known: bool,
}

/// Whether something has happened.
enum Progress {
    Done,
    /// Not yet: what is missing.
    Waiting(String),
}

impl Envoys {
    pub(super) fn new(addresses: &[HostPort], patience: Duration) -> Self {
        let envoys = addresses.iter().map(|address| Envoy {
            address: address.clone(),
            before: Counters::default(),
            is_known: false,
        });
        Self {
            envoys: envoys.collect(),
            patience,
        }
    }

    /// Asks every Envoy until all say that it is done.
    fn wait(&self, ask: impl Fn(&Envoy) -> Result<Progress, Asked>) -> Result<(), Cause> {
        let deadline = Instant::now() + self.patience;
        for envoy in &self.envoys {
            loop {
                let waiting = match ask(envoy) {
                    Ok(Progress::Done) => break,
                    Ok(Progress::Waiting(what)) => what,
                    Err(Asked::Stop(cause)) => return Err(cause),
                    // It may be about to start again.
                    Err(Asked::Failed(error)) => format!("it cannot be reached: {error}"),
                };
                if Instant::now() >= deadline {
                    return Err(Cause::Late {
                        address: envoy.address.clone(),
                        what: waiting,
                        patience: self.patience,
                    });
                }
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }
}

/// Why a question has no answer.
enum Asked {
    Failed(io::Error),
    Stop(Cause),
}

impl From<io::Error> for Asked {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Witness for Envoys {
    fn look(&mut self, plan: &Plan) -> Result<(), Cause> {
        for envoy in &mut self.envoys {
            let unreachable = |error: io::Error| Cause::Unreachable {
                address: envoy.address.clone(),
                error: error.to_string(),
            };
            let before = envoy.counters().map_err(unreachable)?;
            if !envoy.is_known {
                envoy.check(plan, &before)?;
                envoy.is_known = true;
            }
            envoy.before = before;
        }
        Ok(())
    }

    fn clusters(&mut self, plan: &Plan, written: &[PathBuf]) -> Result<(), Cause> {
        let needed = plan.needed();
        let statics = plan.statics();
        // Nobody reads the other files of this phase yet.
        let of_clusters = plan.of(Kind::Clusters).map(|it| &it.path);
        let written: Vec<PathBuf> = of_clusters
            .filter(|it| written.contains(it))
            .cloned()
            .collect();
        self.wait(|envoy| {
            if let Progress::Waiting(what) = envoy.fates(plan, &written, &envoy.counters()?)? {
                return Ok(Progress::Waiting(what));
            }
            let there = envoy.clusters()?;
            let missing: BTreeSet<String> = needed.difference(&there).cloned().collect();
            match missing.first() {
                None => Ok(Progress::Done),
                // No wait brings what is read at the start only.
                Some(_) if missing.is_subset(&statics) => {
                    Err(Asked::Stop(Cause::Restart(missing.clone())))
                }
                Some(name) => Ok(Progress::Waiting(format!("cluster {name} is missing"))),
            }
        })
    }

    fn routes(&mut self, plan: &Plan, written: &[PathBuf]) -> Result<BTreeSet<String>, Cause> {
        let has_listeners = plan
            .of(Kind::Listeners)
            .any(|it| written.contains(&it.path));
        // Those of the first phase are read when their listener is.
        let new_filters = plan
            .of(Kind::Extension)
            .filter(|it| it.is_changed() && !written.contains(&it.path));
        let new_filters: Vec<&File> = new_filters.collect();
        self.wait(|envoy| {
            let counters = envoy.counters()?;
            if let Progress::Waiting(what) = envoy.fates(plan, written, &counters)? {
                return Ok(Progress::Waiting(what));
            }
            for file in &new_filters {
                if let Fate::Refused(counter) = counters.fate_of(file, &envoy.before) {
                    return Err(envoy.refused(file, counter, true));
                }
            }
            match has_listeners && counters.has_warming_listener() {
                true => Ok(Progress::Waiting("a listener is still warming".to_owned())),
                false => Ok(Progress::Done),
            }
        })?;
        let retired = plan.retired();
        let mut kept = BTreeSet::new();
        if retired.is_empty() {
            return Ok(kept);
        }
        for envoy in &self.envoys {
            let unreachable = |error: io::Error| Cause::Unreachable {
                address: envoy.address.clone(),
                error: error.to_string(),
            };
            kept.extend(envoy.named(&retired).map_err(unreachable)?);
            let counters = envoy.counters().map_err(unreachable)?;
            if counters.has_draining_listener() && plan.listeners_name_clusters() {
                kept.extend(retired.iter().cloned());
            }
        }
        Ok(kept)
    }

    fn end(&mut self, plan: &Plan, written: &[PathBuf]) -> Result<(), Cause> {
        self.wait(|envoy| envoy.fates(plan, written, &envoy.counters()?))
    }
}

impl Envoy {
    /// Refuses an Envoy that does not watch the files to be written, or does not report
    /// them.
    fn check(&self, plan: &Plan, counters: &Counters) -> Result<(), Cause> {
        let changed = plan
            .files()
            .iter()
            .filter(|it| it.is_there() && it.is_changed());
        for file in changed.filter(|it| matches!(it.kind, Kind::Clusters | Kind::Listeners)) {
            if counters.fate_of(file, counters) == Fate::Unwatched {
                return Err(Cause::Unwatched {
                    address: self.address.clone(),
                    file: file.name(),
                });
            }
        }
        Ok(())
    }

    /// Whether Envoy has taken all of the files that it watches.
    fn fates(
        &self,
        plan: &Plan,
        written: &[PathBuf],
        counters: &Counters,
    ) -> Result<Progress, Asked> {
        let mut progress = Progress::Done;
        for file in plan.files().iter().filter(|it| written.contains(&it.path)) {
            match counters.fate_of(file, &self.before) {
                Fate::Taken => {}
                // Nobody uses it yet, or no more.
                Fate::Unwatched => {}
                Fate::Unseen(counter) => {
                    let name = file.name();
                    progress = Progress::Waiting(format!("{name} is not loaded ({counter})"));
                }
                Fate::Refused(counter) => return Err(self.refused(file, counter, false)),
            }
        }
        Ok(progress)
    }

    fn refused(&self, file: &File, counter: String, is_new_filter: bool) -> Asked {
        Asked::Stop(Cause::Refused {
            address: self.address.clone(),
            file: file.name(),
            counter,
            is_new_filter,
        })
    }

    fn counters(&self) -> io::Result<Counters> {
        let body = http::get(&self.address, counters::PATH, ANSWER)?;
        Ok(Counters::read(&String::from_utf8_lossy(&body)))
    }

    /// The names of the clusters that are in use: not of those that still wait
    /// for addresses or health checks.
    fn clusters(&self) -> io::Result<BTreeSet<String>> {
        let body = http::get(&self.address, "/clusters", ANSWER)?;
        let text = String::from_utf8_lossy(&body);
        let names = text.lines().filter_map(|line| {
            let (name, value) = line.rsplit_once("::added_via_api::")?;
            matches!(value, "true" | "false").then(|| name.to_owned())
        });
        Ok(names.collect())
    }

    /// Which of these clusters anything but clusters names: routes, listeners,
    /// those that drain, the bootstrap that it runs with.
    fn named(&self, names: &BTreeSet<String>) -> io::Result<BTreeSet<String>> {
        let body = http::get(&self.address, "/config_dump", ANSWER)?;
        let dump = json::parse(&body)
            .map_err(|problem| io::Error::new(io::ErrorKind::InvalidData, problem.to_string()))?;
        Ok(named_in(&dump, names))
    }
}

fn named_in(dump: &Node, names: &BTreeSet<String>) -> BTreeSet<String> {
    let is_of_clusters = |it: &Node| type_of(it) == Some("ClustersConfigDump");
    let others = items(dump, "configs")
        .iter()
        .filter(|it| !is_of_clusters(it));
    others.flat_map(|it| mentions(it, names)).collect()
}
