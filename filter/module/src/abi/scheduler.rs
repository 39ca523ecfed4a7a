//! How another thread wakes a stream on its worker.

use super::callbacks::{self, FilterPtr, SchedulerPtr};

/// Calls the stream's hook `scheduled` on its worker. A stream that is gone is not
/// called.
///
/// It must not outlive Envoy's workers: code that keeps it elsewhere must drop it when its
/// stream ends, under the lock that it is used under.
#[derive(Debug)]
pub(crate) struct Scheduler(SchedulerPtr);

// SAFETY: the header says of `commit` that any thread may call it; `delete` drops a
// counted reference to the filter, whose counter is atomic.
unsafe impl Send for Scheduler {}

impl Scheduler {
    /// `None` if Envoy has none to give.
    pub(super) fn new(filter: FilterPtr) -> Option<Self> {
        // SAFETY: the filter is alive during its hook.
        let scheduler = unsafe { callbacks::scheduler_new(filter) };
        (!scheduler.is_null()).then_some(Self(scheduler))
    }

    /// Has the stream's hook called, with this number.
    pub(crate) fn commit(&self, event: u64) {
        // SAFETY: it is deleted by `drop` alone.
        unsafe { callbacks::scheduler_commit(self.0, event) }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // SAFETY: it came from `scheduler_new`, and nobody else deletes it.
        unsafe { callbacks::scheduler_delete(self.0) }
    }
}
