//! The cells of one plan, found once when it is loaded: a request has no name to
//! look up.

use std::sync::{LazyLock, Mutex};

use btp_engine::{
    Buckets, BucketsId, CellId, CellKind, CellNames, Claims, Contended, OverflowCells, OverflowId,
    PageId, QuotaId, Registry, RegistryId, SeedId, Update,
};

use super::store::{Cell, Store, lock};

/// All cells of the process.
#[derive(Debug)]
struct Process {
    seeds: Store<Option<[u64; 2]>>,
    buckets: Store<Buckets>,
    overflows: Store<OverflowCells>,
    quotas: Store<Claims>,
    registries: Store<Registry>,
}

/// Those that a plan names.
#[derive(Debug)]
pub(crate) struct PlanCells {
    seeds: Vec<Cell<Option<[u64; 2]>>>,
    buckets: Vec<Cell<Buckets>>,
    shared_buckets: Vec<Cell<Buckets>>,
    overflows: Vec<Cell<OverflowCells>>,
    quotas: Vec<Cell<Claims>>,
    shared_quotas: Vec<Cell<Claims>>,
    registries: Vec<Cell<Registry>>,
}

/// A kind of cell, and where a plan has it.
pub(crate) trait Located: CellId {
    /// `None` if the plan has no such cell.
    fn locate(self, cells: &PlanCells) -> Option<&Mutex<Self::Cell>>;
}

static PROCESS: LazyLock<Process> = LazyLock::new(|| Process {
    seeds: Store::new(),
    buckets: Store::new(),
    overflows: Store::new(),
    quotas: Store::new(),
    registries: Store::new(),
});

impl PlanCells {
    /// The cells of these names.
    pub(crate) fn new(names: &CellNames) -> Self {
        // Kinds that share a store have names of their own.
        let of = |kind| names.of(kind).iter();
        Self {
            seeds: PROCESS.seeds.cells(of(CellKind::Seed)),
            buckets: PROCESS.buckets.cells(of(CellKind::Buckets)),
            shared_buckets: PROCESS.buckets.cells(of(CellKind::SharedBuckets)),
            overflows: PROCESS.overflows.cells(of(CellKind::Overflow)),
            quotas: PROCESS.quotas.cells(of(CellKind::Quota)),
            shared_quotas: PROCESS.quotas.cells(of(CellKind::SharedQuota)),
            registries: PROCESS.registries.cells(of(CellKind::Registry)),
        }
    }

    /// Changes a cell under its lock.
    pub(crate) fn update<I: Located, T>(
        &self,
        id: I,
        mut step: impl FnMut(&mut I::Cell) -> Update<T>,
    ) -> Result<T, Contended> {
        let mut cell = lock(id.locate(self).ok_or(Contended)?);
        #[cfg(feature = "planted-panics")]
        super::locked(std::any::type_name::<I>());
        match step(&mut cell) {
            Update::Keep(value) | Update::Write(value) => Ok(value),
        }
    }
}

impl Located for SeedId {
    fn locate(self, cells: &PlanCells) -> Option<&Mutex<Self::Cell>> {
        at(&cells.seeds, 0)
    }
}

impl Located for BucketsId {
    fn locate(self, cells: &PlanCells) -> Option<&Mutex<Self::Cell>> {
        match self {
            Self::Own(number) => at(&cells.buckets, number),
            Self::Shared(number) => at(&cells.shared_buckets, number),
        }
    }
}

impl Located for OverflowId {
    fn locate(self, cells: &PlanCells) -> Option<&Mutex<Self::Cell>> {
        at(&cells.overflows, self.0)
    }
}

impl Located for QuotaId {
    fn locate(self, cells: &PlanCells) -> Option<&Mutex<Self::Cell>> {
        match self {
            Self::Own(number) => at(&cells.quotas, number),
            Self::Shared(number) => at(&cells.shared_quotas, number),
        }
    }
}

impl Located for RegistryId {
    fn locate(self, cells: &PlanCells) -> Option<&Mutex<Self::Cell>> {
        at(&cells.registries, 0)
    }
}

impl Located for PageId {
    /// No worker dies without the process, so there is nothing to write down.
    fn locate(self, _: &PlanCells) -> Option<&Mutex<Self::Cell>> {
        None
    }
}

fn at<C>(cells: &[Cell<C>], number: u32) -> Option<&Mutex<C>> {
    let index = usize::try_from(number).ok()?;
    cells.get(index).map(AsRef::as_ref)
}
