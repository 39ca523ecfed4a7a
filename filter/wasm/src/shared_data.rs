//! The cells that workers share, as values of Envoy's shared data: one key each, in the
//! formats of `btp_formats`.
//!
//! Envoy creates a missing key whatever version the caller names, so two workers that
//! create it at the same time overwrite each other. Therefore all keys are created when a
//! configuration is loaded, which Envoy does in one canary before any worker. They are
//! never emptied afterwards, and outlive updates of the configuration and workers that die.
//! Keys are never freed; their names come from the configuration only.

use btp_engine::{CellNames, Contended, Update, WorkerId};
use btp_formats::{Encoded, Stored};

use crate::abi;

/// A value as it was read.
struct Found {
    value: Vec<u8>,
    /// `None`: it is not there, and others may not make it.
    version: Option<u32>,
}

/// Others may get in between so often before an update is given up. Between
/// two workers at full speed every fifth attempt fails.
const TRIES: usize = 64;

/// Creates a key that does not exist yet.
pub(crate) fn create(key: &str) -> Result<(), String> {
    if abi::shared_data(key).is_some() {
        return Ok(());
    }
    abi::set_shared_data(key, &[], 0)
        .map_err(|refused| format!("Envoy refuses shared data {key}: {refused:?}"))
}

/// Shows `step` a cell, and writes back what it makes of it, if it says so. One
/// that nobody has written begins with what an earlier version of the filter has
/// left. `worker`: this one.
pub(crate) fn update_cell<I: Stored, T>(
    id: I,
    keys: &CellNames,
    worker: fn() -> Option<WorkerId>,
    mut step: impl FnMut(&mut I::Cell) -> Update<T>,
) -> Result<T, Contended> {
    let mut result = None;
    change_cell(id, keys, worker, &mut |cell| keep(&mut result, step(cell)))?;
    result.ok_or(Contended)
}

/// The same for what is kept beside the engine's cells.
pub(crate) fn update<V: Encoded, T>(
    mut step: impl FnMut(&mut V) -> Update<T>,
) -> Result<T, Contended> {
    let mut result = None;
    let mut step = |value: &mut V| keep(&mut result, step(value));
    for _ in 0..TRIES {
        let (value, version) = abi::shared_data(V::KEY).ok_or(Contended)?;
        let mut value = V::decode(&value);
        if !step(&mut value) || write(V::KEY, &value.encode(), Some(version)) {
            return result.ok_or(Contended);
        }
    }
    Err(Contended)
}

/// The value there now.
pub(crate) fn read<V: Encoded>() -> V {
    let value = abi::shared_data(V::KEY);
    value.map_or_else(V::default, |(value, _)| V::decode(&value))
}

/// Finds a value. One that has one writer is made by it alone, so that nobody
/// overwrites another's; `None`: all may write it, and it has been made.
fn find(key: &str, is_writer: impl Fn() -> Option<bool>) -> Result<Found, Contended> {
    let found = |(value, version)| Found {
        value,
        version: Some(version),
    };
    if let Some(value) = abi::shared_data(key) {
        return Ok(found(value));
    }
    if is_writer().ok_or(Contended)? {
        create(key).map_err(|_| Contended)?;
        return abi::shared_data(key).map(found).ok_or(Contended);
    }
    Ok(Found {
        value: Vec::new(),
        version: None,
    })
}

/// Whether it was written: no other worker interfered.
#[inline(never)]
fn write(key: &str, value: &[u8], version: Option<u32>) -> bool {
    version.is_some_and(|version| abi::set_shared_data(key, value, version).is_ok())
}

/// Whatever is done with a kind of cell, the code for it is there once.
#[inline(never)]
fn change_cell<I: Stored>(
    id: I,
    keys: &CellNames,
    worker: fn() -> Option<WorkerId>,
    step: &mut dyn FnMut(&mut I::Cell) -> bool,
) -> Result<(), Contended> {
    let key = id.key(keys).ok_or(Contended)?;
    let is_writer = || {
        id.writer()
            .map(|number| worker().is_some_and(|it| it.number == number))
    };
    for _ in 0..TRIES {
        let found = find(&key, is_writer)?;
        let mut cell = match found.value.is_empty() {
            true => first_cell(id, keys),
            false => id.decode(found.value),
        };
        if !step(&mut cell) || write(&key, &id.encode(&cell), found.version) {
            return Ok(());
        }
    }
    Err(Contended)
}

/// Keeps the result of a step, and returns whether to write the value.
fn keep<T>(result: &mut Option<T>, update: Update<T>) -> bool {
    let (value, is_written) = match update {
        Update::Keep(value) => (value, false),
        Update::Write(value) => (value, true),
    };
    *result = Some(value);
    is_written
}

fn first_cell<I: Stored>(id: I, keys: &CellNames) -> I::Cell {
    let earlier = id.earlier(keys).and_then(|(key, decode)| {
        let (value, _) = abi::shared_data(&key)?;
        Some(decode(&value))
    });
    earlier.unwrap_or_default()
}
