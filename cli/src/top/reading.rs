//! One reading of an Envoy: which Envoy it is, and the filter's counters so far.
//!
//! It reads the statistics of the filter and a few of Envoy's own as JSON, because names
//! may contain line ends. Answers are bounded in size and time, and an answer that does not
//! look like Envoy's is an error.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::error::Error;
use super::stats::{Owner, Stat, is_gauge};
use crate::envoy::plugin::Build;
use crate::host_port::HostPort;
use crate::http::{self, Bounds};

/// Ten statistics of each of fifty thousand rules are smaller.
const ANSWER: Bounds = Bounds {
    patience: Duration::from_secs(10),
    largest: 64 << 20,
};

/// Percent-encoded: the filter's statistics, and those of Envoy about machines.
const STATS: &str = "/stats?format=json&filter=\
                     %28%5E%7C%5C.%29%28wasmcustom%7Cdynamicmodulescustom%29%5C.btp%5C.%7C\
                     %5Ewasm%5C.";

/// Whom to ask, and for what.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) address: HostPort,
    /// Whether what is counted to look for faults is wanted, too.
    pub(super) with_debug: bool,
}

/// What an Envoy says.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) at: Instant,
    pub(super) server: Server,
    pub(super) process: Process,
    pub(super) owners: BTreeMap<Owner, Numbers>,
}

/// The Envoy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) version: String,
    pub(super) state: String,
    pub(super) uptime: Duration,
    pub(super) workers: Option<u64>,
}

/// The filter, whatever policies it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) has_wasm: bool,
    pub(super) has_module: bool,
    /// Wasm machines that live, of whatever plugin.
    pub(super) machines: Option<u64>,
    /// Machines that were replaced after a crash.
    pub(super) replaced: u64,
    pub(super) panics: u64,
    pub(super) not_configured: u64,
    pub(super) on_older: u64,
    /// Of all machines of the filter, and of the largest.
    pub(super) memory: u64,
    pub(super) largest: u64,
}

/// What a part of a policy has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) counters: BTreeMap<String, u64>,
    pub(super) gauges: BTreeMap<String, i64>,
}

impl Source {
    /// Asks.
    ///
    /// # Errors
    /// Nobody answers, or not as Envoy does.
    pub(super) fn ask(&self) -> Result<Reading, Error> {
        let server = self.get("/server_info")?;
        let server = server_of(&server).ok_or_else(|| self.odd("/server_info"))?;
        let stats = self.get(STATS)?;
        let at = Instant::now();
        let numbers = numbers_of(&stats).ok_or_else(|| self.odd("/stats"))?;
        let mut reading = Reading {
            at,
            server,
            process: Process::default(),
            owners: BTreeMap::new(),
        };
        for (name, value) in numbers {
            reading.add(name, value, self.with_debug);
        }
        Ok(reading)
    }

    fn get(&self, path: &str) -> Result<Value, Error> {
        let body = http::get(&self.address, path, ANSWER).map_err(|error| match error.kind() {
            ErrorKind::InvalidData => Error::NotEnvoy(self.address.clone(), error.to_string()),
            _ => Error::Unreachable(self.address.clone(), error),
        })?;
        serde_json::from_slice(&body).map_err(|_| self.odd(path))
    }

    fn odd(&self, path: &str) -> Error {
        let path = path.split('?').next().unwrap_or(path);
        let why = format!("its answer to {path} is not Envoy's");
        Error::NotEnvoy(self.address.clone(), why)
    }
}

impl Reading {
    /// Takes in a statistic.
    fn add(&mut self, name: &str, value: u64, with_debug: bool) {
        match Stat::parse(name) {
            Some(Stat::Policy(series)) => {
                self.process.has(series.build);
                if series.is_debug && !with_debug {
                    return;
                }
                // An instance in another scope may count the same.
                let numbers = self.owners.entry(series.owner).or_default();
                if is_gauge(&series.what) {
                    let sum = numbers.gauges.entry(series.what).or_default();
                    *sum = sum.wrapping_add(value.cast_signed());
                } else {
                    let sum = numbers.counters.entry(series.what).or_default();
                    *sum = sum.saturating_add(value);
                }
            }
            Some(Stat::Process(build, name)) => {
                self.process.has(build);
                self.process.add(&name, value);
            }
            None => self.process.add_envoys(name, value),
        }
    }

    /// Whether the filter has said anything.
    pub(super) fn has_filter(&self) -> bool {
        self.process.has_wasm || self.process.has_module
    }
}

impl Process {
    fn has(&mut self, build: Build) {
        match build {
            Build::Wasm => self.has_wasm = true,
            Build::Module => self.has_module = true,
        }
    }

    /// Takes in a number of the filter's.
    fn add(&mut self, name: &str, value: u64) {
        let sum = match name {
            "panics" => &mut self.panics,
            "workers_not_configured" => &mut self.not_configured,
            "workers_on_older_configuration" => &mut self.on_older,
            "vm_memory_bytes_max" => {
                self.largest = self.largest.max(value);
                return;
            }
            _ if name.starts_with("vm_memory_bytes.") => &mut self.memory,
            _ => return,
        };
        *sum = sum.saturating_add(value);
    }

    /// Takes in a number of Envoy's about its machines.
    fn add_envoys(&mut self, name: &str, value: u64) {
        let is_runtime = name.starts_with("wasm.envoy.wasm.runtime.");
        if is_runtime && name.ends_with(".active") {
            self.machines = Some(self.machines.unwrap_or_default().saturating_add(value));
        } else if name.starts_with("wasm.") && name.ends_with(".vm_reload_success") {
            self.replaced = self.replaced.saturating_add(value);
        }
    }
}

fn server_of(answer: &Value) -> Option<Server> {
    let version = answer["version"].as_str()?;
    let uptime = answer["uptime_current_epoch"].as_str()?;
    let seconds: f64 = uptime.strip_suffix('s')?.parse().ok()?;
    Some(Server {
        // Between the hash and how it was built.
        version: version.split('/').nth(1).unwrap_or(version).to_owned(),
        state: answer["state"].as_str().unwrap_or("LIVE").to_owned(),
        uptime: Duration::try_from_secs_f64(seconds).ok()?,
        workers: answer["command_line_options"]["concurrency"].as_u64(),
    })
}

/// Counters and gauges; texts and histograms are left out.
fn numbers_of(answer: &Value) -> Option<impl Iterator<Item = (&str, u64)>> {
    let stats = answer["stats"].as_array()?.iter();
    Some(stats.filter_map(|it| Some((it["name"].as_str()?, it["value"].as_u64()?))))
}

#[cfg(test)]
impl Reading {
    /// One with these statistics, of an Envoy that nothing is known of.
    pub(super) fn of(stats: &[(&str, u64)]) -> Self {
        let mut reading = Self {
            at: Instant::now(),
            server: Server::default(),
            process: Process::default(),
            owners: BTreeMap::new(),
        };
        for (name, value) in stats {
            reading.add(name, *value, false);
        }
        reading
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::top::stats::{Capability, Part};

    #[test]
    fn the_server_says_who_it_is() {
        let answer = json!({
            "version": "2b3c/1.40.0/Clean/RELEASE/BoringSSL",
            "state": "LIVE",
            "uptime_current_epoch": "75s",
            "command_line_options": {"concurrency": 2},
        });
        let server = server_of(&answer).expect("is Envoy's");
        assert_eq!(
            (server.version.as_str(), server.workers),
            ("1.40.0", Some(2))
        );
        assert_eq!(server.uptime, Duration::from_secs(75));
        for other in [
            json!({}),
            json!([1]),
            json!({"version": "1", "uptime_current_epoch": "x"}),
        ] {
            assert_eq!(server_of(&other), None, "{other}");
        }
    }

    #[test]
    fn the_same_series_of_several_scopes_is_one_sum() {
        let reading = Reading::of(&[
            ("wasmcustom.btp.n.p.fault_active", 1),
            ("cluster.a.wasmcustom.btp.n.p.fault_active", 2),
            ("wasmcustom.btp.n.p.fault_overflow", 3),
            ("cluster.b.wasmcustom.btp.n.p.fault_overflow", 4),
            ("wasmcustom.btp.n.p.rate_limit.r.debug_store_operations", 4),
            // Credit that workers have overdrawn.
            ("wasmcustom.btp.n.p.retry_budget_balance", u64::MAX),
            ("wasmcustom.btp.vm_memory_bytes.0", 10),
            ("wasmcustom.btp.vm_memory_bytes.1", 20),
            ("wasmcustom.btp.vm_memory_bytes_max", 20),
        ]);
        let owner = |capability| Owner {
            namespace: "n".to_owned(),
            policy: "p".to_owned(),
            capability,
            part: Part::Whole,
        };
        assert_eq!(reading.owners.len(), 2);
        let faults = &reading.owners[&owner(Capability::FaultInjection)];
        assert_eq!(faults.gauges["fault_active"], 3);
        assert_eq!(faults.counters["fault_overflow"], 7);
        let budget = &reading.owners[&owner(Capability::RetryConstraint)];
        assert_eq!(budget.gauges["retry_budget_balance"], -1);
        assert_eq!((reading.process.memory, reading.process.largest), (30, 20));
    }

    proptest! {
        #[test]
        fn no_answer_is_too_odd(text in "\\PC*|(\\[|\\{|\"stats\"|\"name\"|:|,|1|\\]|\\}){0,20}") {
            if let Ok(answer) = serde_json::from_str::<Value>(&text) {
                let _ = server_of(&answer);
                let _ = numbers_of(&answer).map(Iterator::count);
            }
        }
    }
}
