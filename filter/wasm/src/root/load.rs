//! Loads a configuration: checks for room, measures it, and reports errors.

use btp_engine::update::{self, Acceptance, Obstacle, REQUESTS_SHARE, Role};
use btp_policy::Position;

use super::{Root, Wanted, accepted, headroom, probe};
use crate::abi::{self, Buffer};
use crate::loaded::Loaded;
use crate::vm;

/// Why a configuration is not loaded.
pub(super) struct Unloaded {
    pub(super) role: Role,
    pub(super) obstacle: Obstacle,
    /// Its text, if there may be room for it later.
    pub(super) text: Option<Vec<u8>>,
}

const MIB: u64 = 1 << 20;

impl Root {
    /// Loads the configuration that Envoy hands out now.
    pub(super) fn load(&mut self, wanted: &mut Wanted, is_new_vm: bool) -> Result<(), Unloaded> {
        let before = vm::memory();
        let accepted = accepted::all();
        let unread = Role::of(is_new_vm, !accepted.is_empty());
        if is_new_vm {
            // What is denied is denied in all VMs with the same settings.
            let denied = |denied| Unloaded::unread(unread, Obstacle::Wrong(denied));
            probe::hostcalls().map_err(denied)?;
        }
        let text = fetch(wanted.size).map_err(|obstacle| Unloaded::unread(unread, obstacle))?;
        let hash = accepted::hash(&text);
        wanted.text = Some(hash);
        let known = accepted.of_text(hash);
        let role = Role::of(is_new_vm, known.is_some());
        if let Some(deferred) = self.deferred_text(*wanted) {
            deferred.supersedes();
        }
        let obstructed = |obstacle| Unloaded::unread(role, obstacle);
        if role == Role::Worker {
            let need = update::head_room(size(&text), known.map(|it| it.need));
            if !has_room(text.len(), need) {
                let obstacle = Obstacle::Lack(format!(
                    "its memory has no room for the {} MiB that loading needs",
                    need.div_ceil(MIB)
                ));
                return Err(Unloaded {
                    role,
                    obstacle,
                    text: Some(text),
                });
            }
        }
        let loaded = match Loaded::load(&text, role) {
            Ok(loaded) => loaded,
            Err(obstacle) => {
                let text = Some(text).filter(|_| role == Role::Worker);
                return Err(Unloaded {
                    role,
                    obstacle,
                    text,
                });
            }
        };
        let acceptance = Acceptance {
            text: hash,
            plugin: self.plugin,
            is_upstream: loaded.position == Position::Upstream,
            need: match known {
                // The memory of a VM that has served does not grow by what fits in.
                Some(known) if !is_new_vm => known.need,
                Some(known) => known.need.max(vm::memory() - before),
                None => vm::memory() - before,
            },
            is_in_force: true,
        };
        if role == Role::Canary {
            judge(acceptance.need, accepted.in_force()).map_err(obstructed)?;
        }
        if !accepted::enforce(acceptance) && role == Role::Canary {
            let reason = "Envoy refuses shared data".to_owned();
            return Err(obstructed(Obstacle::Lack(reason)));
        }
        self.put_in_force(loaded, hash);
        Ok(())
    }
}

impl Unloaded {
    fn unread(role: Role, obstacle: Obstacle) -> Self {
        Self {
            role,
            obstacle,
            text: None,
        }
    }
}

/// Whether there is room to load a text of so many bytes, which needs so many.
/// Some of it is in large pieces: lists of policies, which are copied as they
/// grow.
pub(super) fn has_room(text: usize, need: u64) -> bool {
    let half = usize::try_from(need / 2).unwrap_or(usize::MAX);
    headroom::has_room(text.max(half), need)
}

/// The configuration's text.
fn fetch(size: usize) -> Result<Vec<u8>, Obstacle> {
    let bytes = u64::try_from(size).unwrap_or(u64::MAX);
    if !headroom::has_room(size, bytes) {
        let reason = format!("its memory has no room for the {size} bytes of the configuration");
        return Err(Obstacle::Lack(reason));
    }
    let text = abi::buffer(Buffer::PluginConfiguration, size).unwrap_or_default();
    if text.len() == size {
        return Ok(text);
    }
    let had = text.len();
    Err(Obstacle::Lack(format!(
        "Envoy returned {had} of the {size} bytes of the configuration"
    )))
}

/// Whether a worker has room for a new configuration beside those in force and
/// the requests; asked in the canary, which has loaded it.
fn judge(need: u64, in_force: u64) -> Result<(), Obstacle> {
    let beside = in_force.saturating_add(REQUESTS_SHARE);
    let one_piece = usize::try_from(beside).unwrap_or(usize::MAX);
    if headroom::has_room(one_piece, beside) {
        return Ok(());
    }
    let [need, in_force, share] = [need, in_force, REQUESTS_SHARE].map(|it| it.div_ceil(MIB));
    Err(Obstacle::Lack(format!(
        "loading takes {need} MiB, the active configuration of the VM {in_force} MiB, and \
         requests need {share} MiB: more than Envoy gives a VM. Write fewer or smaller policies, \
         or split them among plugins with a vm_id each"
    )))
}

fn size(text: &[u8]) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}
