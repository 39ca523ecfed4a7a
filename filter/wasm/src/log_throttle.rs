//! What the engine wants the operator to know, without flooding the log.

use std::cell::RefCell;
use std::sync::Arc;

const ONE_MINUTE_NS: u64 = 60_000_000_000;

/// When each thing was last said.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    /// The texts are made once per plan, so that there are few.
    said: RefCell<Vec<(Arc<str>, u64)>>,
}

impl Complaints {
    /// Writes `text` to the log as an error, at most once a minute.
    pub(crate) fn log(&self, text: &Arc<str>, now_ns: u64) {
        let mut said = self.said.borrow_mut();
        match said.iter_mut().find(|(other, _)| Arc::ptr_eq(other, text)) {
            Some((_, last)) if now_ns.saturating_sub(*last) < ONE_MINUTE_NS => return,
            Some((_, last)) => *last = now_ns,
            None => said.push((Arc::clone(text), now_ns)),
        }
        log::error!("{text}");
    }
}
