//! Instructions that a worker takes for a request, which no neighbour on the machine changes.
//!
//! They are counted by valgrind's callgrind, in an Envoy with one worker and a listener for
//! each variant. Other threads are left out: what they do, they do so many times a second,
//! and seconds are long under valgrind. They say nothing of caches, and so do not stand for time; they show a
//! difference of one in a thousand, which times never do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use btp_tests::Envoy;
use btp_tests::measure::thousands;
use tempfile::TempDir;

use crate::costs::{QUIET, kinds_of_work};
use crate::load::Connections;
use crate::output::Output;
use crate::setup::Setup;
use crate::traffic::{Request, Traffic};
use crate::variants::{self, CONTROL, CONTROL_AGAIN, FOUR, Kind, NOTHING, Variant};
use crate::{backend, replays};

/// Instructions per request, by variant and traffic.
type Counts = BTreeMap<(Kind, &'static str, Traffic), f64>;

/// An Envoy that callgrind watches.
struct Watched {
    envoy: Envoy,
    /// Where callgrind writes what it has counted, a file for each thread.
    folder: TempDir,
}

/// V8 compiles code a second time when it has run often enough.
const WARM_UP: usize = 800;
const REQUESTS: usize = 1_000;
const CONNECTIONS: usize = 8;

/// Fewer are no measure for others.
const LEAST: f64 = 1_000.0;
const COLUMNS: [(Kind, &str); 4] = [
    (Kind::Wasm, ".wasm"),
    (Kind::Replay, "its hostcalls alone"),
    (Kind::Module, "module"),
    (Kind::Envoy, "Envoy's own"),
];

/// Counts, and writes the tables and the numbers.
pub(crate) async fn run(setup: &Setup, output: &Output) -> Result<()> {
    let backend = backend::start().await?;
    let mut variants = replays::with_replays(variants::all(backend)?, setup, backend).await?;
    // Callgrind takes a second for each.
    let short = [CONTROL, NOTHING, FOUR, "abort"];
    variants.retain(|it| match setup.is_smoke {
        true => short.contains(&it.what),
        false => it.what != CONTROL_AGAIN,
    });
    let mut watched = Watched::start(&variants, backend).await?;
    let counts = watched.count(setup, &variants).await?;
    watched.envoy.assert_vm_alive().await?;
    watched.envoy.stop();
    output.file("instructions.csv", &raw(&counts)?)?;
    output.table("instructions", &passing(&variants, &counts)?)?;
    output.table("instructions-firing", &firing(&variants, &counts)?)
}

impl Watched {
    async fn start(variants: &[Variant], backend: std::net::SocketAddr) -> Result<Self> {
        let folder = TempDir::new()?;
        let bootstrap = variants::bootstrap(variants, backend)?;
        let mut valgrind = Command::new("valgrind");
        valgrind.args([
            "--tool=callgrind",
            "--instr-atstart=no",
            "--separate-threads=yes",
            "-q",
        ]);
        let dumps = folder.path().join("counted");
        valgrind.arg(format!("--callgrind-out-file={}", dumps.display()));
        Ok(Self {
            envoy: Envoy::start_under(valgrind, &bootstrap).await?,
            folder,
        })
    }

    async fn count(&mut self, setup: &Setup, variants: &[Variant]) -> Result<Counts> {
        let mut counts = Counts::new();
        let mut connections = Vec::new();
        for variant in variants {
            let peer = self.envoy.listener_addr(&variant.listener())?;
            let mut open = Connections::open(peer, CONNECTIONS).await?;
            for (traffic, _) in &variant.asked {
                let requests: Arc<[Request]> = vec![traffic.request()].into();
                let times = setup.amount(WARM_UP, CONNECTIONS);
                open.send(&requests, times).await?;
            }
            connections.push(open);
        }
        let times = setup.amount(REQUESTS, CONNECTIONS);
        for (variant, open) in variants.iter().zip(&mut connections) {
            for (traffic, status) in &variant.asked {
                let requests: Arc<[Request]> = vec![traffic.request()].into();
                // It begins to count with an empty cache of its own.
                self.control(&["-i", "on"])?;
                let statuses = open.send(&requests, times).await?;
                self.control(&["-i", "off"])?;
                let name = variant.name();
                let expected = statuses.get(status).copied().unwrap_or_default();
                ensure!(expected == times, "{name}: {statuses:?}");
                let total = self.counted_since()?;
                println!("{name}, {}: {:.0}", traffic.name(), total / times as f64);
                let key = (variant.kind, variant.what, *traffic);
                counts.insert(key, total / times as f64);
            }
        }
        Ok(counts)
    }

    /// Instructions since it was asked last, of the thread that took the most: the worker.
    fn counted_since(&mut self) -> Result<f64> {
        self.control(&["-d"])?;
        let mut most = 0.0;
        for dump in fs::read_dir(self.folder.path())? {
            let dump = dump?.path();
            most = total(&dump)?.max(most);
            // They are large.
            fs::remove_file(dump)?;
        }
        Ok(most)
    }

    fn control(&self, arguments: &[&str]) -> Result<()> {
        let told = Command::new("callgrind_control")
            .args(arguments)
            .arg(self.envoy.pid().to_string())
            .output()
            .context("callgrind_control is needed, of valgrind")?;
        ensure!(told.status.success(), "{told:?}");
        Ok(())
    }
}

/// The sum of what a dump has.
fn total(dump: &Path) -> Result<f64> {
    let text = fs::read_to_string(dump).with_context(|| dump.display().to_string())?;
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(totals.map_or(Ok(0.0), |it| it.trim().parse())?)
}

/// What is added to a request that passes, and in brackets that as a ratio to a filter of the
/// same kind that does nothing; of the module also as a ratio to Envoy's own.
fn passing(variants: &[Variant], counts: &Counts) -> Result<String> {
    let mut text = "|".to_owned();
    for (_, name) in COLUMNS {
        for traffic in QUIET {
            write!(text, " | {name}, {}", traffic.name())?;
        }
    }
    let columns = COLUMNS.len() * QUIET.len();
    write!(text, " |\n|---|{}\n", "---|".repeat(columns))?;
    for what in kinds_of_work(asked(variants), Traffic::Proxied) {
        write!(text, "| {what}")?;
        for (kind, _) in COLUMNS {
            for traffic in QUIET {
                let added = |kind, what| {
                    let control = counts.get(&(Kind::Control, CONTROL, traffic))?;
                    Some(counts.get(&(kind, what, traffic))? - control)
                };
                let Some(own) = added(kind, what) else {
                    text.push_str(" | –");
                    continue;
                };
                write!(text, " | {}", signed(own))?;
                let idle = match kind {
                    Kind::Replay => Kind::Wasm,
                    kind => kind,
                };
                if let Some(nothing) = added(idle, NOTHING) {
                    write!(text, " ({:.2}", own / nothing)?;
                    match added(Kind::Envoy, what) {
                        Some(native) if kind == Kind::Module && native >= LEAST => {
                            write!(text, "; {:.2})", own / native)?;
                        }
                        _ => text.push(')'),
                    }
                }
            }
        }
        text.push_str(" |\n");
    }
    Ok(text)
}

/// What a request takes in all that is answered by a filter, or whose answer one replaces.
fn firing(variants: &[Variant], counts: &Counts) -> Result<String> {
    let kinds = [Kind::Envoy, Kind::Wasm, Kind::Module];
    let mut text = "| | no filter".to_owned();
    for kind in kinds {
        write!(text, " | {}", kind.name())?;
    }
    write!(text, " |\n|---|{}\n", "---|".repeat(1 + kinds.len()))?;
    for traffic in [Traffic::Refused, Traffic::Upload, Traffic::Absent] {
        let of = |kind, what| counts.get(&(kind, what, traffic)).copied();
        let control = of(Kind::Control, CONTROL).context("no control")?;
        for what in kinds_of_work(asked(variants), traffic) {
            write!(text, "| {what} | {}", rounded(control))?;
            let native = of(Kind::Envoy, what).context("no native filter")?;
            for kind in kinds {
                let own = of(kind, what).context("not counted")?;
                write!(text, " | {}", rounded(own))?;
                if kind != Kind::Envoy {
                    write!(text, " ({:.2})", own / native)?;
                }
            }
            text.push_str(" |\n");
        }
    }
    Ok(text)
}

/// What is asked of whom.
fn asked(variants: &[Variant]) -> impl Iterator<Item = (Kind, &'static str, Traffic)> {
    variants.iter().flat_map(|it| {
        let asked = it.asked.iter();
        asked.map(|(traffic, _)| (it.kind, it.what, *traffic))
    })
}

fn raw(counts: &Counts) -> Result<String> {
    let mut raw = "traffic,kind,variant,instructions_per_request\n".to_owned();
    for ((kind, what, traffic), count) in counts {
        let (kind, traffic) = (kind.name(), traffic.name());
        writeln!(raw, "{traffic},{kind},\"{what}\",{count:.0}")?;
    }
    Ok(raw)
}

/// To the nearest fifty, which is what it repeats to.
fn rounded(count: f64) -> String {
    let count = (count / 50.0).round() as i64 * 50;
    let sign = if count < 0 { "-" } else { "" };
    format!("{sign}{}", thousands(count.unsigned_abs()))
}

fn signed(count: f64) -> String {
    let sign = if count < 0.0 { "" } else { "+" };
    format!("{sign}{}", rounded(count))
}
