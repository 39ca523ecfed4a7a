//! Counters as Envoy stats, `wasmcustom.<name>`, defined at first use.

use std::cell::RefCell;

use btp_engine::CounterId;
use hashbrown::HashMap;

use crate::abi;

/// The counters of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    names: Vec<String>,
    defined: RefCell<HashMap<CounterId, u32>>,
}

impl Metrics {
    pub(crate) fn new(names: &[String]) -> Self {
        Self {
            names: names.to_vec(),
            defined: RefCell::default(),
        }
    }

    pub(crate) fn add(&self, counter: CounterId, amount: u64) {
        if let Some(id) = self.id(counter)
            && let Err(refused) = abi::increment(id, amount)
        {
            log::error!("counter {id} cannot be incremented: {refused:?}");
        }
    }

    pub(crate) fn read(&self, counter: CounterId) -> u64 {
        self.id(counter)
            .and_then(|id| abi::metric(id).ok())
            .unwrap_or(0)
    }

    fn id(&self, counter: CounterId) -> Option<u32> {
        if let Some(id) = self.defined.borrow().get(&counter) {
            return Some(*id);
        }
        let name = self.names.get(usize::try_from(counter.0).ok()?)?;
        match abi::define_counter(name) {
            Ok(id) => {
                self.defined.borrow_mut().insert(counter, id);
                Some(id)
            }
            Err(refused) => {
                log::error!("counter {name} cannot be defined: {refused:?}");
                None
            }
        }
    }
}
