//! The cells of a proxy in memory, for as many threads as a test likes. A cell is
//! changed by compare-and-swap, as in a host whose shared data only knows
//! versions.

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;

use crate::host::shared_state::{CellId, CellNames, Contended, Update};

/// All cells of a proxy; clones share them.
#[derive(Clone, Debug, Default)]
pub struct SharedCells(Arc<Store>);

#[derive(Debug, Default)]
struct Store {
    cells: Mutex<HashMap<String, Versioned>>,
    updates: AtomicUsize,
    contended: AtomicUsize,
    raced: AtomicUsize,
    yields: AtomicBool,
}

/// A cell with its version. A writer must name the latest version, or nothing is written.
#[derive(Debug)]
struct Versioned {
    version: u64,
    cell: Box<dyn Any + Send>,
}

/// Others may get in between so often before an update is given up.
pub(super) const TRIES: usize = 64;
/// Where others are to race, a reader lets them go first after every so many
/// updates.
const YIELD_EVERY: usize = 7;

impl SharedCells {
    /// So many of the next updates are lost to others.
    pub fn contend(&self, updates: usize) {
        self.0.contended.store(updates, Ordering::SeqCst);
    }

    /// In so many of the next updates somebody else gets in between once.
    pub fn race(&self, updates: usize) {
        self.0.raced.store(updates, Ordering::SeqCst);
    }

    /// Updates so far.
    #[must_use]
    pub fn updates(&self) -> usize {
        self.0.updates.load(Ordering::SeqCst)
    }

    /// What is in the cell of this name.
    #[must_use]
    pub fn get<C: Clone + Default + 'static>(&self, name: &str) -> C {
        self.read(name).1
    }

    /// What is in all cells of one kind.
    #[must_use]
    pub fn all<C: Clone + 'static>(&self) -> Vec<C> {
        let cells = self.0.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let of_kind = cells.values().filter_map(|it| it.cell.downcast_ref::<C>());
        of_kind.cloned().collect()
    }

    /// Lets readers yield to others now and then.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn yield_to_others(&self) {
        self.0.yields.store(true, Ordering::SeqCst);
    }

    /// Changes a cell, found by its id if no plan names it.
    pub(super) fn update<I: CellId, T>(
        &self,
        id: I,
        names: &CellNames,
        mut step: impl FnMut(&mut I::Cell) -> Update<T>,
    ) -> Result<T, Contended> {
        let name = id.name(names);
        let name = name.unwrap_or_else(|| Cow::Owned(format!("{id:?}")));
        let updates = self.0.updates.fetch_add(1, Ordering::SeqCst);
        let is_contended = took_one(&self.0.contended);
        if is_contended || took_one(&self.0.raced) {
            step(&mut self.read(&name).1);
        }
        if is_contended {
            return Err(Contended);
        }
        for _ in 0..TRIES {
            let (version, before): (u64, I::Cell) = self.read(&name);
            if self.0.yields.load(Ordering::SeqCst) && updates.is_multiple_of(YIELD_EVERY) {
                std::thread::yield_now();
            }
            let mut cell = before.clone();
            match step(&mut cell) {
                Update::Keep(value) => {
                    assert!(cell == before, "{name} was to be kept, and was changed");
                    return Ok(value);
                }
                Update::Write(value) => {
                    if self.write(&name, version, cell) {
                        return Ok(value);
                    }
                }
            }
        }
        Err(Contended)
    }

    fn read<C: Clone + Default + 'static>(&self, name: &str) -> (u64, C) {
        let cells = self.0.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let known = cells
            .get(name)
            .map(|it| (it.version, it.cell.downcast_ref()));
        match known {
            None => (0, C::default()),
            Some((version, cell)) => {
                let cell = cell.cloned();
                assert!(cell.is_some(), "{name} is a cell of another kind");
                (version, cell.unwrap_or_default())
            }
        }
    }

    /// Says whether it was written.
    fn write<C: Send + 'static>(&self, name: &str, read: u64, cell: C) -> bool {
        let mut cells = self.0.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = cells.get(name).map_or(0, |it| it.version);
        if latest != read {
            return false;
        }
        let written = Versioned {
            version: read + 1,
            cell: Box::new(cell),
        };
        cells.insert(name.to_owned(), written);
        true
    }
}

fn took_one(left: &AtomicUsize) -> bool {
    let take = |left: usize| left.checked_sub(1);
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
        .is_ok()
}
