//! What belongs to no configuration: numbers found by name, and the journals of
//! what workers hold.

use btp_engine::{
    CellNames, Cells, Contended, Journals, MeterId, MeterKind, Meters, Page, PageId, Update,
    WorkerId,
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

impl Cells<PageId> for Process {
    fn update<T>(
        &self,
        page: PageId,
        step: impl FnMut(&mut Page) -> Update<T>,
    ) -> Result<T, Contended> {
        // Pages belong to no plan.
        shared_data::update_cell(page, &CellNames::default(), vm::worker, step)
    }
}

impl Journals for Process {
    fn worker(&self) -> Option<WorkerId> {
        vm::worker()
    }
}
