//! Whether policies are in force, in words: the signals of docs/reference/crashes.md.

use super::reading::{Reading, Server};

/// How it is, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) verdict: Verdict,
    /// The worst first; one at least.
    pub(super) words: Vec<String>,
}

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    InForce,
    /// Those that some workers have are not the newest.
    Outdated,
    /// Some workers have none.
    Off,
}

/// Envoy's own machines beside those of its workers: one of the main thread, and one in
/// which code is kept.
const BESIDE_WORKERS: u64 = 2;

impl Health {
    /// How it is by a look.
    pub(super) fn of(reading: &Reading) -> Self {
        let Reading {
            server, process, ..
        } = reading;
        let workers = server.workers;
        let mut verdict = Verdict::InForce;
        let mut words = Vec::new();
        if process.not_configured > 0 {
            verdict = Verdict::Off;
            words.push(format!(
                "{} no configuration, and every request there is answered 503",
                have(process.not_configured, workers)
            ));
        }
        if let Some((there, needed)) = lost_machines(reading) {
            verdict = Verdict::Off;
            words.push(format!(
                "Wasm VMs are missing: Envoy has {there} and needs {needed}. If this lasts, \
                 policies are off on some workers: deliver the configuration with another vm_id, \
                 or restart Envoy"
            ));
        }
        if process.on_older > 0 {
            if verdict == Verdict::InForce {
                verdict = Verdict::Outdated;
            }
            words.push(format!(
                "{} an older configuration, because the new one does not fit its memory",
                have(process.on_older, workers)
            ));
        }
        if verdict == Verdict::InForce {
            words.push(match (reading.has_filter(), workers) {
                (false, _) => "no BackendTrafficPolicy filter has counted anything yet".to_owned(),
                (true, Some(1)) => "policies are in force on the one worker".to_owned(),
                (true, Some(workers)) => {
                    format!("policies are in force on all {workers} workers")
                }
                (true, None) => "policies are in force on all workers".to_owned(),
            });
        }
        if let Some(word) = not_live(server) {
            words.push(word);
        }
        if process.replaced > 0 {
            words.push(format!(
                "Wasm VMs replaced after a crash since Envoy's start: {}",
                process.replaced
            ));
        }
        if process.panics > 0 {
            words.push(format!(
                "panics caught, each with its reason in Envoy's log: {}",
                process.panics
            ));
        }
        Self { verdict, words }
    }
}

fn have(some: u64, all: Option<u64>) -> String {
    match (some, all) {
        (some, Some(all)) if all >= some => match all {
            1 => "the one worker has".to_owned(),
            _ if some == 1 => format!("1 of {all} workers has"),
            _ => format!("{some} of {all} workers have"),
        },
        (1, _) => "1 worker has".to_owned(),
        _ => format!("{some} workers have"),
    }
}

/// The machines that are there and those that are needed, if they are fewer. Machines of
/// other plugins may hide that some are gone.
fn lost_machines(reading: &Reading) -> Option<(u64, u64)> {
    // One that starts does not have all of them yet.
    let is_to_have_all = reading.process.has_wasm && reading.server.state == "LIVE";
    let there = reading.process.machines.filter(|_| is_to_have_all)?;
    let needed = reading.server.workers?.saturating_add(BESIDE_WORKERS);
    (there < needed).then_some((there, needed))
}

/// What Envoy is at, unless it serves.
fn not_live(server: &Server) -> Option<String> {
    Some(match server.state.as_str() {
        "" | "LIVE" => return None,
        "DRAINING" => "Envoy is draining: it serves open connections, then ends".to_owned(),
        "PRE_INITIALIZING" | "INITIALIZING" => {
            "Envoy is starting, and does not serve yet".to_owned()
        }
        other => format!("Envoy's state is {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIVE: &str = "wasm.envoy.wasm.runtime.v8.active";
    const NOT_CONFIGURED: &str = "wasmcustom.btp.workers_not_configured";
    const OLDER: &str = "wasmcustom.btp.workers_on_older_configuration";
    const MEMORY: &str = "wasmcustom.btp.vm_memory_bytes_max";

    /// Of an Envoy with four workers.
    fn of(stats: &[(&str, u64)], state: &str) -> (Verdict, String) {
        let mut reading = Reading::of(stats);
        reading.server.workers = Some(4);
        reading.server.state = state.to_owned();
        let Health { verdict, words } = Health::of(&reading);
        (verdict, words.join("\n"))
    }

    #[test]
    fn what_is_not_as_it_is_to_be_is_said_in_words() {
        let check = |stats: &[(&str, u64)], state, verdict, part| {
            let (found, words) = of(stats, state);
            assert_eq!(found, verdict, "{words}");
            assert!(words.contains(part), "{words}");
        };
        use Verdict::{InForce, Off, Outdated};
        let fine = [(MEMORY, 9), (ACTIVE, 6)];
        check(&fine, "LIVE", InForce, "in force on all 4 workers");
        check(&[], "LIVE", InForce, "no BackendTrafficPolicy filter");
        let none = [(NOT_CONFIGURED, 2)];
        check(&none, "LIVE", Off, "2 of 4 workers have no configuration");
        check(
            &[(OLDER, 1)],
            "LIVE",
            Outdated,
            "1 of 4 workers has an older",
        );
        let both = [(NOT_CONFIGURED, 1), (OLDER, 1)];
        check(&both, "LIVE", Off, "1 of 4 workers has no");
        check(
            &[(MEMORY, 9), (ACTIVE, 5)],
            "LIVE",
            Off,
            "has 5 and needs 6",
        );
        let starting = "does not serve yet";
        check(
            &[(MEMORY, 9), (ACTIVE, 5)],
            "INITIALIZING",
            InForce,
            starting,
        );
        // Machines of others, without the filter.
        check(&[(ACTIVE, 1)], "DRAINING", InForce, "Envoy is draining");
        let crashes = [
            ("dynamicmodulescustom.btp.panics", 3),
            ("wasm.backend_traffic_policy.vm_reload_success", 2),
        ];
        check(&crashes, "LIVE", InForce, "start: 2");
        check(&crashes, "LIVE", InForce, "log: 3");
    }
}
