//! One configuration in one worker: the plan, and the timer of those who
//! wait under it.
//!
//! Envoy makes a new root context for every configuration update; the old
//! one lives until its last stream has ended. So nothing here ever changes
//! under a stream's feet.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use btp_engine::{Deadlines, Exchange, Flow, MemoryQuota, Plan, Worker};
use btp_policy::PluginConfig;
use btp_policy::problem::in_one_line;
use hashbrown::HashMap;

use crate::abi::{self, Buffer};
use crate::announce;
use crate::blocks::SharedBlocks;
use crate::complaints::Complaints;
use crate::host::WasmHost;
use crate::memory;
use crate::metrics::{self, Metrics};
use crate::random::Random;
use crate::stream::perform;

thread_local! {
    /// The memory for values of requests, under whatever configuration.
    static QUOTA: MemoryQuota = MemoryQuota::default();
}

/// What all streams under one configuration share.
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) metrics: Metrics,
    pub(crate) blocks: SharedBlocks,
    pub(crate) random: Random,
    pub(crate) worker: RefCell<Worker>,
    pub(crate) tables: SharedBlocks,
    pub(crate) complaints: Complaints,
    timers: RefCell<Timers>,
}

/// Exchanges that wait, and the state of Envoy's one timer.
#[derive(Default)]
struct Timers {
    deadlines: Deadlines,
    /// In boxes, as a table has room to spare.
    waiting: HashMap<u32, Box<Exchange>>,
    /// The deadline that the tick is set for.
    armed: Option<u64>,
}

/// A configuration as Envoy's root context.
#[derive(Default)]
pub(crate) struct Root {
    shared: Option<Rc<Shared>>,
}

/// The worker's own place among the deadlines: no stream has this context,
/// Envoy's own has.
const WORKER: u32 = 0;
/// The place of the VM's signs of life; no stream has this context, either.
const VM: u32 = u32::MAX;
/// The most problems that one log line names.
const MOST_PROBLEMS: usize = 20;
const NANOS_PER_MS: u64 = 1_000_000;

impl Root {
    /// Reads the configuration, of so many bytes; whether it is accepted.
    pub(crate) fn configure(&mut self, size: usize) -> bool {
        let text = abi::buffer(Buffer::PluginConfiguration, size).unwrap_or_default();
        match configure(&text) {
            Ok(shared) => {
                shared.start();
                self.shared = Some(Rc::new(shared));
                true
            }
            Err(reason) => {
                log::error!("configuration refused: {reason}");
                false
            }
        }
    }

    /// What streams share; `None` before the configuration is there.
    pub(crate) fn shared(&self) -> Option<Rc<Shared>> {
        self.shared.clone()
    }
}

/// Reads and compiles the configuration, or says in one line why not.
fn configure(text: &[u8]) -> Result<Shared, String> {
    let start = Instant::now();
    let config =
        PluginConfig::parse(text).map_err(|problems| in_one_line(&problems, MOST_PROBLEMS))?;
    let random = Random::seeded().map_err(|error| format!("no entropy to be had: {error}"))?;
    let is_first = announce::is_first(text);
    if is_first {
        announce(&config);
    }
    let policies = config.policies.len();
    let first_beat = memory::first_beat()?;
    let plan = Plan::compile(config);
    plan.budgets().try_for_each(metrics::self_test)?;
    if is_first {
        let (version, millis) = (env!("CARGO_PKG_VERSION"), start.elapsed().as_millis());
        log::info!("version {version}, {policies} policies, loaded in {millis} ms");
        for notice in plan.notices() {
            log::info!("{notice}");
        }
    }
    let shared = Shared {
        metrics: Metrics::new(&plan),
        blocks: SharedBlocks::create(plan.blocks())?,
        tables: SharedBlocks::create(plan.tables())?,
        worker: RefCell::new(plan.worker().with_quota(&QUOTA.with(MemoryQuota::clone))),
        complaints: Complaints::default(),
        plan,
        random,
        timers: RefCell::default(),
    };
    shared.wake(VM, first_beat);
    Ok(shared)
}

fn announce(config: &PluginConfig) {
    for status in config.attachments.statuses() {
        log::info!("policy {status}");
    }
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
}

impl Shared {
    /// The worker's first step under this configuration.
    fn start(&self) {
        let mut out = Vec::new();
        let host = &mut WasmHost { shared: self };
        self.worker.borrow_mut().start(&self.plan, host, &mut out);
        perform(self, &mut out, 0);
    }

    /// Another configuration takes this one's place, or this one ends.
    pub(crate) fn retire(&self) {
        let mut out = Vec::new();
        let host = &mut WasmHost { shared: self };
        self.worker.borrow_mut().retire(&self.plan, host, &mut out);
        perform(self, &mut out, 0);
    }

    /// Keeps `exchange` until its time has come, or it is asked back.
    pub(crate) fn park(&self, context: u32, at: u64, exchange: Exchange) {
        let mut timers = self.timers.borrow_mut();
        timers.deadlines.set(context, at);
        timers.waiting.insert(context, Box::new(exchange));
        timers.arm(abi::monotonic_ns());
    }

    /// Gives a parked exchange back. Its deadline stays, so that it costs
    /// nothing to park it again for the same time.
    pub(crate) fn unpark(&self, context: u32) -> Option<Exchange> {
        let exchange = self.timers.borrow_mut().waiting.remove(&context)?;
        Some(*exchange)
    }

    /// The worker is to be woken.
    pub(crate) fn wake_worker(&self, at: u64) {
        self.wake(WORKER, at);
    }

    /// The timer is to come at this time, for one who is no exchange.
    fn wake(&self, who: u32, at: u64) {
        let mut timers = self.timers.borrow_mut();
        timers.deadlines.bring_forward(who, at);
        timers.arm(abi::monotonic_ns());
    }

    /// Nobody waits for this deadline any more. The tick may come once for
    /// nothing.
    pub(crate) fn forget(&self, context: u32) {
        self.timers.borrow_mut().deadlines.remove(context);
    }

    /// Wakes those whose time has come, then sets the timer for the next.
    pub(crate) fn tick(&self) {
        let now = abi::monotonic_ns();
        let next_beat = memory::beat(now);
        let mut out = Vec::new();
        while let Some((context, exchange)) = self.next_due(now) {
            let mut host = WasmHost { shared: self };
            let Some(mut exchange) = exchange else {
                self.worker
                    .borrow_mut()
                    .tick(&self.plan, &mut host, &mut out);
                perform(self, &mut out, 0);
                continue;
            };
            if abi::set_effective_context(context).is_err() {
                let worker = &mut self.worker.borrow_mut();
                exchange.done(&self.plan, worker, &mut host, &mut out);
                perform(self, &mut out, 0);
                continue;
            }
            let flow = exchange.timer(
                &self.plan,
                &mut self.worker.borrow_mut(),
                &mut host,
                &mut out,
            );
            let wake_at = perform(self, &mut out, 0);
            if flow == Flow::Continue
                && let Err(refused) = abi::continue_request()
            {
                log::error!("a request cannot go on: {refused:?}");
            }
            let mut timers = self.timers.borrow_mut();
            if let Some(at) = wake_at {
                timers.deadlines.set(context, at);
            }
            timers.waiting.insert(context, exchange);
        }
        let mut timers = self.timers.borrow_mut();
        timers.armed = None;
        timers.deadlines.set(VM, next_beat);
        timers.arm(abi::monotonic_ns());
    }

    /// The next one that is due; without an exchange it is the worker.
    fn next_due(&self, now: u64) -> Option<(u32, Option<Box<Exchange>>)> {
        let mut timers = self.timers.borrow_mut();
        loop {
            let context = timers.deadlines.pop_due(now)?;
            let exchange = timers.waiting.remove(&context);
            if exchange.is_some() || context == WORKER {
                return Some((context, exchange));
            }
        }
    }
}

impl Timers {
    /// Sets the tick for the earliest deadline, if it is not set for that or
    /// an earlier time already; stops it when nobody waits.
    fn arm(&mut self, now: u64) {
        let Some(earliest) = self.deadlines.earliest() else {
            set_tick(0);
            return;
        };
        if self.armed.is_some_and(|armed| armed <= earliest) {
            return;
        }
        let millis = earliest.saturating_sub(now).div_ceil(NANOS_PER_MS);
        set_tick(u32::try_from(millis).unwrap_or(u32::MAX).max(1));
        self.armed = Some(earliest);
    }
}

fn set_tick(millis: u32) {
    if let Err(refused) = abi::set_tick_period(millis) {
        log::error!("the timer cannot be set to {millis} ms: {refused:?}");
    }
}
