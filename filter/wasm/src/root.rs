//! Envoy's root context: a plugin in this VM, and the configuration it has.
//!
//! Envoy makes a new root context for every configuration update; the old one
//! lives until its last stream has ended. What is refused, kept or left at 503
//! when a configuration cannot be loaded is decided by `btp_engine::update`.

pub(crate) mod accepted;
pub(crate) mod behind;
mod deferred_text;
pub(crate) mod headroom;
mod load;
mod probe;

use std::cell::Cell;
use std::rc::Rc;

use btp_engine::HEARTBEAT_NS;
use btp_engine::update::{self, Fallback, Lag, Role, Use};
use btp_policy::Position;
use hashbrown::HashMap;

use crate::abi;
use crate::active_config::ActiveConfig;
use crate::loaded::Loaded;
use crate::timer::{Sleeper, Timer};
use deferred_text::DeferredText;
use load::{Unloaded, has_room};

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
    pub(crate) timer: Rc<Timer>,
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

    /// All under which there may be exchanges.
    pub(crate) fn configs(&self) -> impl Iterator<Item = &Rc<ActiveConfig>> {
        self.retired.iter().chain(&self.current)
    }

    /// The timer has come for the worker under the configuration of this number.
    pub(crate) fn tick_worker(&self, number: u32) {
        if let Some(config) = self.configs().find(|config| config.number == number) {
            config.tick();
        }
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
            _ => "it keeps the previous one",
        };
        let reason = obstacle.reason();
        log::error!("this worker cannot load the accepted configuration: {reason}; {instead}");
        // In this order: who sees that nobody is behind looks no further.
        self.note();
        if let (Some(text), Some(deferred)) = (text, self.deferred_text(wanted)) {
            deferred.store(&text);
        }
        true
    }

    /// Looks after those who are behind.
    pub(crate) fn look_after(&mut self, others: &Roots) {
        headroom::drop_ballast();
        if self.is_superseded(others) {
            behind::note(self.context, None);
            self.come_back(true);
            headroom::take_ballast();
            return;
        }
        if let Some(wanted) = self.wanted {
            if self.catch_up(wanted).is_some() {
                log::info!("this worker has loaded the accepted configuration");
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
        for config in self.configs() {
            // Its last exchange has ended before.
            config.retire();
            // From now on the timer of another context wakes the worker.
            let of_heir = |other: &Root| {
                let mut configs = other.configs();
                let same = configs.find(|it| Rc::ptr_eq(&it.loaded, &config.loaded))?;
                Some((other.context, Rc::clone(same)))
            };
            if let Some((context, same)) = others.values().find_map(of_heir)
                && abi::set_effective_context(context).is_ok()
            {
                same.set_worker_timer();
            }
        }
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

    /// Loads the deferred configuration, if there is room by now.
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
        let at = is_needed.then(|| abi::monotonic_ns().saturating_add(HEARTBEAT_NS));
        self.timer.set(Sleeper::Root, at);
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

/// What tells this plugin from others in the VM.
fn plugin() -> u64 {
    let mut name = abi::property("plugin_name").unwrap_or_default();
    name.push(0);
    name.extend(abi::property("plugin_root_id").unwrap_or_default());
    accepted::hash(&name)
}
