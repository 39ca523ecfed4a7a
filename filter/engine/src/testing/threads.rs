//! A native proxy whose workers are threads: counters and the clock are
//! atomics, tables and blocks are changed by a compare-and-swap that races, as
//! in a host whose shared data only knows versions.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use btp_policy::attach::Route;
use hashbrown::HashMap;

use super::FakeHost;
use crate::host::journal::{Journals, Page, WorkerId};
use crate::host::metrics::CounterId;
use crate::host::metrics::Counters;
use crate::host::metrics::{MeterId, MeterKind, Meters};
use crate::host::values::{BlockId, Blocks, Contended, Step, TableId, Tables};
use crate::host::{Attribute, Host};

/// What the workers share.
#[derive(Debug)]
pub struct ThreadedHost {
    /// The clock, in nanoseconds. It stands still unless somebody moves it.
    pub now_ns: AtomicU64,
    counters: Vec<AtomicU64>,
    blocks: Cells<u8>,
    tables: Cells<u64>,
}

/// One worker's view of it, with an exchange of its own.
#[derive(Debug)]
pub struct WorkerHost<'a> {
    /// What is known of the exchange. The clock and all that is shared are
    /// the proxy's.
    pub exchange: FakeHost,
    shared: &'a ThreadedHost,
}

/// Values with versions. Who writes says which version was read, and nothing
/// is written if it is not the latest any more.
#[derive(Debug)]
struct Cells<T> {
    values: Mutex<HashMap<u32, (u64, Vec<T>)>>,
    reads: AtomicU64,
}

/// Others may get in between so often before an update is given up.
const TRIES: usize = 64;
/// After every so many reads the reader lets others go first.
const YIELD_EVERY: u64 = 7;

impl ThreadedHost {
    /// A host with this many counters, all zero.
    #[must_use]
    pub fn new(counters: usize) -> Self {
        let zeros = std::iter::repeat_with(AtomicU64::default);
        Self {
            now_ns: AtomicU64::new(0),
            counters: zeros.take(counters).collect(),
            blocks: Cells::new(),
            tables: Cells::new(),
        }
    }

    /// A worker, whose random numbers begin with `seed`.
    #[must_use]
    pub fn worker(&self, seed: u64) -> WorkerHost<'_> {
        let mut exchange = FakeHost::default();
        // What workers draw to tell each other apart must differ.
        exchange
            .random
            .extend((0..8).map(|n| seed.wrapping_mul(8) + n));
        WorkerHost {
            exchange,
            shared: self,
        }
    }

    fn counter(&self, counter: CounterId) -> Option<&AtomicU64> {
        self.counters.get(usize::try_from(counter.0).ok()?)
    }
}

impl<T: Clone> Cells<T> {
    fn new() -> Self {
        Self {
            values: Mutex::default(),
            reads: AtomicU64::new(0),
        }
    }

    fn update<R>(
        &self,
        id: u32,
        mut step: impl FnMut(&mut Vec<T>) -> Step<R>,
    ) -> Result<R, Contended> {
        for _ in 0..TRIES {
            let (version, mut value) = self.read(id)?;
            match step(&mut value) {
                Step::Keep(result) => return Ok(result),
                Step::Write(result) => {
                    if self.write(id, version, value)? {
                        return Ok(result);
                    }
                }
            }
        }
        Err(Contended)
    }

    fn read(&self, id: u32) -> Result<(u64, Vec<T>), Contended> {
        let values = self.values.lock().map_err(|_| Contended)?;
        let known = values.get(&id).cloned().unwrap_or((0, Vec::new()));
        drop(values);
        let reads = self.reads.fetch_add(1, Ordering::Relaxed);
        if reads.is_multiple_of(YIELD_EVERY) {
            std::thread::yield_now();
        }
        Ok(known)
    }

    /// Says whether it was written.
    fn write(&self, id: u32, read: u64, value: Vec<T>) -> Result<bool, Contended> {
        let mut values = self.values.lock().map_err(|_| Contended)?;
        let (version, latest) = values.entry(id).or_insert((0, Vec::new()));
        let is_latest = *version == read;
        if is_latest {
            *version += 1;
            *latest = value;
        }
        Ok(is_latest)
    }
}

impl Counters for ThreadedHost {
    fn add(&self, counter: CounterId, amount: u64) {
        if let Some(counter) = self.counter(counter) {
            counter.fetch_add(amount, Ordering::Relaxed);
        }
    }

    fn read(&self, counter: CounterId) -> u64 {
        self.counter(counter)
            .map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}

impl Blocks for ThreadedHost {
    fn block<T>(
        &self,
        block: BlockId,
        step: impl FnMut(&mut Vec<u8>) -> Step<T>,
    ) -> Result<T, Contended> {
        self.blocks.update(block.0, step)
    }
}

impl Tables for ThreadedHost {
    fn update_table(&self, table: TableId, mut step: impl FnMut(&mut Vec<u64>) -> bool) -> bool {
        let changed = self.tables.update(table.0, |words| {
            if step(words) {
                Step::Write(true)
            } else {
                Step::Keep(false)
            }
        });
        changed.unwrap_or(false)
    }
}

impl Counters for WorkerHost<'_> {
    fn add(&self, counter: CounterId, amount: u64) {
        self.shared.add(counter, amount);
    }

    fn read(&self, counter: CounterId) -> u64 {
        self.shared.read(counter)
    }
}

impl Blocks for WorkerHost<'_> {
    fn block<T>(
        &self,
        block: BlockId,
        step: impl FnMut(&mut Vec<u8>) -> Step<T>,
    ) -> Result<T, Contended> {
        self.shared.block(block, step)
    }
}

impl Tables for WorkerHost<'_> {
    fn update_table(&self, table: TableId, step: impl FnMut(&mut Vec<u64>) -> bool) -> bool {
        self.shared.update_table(table, step)
    }
}

/// Meters are shared by handing each exchange the same ones.
impl Meters for WorkerHost<'_> {
    fn meter(&self, kind: MeterKind, name: &str) -> Option<MeterId> {
        self.exchange.meter(kind, name)
    }

    fn adjust(&self, meter: MeterId, by: i64) {
        self.exchange.adjust(meter, by);
    }

    fn set(&self, meter: MeterId, to: u64) {
        self.exchange.set(meter, to);
    }

    fn level(&self, meter: MeterId) -> u64 {
        self.exchange.level(meter)
    }
}

impl Journals for WorkerHost<'_> {
    fn worker(&self) -> Option<WorkerId> {
        self.exchange.worker()
    }

    fn page<T>(
        &self,
        page: Page,
        step: impl FnMut(&mut Vec<u8>) -> Step<T>,
    ) -> Result<T, Contended> {
        self.exchange.page(page, step)
    }
}

impl Host for WorkerHost<'_> {
    fn now_ns(&mut self) -> u64 {
        self.shared.now_ns.load(Ordering::SeqCst)
    }

    fn wall_ms(&mut self) -> u64 {
        self.exchange.wall_ms()
    }

    fn random(&mut self) -> u64 {
        self.exchange.random()
    }

    fn secret(&mut self) -> Option<u64> {
        self.exchange.secret()
    }

    fn request_headers<R>(&mut self, read: impl FnOnce(&[(&[u8], &[u8])]) -> R) -> R {
        self.exchange.request_headers(read)
    }

    fn request_header<R>(&mut self, name: &str, read: impl FnOnce(Option<&[u8]>) -> R) -> R {
        self.exchange.request_header(name, read)
    }

    fn response_header<R>(&mut self, name: &str, read: impl FnOnce(Option<&[u8]>) -> R) -> R {
        self.exchange.response_header(name, read)
    }

    fn response_headers<R>(&mut self, read: impl FnOnce(&[(&[u8], &[u8])]) -> R) -> R {
        self.exchange.response_headers(read)
    }

    fn response_is_local(&mut self) -> bool {
        self.exchange.response_is_local()
    }

    fn attribute(&mut self, attribute: Attribute<'_>) -> Option<Vec<u8>> {
        self.exchange.attribute(attribute)
    }

    fn metadata(&mut self, path: &[String]) -> Option<Vec<u8>> {
        self.exchange.metadata(path)
    }

    fn start_time_ns(&mut self) -> Option<u64> {
        self.exchange.start_time_ns()
    }

    fn route_name<R>(&mut self, read: impl FnOnce(Option<&[u8]>) -> R) -> R {
        self.exchange.route_name(read)
    }

    fn route<R>(&mut self, labels: bool, read: impl FnOnce(&Route<'_>) -> R) -> R {
        self.exchange.route(labels, read)
    }

    fn attempt(&mut self) -> Option<u32> {
        self.exchange.attempt()
    }

    fn source_address(&mut self) -> Option<IpAddr> {
        self.exchange.source_address()
    }

    fn exchange_name<R>(&mut self, read: impl FnOnce(Option<&[u8]>) -> R) -> R {
        self.exchange.exchange_name(read)
    }

    fn tries(&mut self) -> u32 {
        self.exchange.tries()
    }

    fn is_via_upstream(&mut self) -> bool {
        self.exchange.is_via_upstream()
    }

    fn cluster_name<R>(&mut self, read: impl FnOnce(Option<&[u8]>) -> R) -> R {
        self.exchange.cluster_name(read)
    }
}

#[cfg(test)]
mod tests;
