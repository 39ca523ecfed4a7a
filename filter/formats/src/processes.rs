//! What the adapter itself keeps of VMs and of the configurations that they load.

use btp_engine::update::{Acceptance, Acceptances, Behind, Lag, LaggingPlugin};
use btp_engine::{VmEntry, VmTable};

use crate::bytes::{of_words, words};

/// A value under one key, for all VMs.
pub trait Encoded: Default {
    /// The key.
    const KEY: &'static str;

    /// Reads the value.
    fn decode(value: &[u8]) -> Self;

    /// The value.
    fn encode(&self) -> Vec<u8>;
}

const IN_FORCE: u64 = 1;
const UPSTREAM: u64 = 2;

/// Three words: the VM, its last sign of life, its memory.
impl Encoded for VmTable {
    const KEY: &'static str = "btp.vm_memory.1";

    fn decode(value: &[u8]) -> Self {
        let words = words(value);
        let vms = words.as_chunks().0.iter();
        let vms = vms.map(|&[id, heartbeat_ns, bytes]| VmEntry {
            id,
            heartbeat_ns,
            bytes,
        });
        Self(vms.collect())
    }

    fn encode(&self) -> Vec<u8> {
        let vms = self.0.iter();
        let vms = vms.flat_map(|vm| [vm.id, vm.heartbeat_ns, vm.bytes]);
        of_words(&vms.collect::<Vec<u64>>())
    }
}

/// Four words: the text's hash, the plugin's, the need, flags.
impl Encoded for Acceptances {
    const KEY: &'static str = "btp.accepted.1";

    fn decode(value: &[u8]) -> Self {
        let words = words(value);
        let accepted = words.as_chunks().0.iter();
        let accepted = accepted.map(|&[text, plugin, need, flags]| Acceptance {
            text,
            plugin,
            need,
            is_in_force: flags & IN_FORCE != 0,
            is_upstream: flags & UPSTREAM != 0,
        });
        Self(accepted.collect())
    }

    fn encode(&self) -> Vec<u8> {
        let flag = |set: bool, flag: u64| if set { flag } else { 0 };
        let accepted = self.0.iter().flat_map(|it| {
            let flags = flag(it.is_in_force, IN_FORCE) | flag(it.is_upstream, UPSTREAM);
            [it.text, it.plugin, it.need, flags]
        });
        of_words(&accepted.collect::<Vec<u64>>())
    }
}

/// Four words: the VM, the plugin's context in it, its lag, the VM's last sign of
/// life.
impl Encoded for Behind {
    const KEY: &'static str = "btp.behind.1";

    fn decode(value: &[u8]) -> Self {
        let words = words(value);
        let behind = words.as_chunks().0.iter();
        let behind = behind.map(|&[vm, plugin, lag, heartbeat_ns]| LaggingPlugin {
            vm,
            plugin,
            lag: if lag == 0 {
                Lag::Older
            } else {
                Lag::NotConfigured
            },
            heartbeat_ns,
        });
        Self(behind.collect())
    }

    fn encode(&self) -> Vec<u8> {
        let behind = self.0.iter().flat_map(|it| {
            let lag = u64::from(it.lag == Lag::NotConfigured);
            [it.vm, it.plugin, lag, it.heartbeat_ns]
        });
        of_words(&behind.collect::<Vec<u64>>())
    }
}
