//! The counts of plans at the upstream position, which configurations at listeners show.

use std::sync::{Arc, Mutex, PoisonError};

use super::Numbers;

/// Those in force, and those that have gone since they were shown last.
static PLANS: Mutex<Plans> = Mutex::new(Plans {
    last: 0,
    all: Vec::new(),
});

struct Plans {
    /// The serial number given last.
    last: usize,
    all: Vec<(usize, Arc<Numbers>)>,
}

/// A plan comes into force.
pub(super) fn add(numbers: &Arc<Numbers>) {
    let mut plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    plans.last += 1;
    let serial = plans.last;
    plans.all.push((serial, Arc::clone(numbers)));
}

/// Shows each, with its serial number; gives the last of these.
pub(super) fn for_each(mut show: impl FnMut(usize, &Numbers)) -> usize {
    let mut plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    for (serial, numbers) in &plans.all {
        show(*serial, numbers);
    }
    plans.all.retain(|(_, it)| Arc::strong_count(it) > 1);
    plans.last
}
