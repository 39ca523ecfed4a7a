//! How much memory requests may keep in one worker.
//!
//! The request values that a rule prints must be kept until the response arrives, and a
//! replacement body until it can be written. Clients and upstreams decide how long that
//! takes. So the memory is reserved first, from a quota that all configurations of a worker
//! share. A reservation gives its bytes back when it is dropped, so it does not matter how
//! an exchange ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that the requests of one worker keep. Clones are the same quota.
#[derive(Clone, Debug, Default)]
pub struct MemoryQuota {
    used: Arc<AtomicUsize>,
}

/// Bytes of a quota, until this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    quota: MemoryQuota,
    bytes: usize,
}

impl MemoryQuota {
    /// The bytes that are reserved now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Reserves so many bytes, unless more than `most` would be reserved.
    pub(crate) fn reserve(&self, bytes: usize, most: usize) -> Option<Reservation> {
        let enlarged = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= most);
        let reserved = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, enlarged);
        reserved.is_ok().then(|| Reservation {
            quota: self.clone(),
            bytes,
        })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.quota.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryQuota;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_does_not_fit_reserves_nothing() {
        let quota = MemoryQuota::default();
        let first = quota.reserve(60, 100);
        assert!(first.is_some() && quota.reserve(41, 100).is_none());
        assert!(quota.reserve(usize::MAX, usize::MAX).is_none());
        assert_eq!(quota.used(), 60);
        // A configuration with a smaller bound waits for the others to go.
        assert!(quota.reserve(1, 50).is_none());
        drop(first);
        assert_eq!(quota.used(), 0);
    }

    proptest! {
        #[test]
        fn never_above_the_bound_and_zero_in_the_end(
            steps in proptest::collection::vec((0_usize..40, 0_usize..4), 0..80),
        ) {
            let quota = MemoryQuota::default();
            let mut held = Vec::new();
            for (bytes, gone) in steps {
                held.extend(quota.reserve(bytes, 100));
                prop_assert!(quota.used() <= 100);
                if gone < held.len() {
                    held.swap_remove(gone);
                }
                let sum: usize = held.iter().map(|it| it.bytes).sum();
                prop_assert_eq!(quota.used(), sum);
            }
            drop(held);
            prop_assert_eq!(quota.used(), 0);
        }
    }
}
