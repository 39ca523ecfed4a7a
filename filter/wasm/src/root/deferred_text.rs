//! Texts of configurations for which a worker has no room, stored with the host until it
//! has: Envoy gives a configuration to a plugin only once.
//!
//! Each text has a key of its own, so that its size is known before it is read. It stays
//! there until a later configuration comes for the same plugin; then no worker waits for
//! the earlier one any more.

use std::cell::RefCell;

use btp_formats::versioned_key;
use hashbrown::HashMap;

use crate::{abi, root::accepted};

/// A text of a plugin, by their hashes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeferredText {
    pub(crate) plugin: u64,
    pub(crate) text: u64,
}

thread_local! {
    /// What this VM has stored, by plugin and position.
    static DEFERRED: RefCell<HashMap<(u64, bool), DeferredText>> = RefCell::default();
}

impl DeferredText {
    /// Stores the text with the host.
    pub(crate) fn store(self, text: &[u8]) {
        if let Err(refused) = abi::set_shared_data(&self.key(), text, 0) {
            log::error!("a configuration cannot be kept for later: {refused:?}");
            return;
        }
        DEFERRED.with_borrow_mut(|deferred| deferred.insert(self.place(), self));
    }

    /// The text; `None` if it is not there, or another one is.
    pub(crate) fn read(self) -> Option<Vec<u8>> {
        let (text, _) = abi::shared_data(&self.key())?;
        (accepted::hash(&text) == self.text).then_some(text)
    }

    /// Removes what was stored before this text came for the same plugin.
    pub(crate) fn supersedes(self) {
        let earlier = DEFERRED.with_borrow_mut(|deferred| {
            let place = self.place();
            let is_earlier = deferred.get(&place).is_some_and(|it| it.text != self.text);
            is_earlier.then(|| deferred.remove(&place)).flatten()
        });
        if let Some(earlier) = earlier
            && let Err(refused) = abi::set_shared_data(&earlier.key(), &[], 0)
        {
            log::error!("an earlier configuration cannot be removed: {refused:?}");
        }
    }

    /// A plugin may have a configuration at each position.
    fn place(self) -> (u64, bool) {
        let known = accepted::all().of_text(self.text);
        (self.plugin, known.is_some_and(|it| it.is_upstream))
    }

    fn key(self) -> String {
        let Self { plugin, text } = self;
        versioned_key(&format!("btp.wanted.{plugin:016x}.{text:016x}"), 1)
    }
}
