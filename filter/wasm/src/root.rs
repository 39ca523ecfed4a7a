//! Envoy's root context: a plugin in this VM, and the configuration it has.
//!
//! Envoy makes a new root context for every configuration update; the old one
//! lives until its last stream has ended. What is refused, kept or left at 503
//! when a configuration cannot be loaded is decided by `btp_engine::update`.

pub(crate) mod accepted;
pub(crate) mod behind;
mod deferred_text;
pub(crate) mod headroom;
mod probe;

use std::cell::Cell;
use std::rc::Rc;

use btp_engine::HEARTBEAT_NS;
use btp_engine::update::{self, Acceptance, Fallback, Lag, Obstacle, REQUESTS_SHARE, Role, Use};
use btp_policy::Position;
use hashbrown::HashMap;

use crate::abi::{self, Buffer};
use crate::active_config::{ActiveConfig, Timer};
use crate::loaded::Loaded;
use crate::vm;
use deferred_text::DeferredText;

/// The roots of this VM.
pub(crate) type Roots = HashMap<u32, Root>;

/// A root context.
pub(crate) struct Root {
    context: u32,
    /// A hash of the plugin's name and root id.
    plugin: u64,
    current: Option<Rc<ActiveConfig>>,
    /// Configurations that were kept while a newer one could not be loaded:
    /// exchanges may go on under them.
    retired: Vec<Rc<ActiveConfig>>,
    /// The hash of the configuration that is loaded.
    text: Option<u64>,
    /// What it ought to have.
    wanted: Option<Wanted>,
    used: Use,
    timer: Rc<Timer>,
    /// When to look after those who are behind.
    chore: Option<u64>,
}

/// Why a configuration is not loaded.
struct Unloaded {
    role: Role,
    obstacle: Obstacle,
    /// Its text, if there may be room for it later.
    text: Option<Vec<u8>>,
}

/// A configuration that has been accepted and could not be loaded here.
#[derive(Clone, Copy)]
struct Wanted {
    size: usize,
    /// Its hash, if it has been read at all.
    text: Option<u64>,
}

thread_local! {
    /// No configuration has been loaded in this VM, nor tried.
    static IS_NEW: Cell<bool> = const { Cell::new(true) };
    /// Requests that have begun in this VM.
    static BEGUN: Cell<u64> = const { Cell::new(0) };
}

const MIB: u64 = 1 << 20;

impl Root {
    pub(crate) fn new(context: u32) -> Self {
        Self {
            context,
            plugin: 0,
            current: None,
            retired: Vec::new(),
            text: None,
            wanted: None,
            used: Use::default(),
            timer: Rc::default(),
            chore: None,
        }
    }

    /// An exchange begins; what it shares with others. `None` if there is no
    /// configuration.
    pub(crate) fn begin(&mut self) -> Option<Rc<ActiveConfig>> {
        // Who is left under an older one holds it; another context that goes on
        // with its configuration holds that.
        self.retired.retain(|it| {
            let is_held = Rc::strong_count(it) > 1 || Rc::strong_count(&it.loaded) > 1;
            if !is_held {
                it.retire();
            }
            is_held
        });
        let begun = BEGUN.get().wrapping_add(1);
        BEGUN.set(begun);
        self.used.begin(begun);
        self.current.clone()
    }

    /// All that the timer is for, and the timer.
    pub(crate) fn timed(&self) -> (Vec<Rc<ActiveConfig>>, Rc<Timer>) {
        let all = self.retired.iter().chain(&self.current);
        (all.cloned().collect(), Rc::clone(&self.timer))
    }

    /// Reads the configuration, of so many bytes; whether it is accepted. Only
    /// a canary, and new code, may say no: see `btp_engine::update`.
    pub(crate) fn configure(&mut self, size: usize, others: &Roots) -> bool {
        let is_new_vm = IS_NEW.replace(false);
        self.used = Use::new(BEGUN.get());
        self.plugin = plugin();
        let mut wanted = Wanted { size, text: None };
        let loaded = self.load(&mut wanted, is_new_vm);
        let Err(unloaded) = loaded else {
            self.note();
            return true;
        };
        let Unloaded {
            role,
            obstacle,
            text,
        } = unloaded;
        if obstacle.fallback(role, is_new_vm) == Fallback::Refuse {
            log::error!("configuration refused: {}", obstacle.reason());
            return false;
        }
        self.wanted = Some(wanted);
        self.keep(others);
        let instead = match self.lag() {
            Some(Lag::NotConfigured) => "it answers every request with 503 until it can",
            _ => "it goes on with the one before",
        };
        let reason = obstacle.reason();
        log::error!(
            "this worker cannot load the configuration that was accepted: {reason}; {instead}"
        );
        // In this order: who sees that nobody is behind looks no further.
        self.note();
        if let (Some(text), Some(deferred)) = (text, self.deferred_text(wanted)) {
            deferred.store(&text);
        }
        true
    }

    /// Looks after those who are behind, if it is time to.
    pub(crate) fn look_after(&mut self, others: &Roots) {
        let now = abi::monotonic_ns();
        let Some(at) = self.chore else { return };
        if now < at {
            self.timer.arm(at);
            return;
        }
        headroom::drop_ballast();
        if self.is_superseded(others) {
            behind::note(self.context, None);
            self.come_back(true);
            headroom::take_ballast();
            return;
        }
        if let Some(wanted) = self.wanted {
            if self.catch_up(wanted).is_some() {
                log::info!("this worker has caught up with the configuration that was accepted");
            } else if self.current.is_none() {
                self.keep(others);
            }
        }
        self.note();
        headroom::take_ballast();
    }

    /// The plugin has ended in this VM.
    pub(crate) fn end(mut self, others: &Roots) {
        if self.wanted.take().is_some() {
            behind::note(self.context, None);
        }
        let is_same = |it: &Root| (it.text, it.plugin) == (self.text, self.plugin);
        if let Some(text) = self.text
            && !others.values().any(is_same)
        {
            accepted::update(|all| all.retire(text, self.plugin));
        }
        for config in self.retired.iter().chain(&self.current) {
            // Its last exchange has ended before.
            config.retire();
            let of_heir = |other: &&Root| other.has(&config.loaded);
            if let Some(at) = config.worker_wakes_at()
                && let Some(heir) = others.values().find(of_heir)
                && abi::set_effective_context(heir.context).is_ok()
            {
                heir.wake_worker(&config.loaded, at);
            }
        }
    }

    fn has(&self, loaded: &Rc<Loaded>) -> bool {
        let mut all = self.retired.iter().chain(&self.current);
        all.any(|config| Rc::ptr_eq(&config.loaded, loaded))
    }

    fn wake_worker(&self, loaded: &Rc<Loaded>, at: u64) {
        let mut all = self.retired.iter().chain(&self.current);
        if let Some(config) = all.find(|config| Rc::ptr_eq(&config.loaded, loaded)) {
            config.wake_worker(at);
        }
    }

    fn load(&mut self, wanted: &mut Wanted, is_new_vm: bool) -> Result<(), Unloaded> {
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
                    "its memory has no room for the {} MiB that loading takes",
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

    fn put_in_force(&mut self, loaded: Loaded, text: u64) {
        let config = ActiveConfig::new(Rc::new(loaded), &self.timer);
        config.start();
        if let Some(before) = self.current.replace(Rc::new(config)) {
            before.retire();
            self.retired.push(before);
        }
        self.text = Some(text);
        self.wanted = None;
    }

    /// Goes on with the configuration that the wanted one was to replace, if
    /// that can be told.
    fn keep(&mut self, others: &Roots) {
        if self.current.is_some() {
            return;
        }
        let wanted = self.wanted.and_then(|it| accepted::all().of_text(it.text?));
        let is_upstream = |loaded: &Loaded| loaded.position == Position::Upstream;
        let fits =
            |loaded: &Loaded| wanted.is_none_or(|wanted| wanted.is_upstream == is_upstream(loaded));
        let of_plugin = others.values().filter(|it| it.plugin == self.plugin);
        let candidates: Vec<(Use, &Rc<Loaded>)> = of_plugin
            .filter_map(|it| Some((it.used, &it.current.as_ref()?.loaded)))
            .filter(|(_, loaded)| fits(loaded))
            .collect();
        let mut positions = candidates.iter().map(|(_, loaded)| is_upstream(loaded));
        let first = positions.next();
        if positions.any(|other| Some(other) != first) {
            // A text that could not be read does not say which one it replaces.
            return;
        }
        if let Some(loaded) = update::in_force(&candidates) {
            let config = ActiveConfig::new(Rc::clone(loaded), &self.timer);
            self.current = Some(Rc::new(config));
        }
    }

    /// Loads what is wanted, if there is room by now.
    fn catch_up(&mut self, wanted: Wanted) -> Option<()> {
        let hash = wanted.text?;
        let known = accepted::all().of_text(hash);
        let size = u64::try_from(wanted.size).ok()?;
        let need = update::head_room(size, known.map(|it| it.need));
        if !has_room(wanted.size, need.saturating_add(size)) {
            return None;
        }
        let text = self.deferred_text(wanted)?.read()?;
        let loaded = Loaded::load(&text, Role::Worker).ok()?;
        self.put_in_force(loaded, hash);
        Some(())
    }

    /// The text of a configuration for which there is no room yet.
    fn deferred_text(&self, wanted: Wanted) -> Option<DeferredText> {
        wanted.text.map(|text| DeferredText {
            plugin: self.plugin,
            text,
        })
    }

    fn lag(&self) -> Option<Lag> {
        self.wanted?;
        Some(match self.current {
            Some(_) => Lag::Older,
            None => Lag::NotConfigured,
        })
    }

    /// Lets all know whether it is behind, and comes back to this as long as
    /// anybody is.
    fn note(&mut self) {
        let is_anybody_behind = behind::note(self.context, self.lag());
        self.come_back(is_anybody_behind);
    }

    /// Looks after those who are behind again a beat later, if that is needed.
    fn come_back(&mut self, is_needed: bool) {
        self.chore = is_needed.then(|| abi::monotonic_ns().saturating_add(HEARTBEAT_NS));
        if let Some(at) = self.chore {
            self.timer.arm(at);
        }
    }

    /// Whether a newer root has taken the place of this one, which lives on with
    /// the requests that it has: what it lacks it needs no more. Should it get a
    /// request after all, it is behind again.
    fn is_superseded(&self, others: &Roots) -> bool {
        let takes_place = |it: &Root| {
            it.context > self.context
                && it.plugin == self.plugin
                && it.is_upstream() == self.is_upstream()
                && self.used.ended_before(&it.used)
        };
        self.wanted.is_some() && others.values().any(takes_place)
    }

    /// `None` if it cannot be told.
    fn is_upstream(&self) -> Option<bool> {
        if let Some(config) = &self.current {
            return Some(config.loaded.position == Position::Upstream);
        }
        let accepted = accepted::all().of_text(self.wanted?.text?)?;
        Some(accepted.is_upstream)
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
fn has_room(text: usize, need: u64) -> bool {
    let half = usize::try_from(need / 2).unwrap_or(usize::MAX);
    headroom::has_room(text.max(half), need)
}

/// What tells this plugin from others in the VM.
fn plugin() -> u64 {
    let mut name = abi::property("plugin_name").unwrap_or_default();
    name.push(0);
    name.extend(abi::property("plugin_root_id").unwrap_or_default());
    accepted::hash(&name)
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
        "Envoy hands out {had} of the {size} bytes of the configuration"
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
        "it takes {need} MiB to load, what is in force in the same VM {in_force} MiB, and {share} \
         MiB are for requests: that is more than Envoy gives a VM. Write fewer or smaller \
         policies, or part them among plugins that have a vm_id each"
    )))
}

fn size(text: &[u8]) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}
