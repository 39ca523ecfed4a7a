//! The memory of this worker's VM, as gauges: `btp.vm_memory_bytes.<number>`
//! of each VM, `btp.vm_memory_bytes_max` of the largest that lives.
//!
//! WebAssembly memory only grows. Looking is one instruction, at each exchange
//! that begins; a gauge is written when the memory has grown, and with each
//! sign of life, which also clears the gauges of VMs that have died.

use std::cell::{Cell, RefCell};

use btp_engine::{BlockId, Step, VmMemory};

use crate::abi;
use crate::blocks::SharedBlocks;
use crate::stream::report;

thread_local! {
    static VM: Vm = Vm::default();
}

#[derive(Default)]
struct Vm {
    /// 0 until it has an exchange.
    id: Cell<u64>,
    /// Pages of its memory when the gauge was written last.
    pages: Cell<usize>,
    /// Envoy's number of its gauge, once it has one.
    gauge: Cell<Option<u32>>,
    next_beat: Cell<u64>,
    table: RefCell<Option<SharedBlocks>>,
}

/// The table of VMs; the number is that of its format.
const TABLE: &str = "btp.vm_memory.1";
const GAUGE: &str = "btp.vm_memory_bytes";
const PAGE: u64 = 65_536;

/// An exchange begins: writes the gauge if the memory has grown. `random` is
/// drawn by the first.
#[inline]
pub(crate) fn look(random: impl FnOnce() -> u64) {
    VM.with(|vm| {
        if vm.pages.get() != pages() {
            if vm.id.get() == 0 {
                vm.id.set(random().max(1));
            }
            vm.grown();
        }
    });
}

/// A configuration is loaded; when a sign of life is due under it.
pub(crate) fn first_beat() -> Result<u64, String> {
    VM.with(|vm| {
        let table = SharedBlocks::create(&[TABLE.to_owned()])?;
        vm.table.replace(Some(table));
        Ok(abi::monotonic_ns().saturating_add(VmMemory::BEAT_NS))
    })
}

/// Gives a sign of life, if it is due; when the next one is. VMs without
/// exchanges, as the one of Envoy's main thread, stay silent.
pub(crate) fn beat(now: u64) -> u64 {
    VM.with(|vm| {
        if now >= vm.next_beat.get() {
            vm.next_beat.set(now.saturating_add(VmMemory::BEAT_NS));
            if vm.id.get() != 0 {
                vm.beat(now);
            }
        }
        vm.next_beat.get()
    })
}

impl Vm {
    /// Its memory has grown. The first time it takes a number.
    #[cold]
    fn grown(&self) {
        if self.pages.replace(pages()) == 0 {
            self.beat(abi::monotonic_ns());
        } else {
            self.write();
        }
    }

    /// Writes its gauge, and that of the largest if this is it.
    fn write(&self) {
        let Some(gauge) = self.gauge.get() else {
            return;
        };
        report("a gauge", abi::record(gauge, bytes()));
        if let Some(largest) = defined(&format!("{GAUGE}_max"))
            && abi::metric(largest).is_ok_and(|known| known < bytes())
        {
            report("a gauge", abi::record(largest, bytes()));
        }
    }

    fn beat(&self, now: u64) {
        let own = VmMemory {
            id: self.id.get(),
            bytes: bytes(),
        };
        let table = self.table.borrow();
        let seen = table.as_ref().and_then(|table| {
            let seen = table.update(BlockId(0), |bytes| {
                let words = bytes.as_chunks().0.iter().copied();
                let mut words: Vec<u64> = words.map(u64::from_le_bytes).collect();
                let seen = own.beat(&mut words, now);
                *bytes = words.into_iter().flat_map(u64::to_le_bytes).collect();
                Step::Write(seen)
            });
            seen.ok()
        });
        let Some(seen) = seen else { return };
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

fn pages() -> usize {
    core::arch::wasm32::memory_size::<0>()
}

fn bytes() -> u64 {
    u64::try_from(pages()).unwrap_or(0).saturating_mul(PAGE)
}
