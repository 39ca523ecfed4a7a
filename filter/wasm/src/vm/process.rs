//! What belongs to no configuration: numbers found by name, and the journals of
//! what workers hold.

use btp_engine::{
    Contended, Journals, MeterId, MeterKind, Meters, Page, Step, WorkerId, versioned_key,
};

use crate::abi::report;
use crate::{abi, shared_data, vm};

/// This process, as any of its workers sees it.
pub(crate) struct Process;

impl Meters for Process {
    fn meter(&self, kind: MeterKind, name: &str) -> Option<MeterId> {
        let defined = match kind {
            MeterKind::Counter => abi::define_counter(name),
            MeterKind::Gauge => abi::define_gauge(name),
        };
        defined.map(MeterId).ok()
    }

    fn adjust(&self, meter: MeterId, by: i64) {
        report("a metric", abi::adjust(meter.0, by));
    }

    fn set(&self, meter: MeterId, to: u64) {
        report("a metric", abi::record(meter.0, to));
    }

    fn level(&self, meter: MeterId) -> u64 {
        abi::metric(meter.0).unwrap_or(0)
    }
}

impl Journals for Process {
    fn worker(&self) -> Option<WorkerId> {
        vm::worker()
    }

    fn page<T>(
        &self,
        page: Page,
        mut step: impl FnMut(&mut Vec<u8>) -> Step<T>,
    ) -> Result<T, Contended> {
        let key = versioned_key(&format!("btp.journal.{}.{}", page.worker, page.page), 1);
        if let Ok(value) = shared_data::update(&key, &mut step) {
            return Ok(value);
        }
        if abi::shared_data(&key).is_some() {
            return Err(Contended);
        }
        // Only its worker makes a page, so that nobody overwrites another's.
        if vm::worker().is_some_and(|it| it.number == page.worker) {
            shared_data::create(&key).map_err(|_| Contended)?;
            return shared_data::update(&key, step);
        }
        // To others a page that is not there is empty.
        match step(&mut Vec::new()) {
            Step::Keep(value) => Ok(value),
            Step::Write(_) => Err(Contended),
        }
    }
}
