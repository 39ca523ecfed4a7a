//! The cells of the process, of one kind, by their names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A value that workers change under its lock.
pub(super) type Cell<C> = Arc<Mutex<C>>;

/// Cells by name.
#[derive(Debug)]
pub(super) struct Store<C>(Mutex<HashMap<String, Cell<C>>>);

/// Cells that no configuration names any more are kept, as one may name them again:
/// a filter that was taken away comes back with what it has counted. Beyond so many
/// cells of a kind they are dropped. One table of clients has up to 32,768.
const KEPT: usize = 1 << 17;

impl<C: Default> Store<C> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// The cells of these names, in their order; those that are not known begin
    /// with the default.
    pub(super) fn cells<'n>(
        &self,
        names: impl Iterator<Item = impl Into<String> + AsRef<str> + 'n>,
    ) -> Vec<Cell<C>> {
        let mut known = lock(&self.0);
        if known.len() > KEPT {
            known.retain(|_, cell| Arc::strong_count(cell) > 1);
        }
        names
            .map(|name| match known.get(name.as_ref()) {
                Some(cell) => Arc::clone(cell),
                None => Arc::clone(known.entry(name.into()).or_default()),
            })
            .collect()
    }
}

/// A panic while a lock is held leaves the value as far as it was changed; every
/// such value is valid, and at most one change is wrong. It must not take the
/// limits of all away for good.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
