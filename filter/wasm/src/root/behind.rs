//! The workers that are behind, as one value of Envoy's shared data, and the two
//! gauges that say how many there are.

use btp_engine::Update;
use btp_engine::update::{Behind, Lag};
use btp_formats::Encoded;

use crate::abi::report;
use crate::{abi, shared_data, vm};

const OLDER: &str = "btp.workers_on_older_configuration";
const NOT_CONFIGURED: &str = "btp.workers_not_configured";
/// Others may get in between so often.
const TRIES: usize = 64;

/// Says what is true of one context of this VM, and sets the gauges; whether
/// anybody is behind.
pub(crate) fn note(context: u32, lag: Option<Lag>) -> bool {
    let now = abi::monotonic_ns();
    let step = |behind: &mut Behind| {
        let before = behind.clone();
        behind.forget_expired(now);
        behind.note(vm::id(), context, lag, now);
        if *behind == before {
            return Update::Keep(before);
        }
        Update::Write(behind.clone())
    };
    if shared_data::create(Behind::KEY).is_err() {
        return true;
    }
    for _ in 0..TRIES {
        let Ok(behind) = shared_data::update(step) else {
            return true;
        };
        set(OLDER, behind.count(Lag::Older));
        set(NOT_CONFIGURED, behind.count(Lag::NotConfigured));
        // Whoever got in between has other numbers, which may be overwritten now.
        if shared_data::read::<Behind>() == behind {
            return !behind.is_empty();
        }
    }
    true
}

fn set(gauge: &str, to: u64) {
    let set = abi::define_gauge(gauge).and_then(|gauge| abi::record(gauge, to));
    report("a gauge", set);
}
