//! The engine's shared tables as Envoy's shared data: one value per table,
//! changed by compare-and-swap.
//!
//! Keys are names of policies, never made of anything a client sends: Envoy
//! frees none.

use btp_engine::{Plan, TableId};

use crate::abi;

/// The tables of one configuration.
#[derive(Debug)]
pub(crate) struct Tables {
    keys: Vec<String>,
}

/// How often others may get in between before a change is given up.
const TRIES: usize = 64;

impl Tables {
    /// Creates what is not there yet. Envoy loads a configuration in one
    /// canary first, so that no two workers create the same table.
    pub(crate) fn new(plan: &Plan) -> Self {
        let keys = plan.tables().to_vec();
        for key in &keys {
            if abi::shared_data(key).is_none()
                && let Err(refused) = abi::set_shared_data(key, &[], 0)
            {
                log::error!("table {key} cannot be created: {refused:?}");
            }
        }
        Self { keys }
    }

    pub(crate) fn update(
        &self,
        table: TableId,
        mut step: impl FnMut(&mut Vec<u64>) -> bool,
    ) -> bool {
        let index = usize::try_from(table.0).unwrap_or(usize::MAX);
        let Some(key) = self.keys.get(index) else {
            return false;
        };
        for _ in 0..TRIES {
            let (bytes, version) = abi::shared_data(key).unwrap_or_default();
            let (words, _) = bytes.as_chunks();
            let mut words: Vec<u64> = words.iter().copied().map(u64::from_le_bytes).collect();
            if !step(&mut words) {
                return false;
            }
            let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
            if abi::set_shared_data(key, &bytes, version).is_ok() {
                return true;
            }
        }
        log::error!("table {key}: other workers got in between {TRIES} times");
        false
    }
}
