//! Which series were ever changed. Envoy forgets a number with the last configuration that
//! has used it, so a new one takes hold of them before the old one goes: an update of the
//! policies sets nothing to zero.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use btp_engine::{Entry, Family, Labels};

use crate::shared_state;

/// Of plans; the accounts know their own.
static OF_PLANS: LazyLock<Mutex<HashSet<(Family, Labels)>>> = LazyLock::new(Mutex::default);

/// Series beyond so many begin anew with an update.
const MOST: usize = 1 << 14;

/// This one has been changed.
pub(crate) fn note(family: Family, labels: &Labels) {
    let mut known = of_plans();
    if known.len() < MOST {
        known.insert((family, labels.clone()));
    }
}

/// Shows all of them.
pub(crate) fn for_each(mut show: impl FnMut(Family, &Labels)) {
    for (family, labels) in of_plans().iter() {
        show(*family, labels);
    }
    shared_state::for_each_in_use(|entry: Entry, labels| show(entry.family(), labels));
}

fn of_plans() -> MutexGuard<'static, HashSet<(Family, Labels)>> {
    OF_PLANS.lock().unwrap_or_else(PoisonError::into_inner)
}
