//! The workers that are behind, as one value of Envoy's shared data, and the two
//! gauges that say how many there are.

use std::cell::Cell;

use btp_engine::update::{Behind, Lag};

use crate::abi;
use crate::stream::report;

/// The number is that of the value's format.
const KEY: &str = "btp.behind.1";
const OLDER: &str = "btp.workers_on_older_configuration";
const NOT_CONFIGURED: &str = "btp.workers_not_configured";
/// Others may get in between so often.
const TRIES: usize = 64;

thread_local! {
    /// What this VM is called among the others.
    static VM: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Says what is true of one context of this VM, and sets the gauges; whether
/// anybody is behind.
pub(crate) fn note(context: u32, lag: Option<Lag>) -> bool {
    let now = abi::monotonic_ns();
    for _ in 0..TRIES {
        let known = abi::shared_data(KEY);
        let is_there = known.is_some();
        let (bytes, version) = known.unwrap_or_default();
        let mut behind = Behind::from_bytes(&bytes, now);
        behind.note(vm(), context, lag, now);
        let changed = behind.to_bytes();
        if (changed != bytes || !is_there) && abi::set_shared_data(KEY, &changed, version).is_err()
        {
            continue;
        }
        set(OLDER, behind.count(Lag::Older));
        set(NOT_CONFIGURED, behind.count(Lag::NotConfigured));
        // Whoever got in between has other numbers, which may be overwritten now.
        if abi::shared_data(KEY).is_none_or(|(bytes, _)| bytes == changed) {
            return !behind.is_empty();
        }
    }
    true
}

fn set(gauge: &str, to: u64) {
    let set = abi::define_gauge(gauge).and_then(|gauge| abi::record(gauge, to));
    report("a gauge", set);
}

fn vm() -> u64 {
    VM.with(|vm| {
        let name = vm
            .get()
            .unwrap_or_else(|| getrandom::u64().unwrap_or_else(|_| abi::monotonic_ns()));
        vm.set(Some(name));
        name
    })
}
