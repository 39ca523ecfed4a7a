//! The live VMs. Each VM that serves has a number, sends heartbeats, and shows its memory:
//! `btp.vm_memory_bytes.<number>`, and `btp.vm_memory_bytes_max` of the largest.
//!
//! WebAssembly memory only grows. Reading its size is one instruction, at each new
//! exchange. The gauge is written when the memory has grown, and with each heartbeat. The
//! VM that finds another dead clears its gauge, and gives back its credit. Envoy's main
//! thread, whose VM serves no client, checks as well.

mod identity;
pub(crate) mod process;

use std::cell::Cell;

use btp_engine::{HEARTBEAT_NS, Update, VmMemory, VmSighting, VmTable, WorkerId, recover};
use btp_formats::Encoded;

use crate::abi::report;
use crate::{abi, shared_data};
pub(crate) use identity::{id, memory};
use process::Process;

thread_local! {
    static VM: Vm = Vm::default();
}

#[derive(Default)]
struct Vm {
    /// It has had an exchange.
    serves: Cell<bool>,
    number: Cell<Option<u32>>,
    /// Until then it is not presumed dead.
    alive_until: Cell<u64>,
    /// Its memory when the gauge was written last.
    written: Cell<u64>,
    /// Envoy's number of its gauge, once it has one.
    gauge: Cell<Option<u32>>,
    next_heartbeat: Cell<u64>,
}

const GAUGE: &str = "btp.vm_memory_bytes";

/// An exchange begins: writes the gauge if the memory has grown.
#[inline]
pub(crate) fn look() {
    VM.with(|it| {
        if it.written.get() != memory() {
            it.grown();
        }
    });
}

/// A configuration is loaded; when the next sign of life is due under it.
pub(crate) fn first_beat() -> Result<u64, String> {
    shared_data::create(VmTable::KEY)?;
    Ok(VM.with(|it| {
        if it.next_heartbeat.get() == 0 {
            let now = abi::monotonic_ns();
            it.next_heartbeat.set(now.saturating_add(HEARTBEAT_NS));
        }
        it.next_heartbeat.get()
    }))
}

/// This VM among those that live, once it has had an exchange.
pub(crate) fn worker() -> Option<WorkerId> {
    VM.with(|it| {
        it.number.get()?;
        let now = abi::monotonic_ns();
        if now >= it.alive_until.get() {
            // Stopped for so long, it may have been taken for dead, and its number
            // be another's.
            it.beat(now);
        }
        let id = id();
        it.number.get().map(|number| WorkerId { number, id })
    })
}

/// Gives a sign of life, if it is due, and looks for the dead; when the next one
/// is due. A VM without exchanges only looks.
pub(crate) fn beat(now: u64) -> u64 {
    VM.with(|it| {
        if now >= it.next_heartbeat.get() {
            it.next_heartbeat.set(now.saturating_add(HEARTBEAT_NS));
            if it.serves.get() {
                it.beat(now);
            } else {
                look_for_dead(now);
            }
        }
        it.next_heartbeat.get()
    })
}

impl Vm {
    /// Its memory has grown. The first time it takes a number.
    #[cold]
    fn grown(&self) {
        self.written.set(memory());
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
        report("a gauge", abi::record(gauge, memory()));
        if let Some(largest) = defined(&format!("{GAUGE}_max"))
            && abi::metric(largest).is_ok_and(|known| known < memory())
        {
            report("a gauge", abi::record(largest, memory()));
        }
    }

    fn beat(&self, now: u64) {
        let own = VmMemory {
            id: id(),
            bytes: memory(),
        };
        self.alive_until
            .set(now.saturating_add(HEARTBEAT_NS.saturating_mul(2)));
        take_over_from_dead(now, own.id);
        let seen = shared_data::update(|vms: &mut VmTable| Update::Write(vms.beat(own, now)));
        let Ok(seen) = seen else { return };
        self.number.set(seen.number);
        bury(&seen);
        let own = seen
            .number
            .and_then(|number| defined(&format!("{GAUGE}.{number}")));
        self.gauge.set(own);
        self.write();
    }
}

fn look_for_dead(now: u64) {
    take_over_from_dead(now, 0);
    let seen = shared_data::update(|vms: &mut VmTable| match vms.look(now) {
        None => Update::Keep(None),
        seen => Update::Write(seen),
    });
    if let Ok(Some(seen)) = seen {
        bury(&seen);
    }
}

/// Gives back what the dead held, before they lose their numbers. If this fails, the next
/// VM that checks does it. Doing it twice has no effect.
fn take_over_from_dead(now: u64, own: u64) {
    for dead in shared_data::read::<VmTable>().dead(now, own) {
        recover(dead, &Process);
    }
}

/// Clears up after those who have died.
fn bury(seen: &VmSighting) {
    for dead in &seen.dead {
        record(&format!("{GAUGE}.{}", dead.number), 0);
        recover(*dead, &Process);
    }
    record(&format!("{GAUGE}_max"), seen.largest);
}

fn defined(name: &str) -> Option<u32> {
    abi::define_gauge(name).ok()
}

fn record(name: &str, to: u64) {
    if let Some(gauge) = defined(name) {
        report("a gauge", abi::record(gauge, to));
    }
}
