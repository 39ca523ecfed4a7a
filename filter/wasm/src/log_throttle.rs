//! What the engine wants the operator to know, without flooding the log.

use std::cell::RefCell;
use std::sync::Arc;

const ONE_MINUTE_NS: u64 = 60_000_000_000;

/// When each thing was last logged.
#[derive(Debug, Default)]
pub(crate) struct LogThrottle {
    /// The texts are made once per plan, so that there are few.
    logged: RefCell<Vec<(Arc<str>, u64)>>,
}

impl LogThrottle {
    /// Writes `text` to the log as an error, at most once a minute.
    pub(crate) fn log(&self, text: &Arc<str>, now_ns: u64) {
        let mut logged = self.logged.borrow_mut();
        match logged
            .iter_mut()
            .find(|(other, _)| Arc::ptr_eq(other, text))
        {
            Some((_, last)) if now_ns.saturating_sub(*last) < ONE_MINUTE_NS => return,
            Some((_, last)) => *last = now_ns,
            None => logged.push((Arc::clone(text), now_ns)),
        }
        log::error!("{text}");
    }
}
