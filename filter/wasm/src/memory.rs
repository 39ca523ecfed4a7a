//! The memory of this worker's VM, as gauges: `btp.vm_memory_bytes.<number>`
//! of each VM, `btp.vm_memory_bytes_max` of the largest that lives.
//!
//! WebAssembly memory only grows. Looking is one instruction, at each exchange
//! that begins; a gauge is written when the memory has grown, and with each
//! sign of life, which also clears the gauges of VMs that have died.

use std::cell::Cell;

use btp_engine::{BEAT_NS, Step, VmMemory, to_bytes, to_words};

use crate::stream::report;
use crate::{abi, blocks, vm};

thread_local! {
    static VM: Vm = Vm::default();
}

#[derive(Default)]
struct Vm {
    /// It has had an exchange.
    serves: Cell<bool>,
    /// Its memory when the gauge was written last.
    written: Cell<u64>,
    /// Envoy's number of its gauge, once it has one.
    gauge: Cell<Option<u32>>,
    next_beat: Cell<u64>,
}

/// The table of VMs; the number is that of its format.
const TABLE: &str = "btp.vm_memory.1";
const GAUGE: &str = "btp.vm_memory_bytes";

/// An exchange begins: writes the gauge if the memory has grown.
#[inline]
pub(crate) fn look() {
    VM.with(|it| {
        if it.written.get() != vm::memory() {
            it.grown();
        }
    });
}

/// A configuration is loaded; when a sign of life is due under it.
pub(crate) fn first_beat() -> Result<u64, String> {
    blocks::create(TABLE)?;
    Ok(abi::monotonic_ns().saturating_add(BEAT_NS))
}

/// Gives a sign of life, if it is due; when the next one is. VMs without
/// exchanges, as the one of Envoy's main thread, stay silent.
pub(crate) fn beat(now: u64) -> u64 {
    VM.with(|it| {
        if now >= it.next_beat.get() {
            it.next_beat.set(now.saturating_add(BEAT_NS));
            if it.serves.get() {
                it.beat(now);
            }
        }
        it.next_beat.get()
    })
}

impl Vm {
    /// Its memory has grown. The first time it takes a number.
    #[cold]
    fn grown(&self) {
        self.written.set(vm::memory());
        if self.serves.replace(true) {
            self.write();
        } else {
            self.beat(abi::monotonic_ns());
        }
    }

    /// Writes its gauge, and that of the largest if this is it.
    fn write(&self) {
        let Some(gauge) = self.gauge.get() else {
            return;
        };
        report("a gauge", abi::record(gauge, vm::memory()));
        if let Some(largest) = defined(&format!("{GAUGE}_max"))
            && abi::metric(largest).is_ok_and(|known| known < vm::memory())
        {
            report("a gauge", abi::record(largest, vm::memory()));
        }
    }

    fn beat(&self, now: u64) {
        let own = VmMemory {
            id: vm::id(),
            bytes: vm::memory(),
        };
        let seen = blocks::update(TABLE, |bytes| {
            let mut words = to_words(bytes);
            let seen = own.beat(&mut words, now);
            *bytes = to_bytes(&words);
            Step::Write(seen)
        });
        let Ok(seen) = seen else { return };
        for number in seen.freed {
            record(&format!("{GAUGE}.{number}"), 0);
        }
        record(&format!("{GAUGE}_max"), seen.largest);
        let own = seen
            .number
            .and_then(|number| defined(&format!("{GAUGE}.{number}")));
        self.gauge.set(own);
        self.write();
    }
}

fn defined(name: &str) -> Option<u32> {
    abi::define_gauge(name).ok()
}

fn record(name: &str, to: u64) {
    if let Some(gauge) = defined(name) {
        report("a gauge", abi::record(gauge, to));
    }
}
