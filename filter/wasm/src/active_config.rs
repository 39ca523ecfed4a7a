//! A configuration in force under one of Envoy's contexts: the exchanges that wait
//! there, and Envoy's timer.
//!
//! Envoy has one timer for each context. A context has one configuration at a
//! time; when it gets another, exchanges that have begun go on under theirs.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;

use btp_engine::{Action, Context, Deadlines, Event, Exchange, Flow, Ledger, Worker};
use hashbrown::HashMap;

use crate::abi;
use crate::host::WasmHost;
use crate::loaded::Loaded;
use crate::perform::perform;
use crate::vm;

thread_local! {
    /// The worker's ledger of retries: it outlives configurations, and the
    /// downstream and the upstream instance share it.
    static LEDGER: RefCell<Ledger> = RefCell::default();
}

/// What all streams under one configuration and context share.
pub(crate) struct ActiveConfig {
    pub(crate) loaded: Rc<Loaded>,
    timer: Rc<Timer>,
    timers: RefCell<Timers>,
}

/// Exchanges that wait.
#[derive(Default)]
struct Timers {
    deadlines: Deadlines,
    /// In boxes, as a table has room to spare.
    waiting: HashMap<u32, Box<Exchange>>,
    /// When the worker is to be woken.
    worker: Option<u64>,
}

/// Envoy's one timer of a context.
#[derive(Default)]
pub(crate) struct Timer {
    /// The time that it is set for.
    armed: Cell<Option<u64>>,
}

/// The worker's own place among the deadlines: no stream has this context,
/// Envoy's own has.
const WORKER: u32 = 0;
/// The place of the VM's heartbeats; no stream has this context, either.
const VM: u32 = u32::MAX;
const NANOS_PER_MS: u64 = 1_000_000;

impl Deref for ActiveConfig {
    type Target = Loaded;

    fn deref(&self) -> &Loaded {
        &self.loaded
    }
}

impl ActiveConfig {
    /// Under the context that has this timer, nobody waits yet.
    pub(crate) fn new(loaded: Rc<Loaded>, timer: &Rc<Timer>) -> Self {
        let config = Self {
            loaded,
            timer: Rc::clone(timer),
            timers: RefCell::default(),
        };
        match vm::first_beat() {
            Ok(at) => config.wake(VM, at),
            Err(reason) => log::error!("{reason}"),
        }
        config
    }

    /// The worker's first step under this configuration.
    pub(crate) fn start(&self) {
        self.act(&mut |worker, event| worker.start(&self.plan, event));
    }

    /// Another configuration takes this one's place, or this one ends.
    pub(crate) fn retire(&self) {
        self.act(&mut |worker, event| worker.retire(&self.plan, event));
    }

    /// What the worker does of its own accord under this configuration.
    fn act(&self, act: &mut dyn FnMut(&mut Worker, &mut Event<'_, WasmHost<'_>>)) {
        let mut out = Vec::new();
        let host = &mut WasmHost {
            loaded: &self.loaded,
        };
        act(
            &mut self.worker.borrow_mut(),
            &mut Event::new(host, &mut out),
        );
        self.perform(&mut out, 0);
    }

    /// An event of the exchange that hostcalls are about now.
    pub(crate) fn with_context<R>(
        &self,
        out: &mut Vec<Action>,
        feed: impl FnOnce(&mut Context<'_, WasmHost<'_>>) -> R,
    ) -> R {
        LEDGER.with_borrow_mut(|ledger| {
            let worker = &mut self.worker.borrow_mut();
            let host = &mut WasmHost {
                loaded: &self.loaded,
            };
            feed(&mut Context::new(&self.plan, worker, ledger, host, out))
        })
    }

    /// Performs what the engine decided; gives the time at which the exchange
    /// at hand is to be woken, if any.
    pub(crate) fn perform(&self, actions: &mut Vec<Action>, body_size: usize) -> Option<u64> {
        let wakes = perform(&self.loaded, actions, body_size);
        if let Some(at) = wakes.worker {
            self.wake_worker(at);
        }
        wakes.exchange
    }

    /// Keeps `exchange` until its time has come, or it is asked back.
    pub(crate) fn park(&self, context: u32, at: u64, exchange: Exchange) {
        let mut timers = self.timers.borrow_mut();
        timers.deadlines.set(context, at);
        timers.waiting.insert(context, Box::new(exchange));
        self.arm(&timers);
    }

    /// Gives a parked exchange back. Its deadline stays, so that it costs
    /// nothing to park it again for the same time.
    pub(crate) fn unpark(&self, context: u32) -> Option<Exchange> {
        let exchange = self.timers.borrow_mut().waiting.remove(&context)?;
        Some(*exchange)
    }

    /// The worker is to be woken.
    pub(crate) fn wake_worker(&self, at: u64) {
        let own = self.worker_wakes_at().unwrap_or(u64::MAX);
        self.timers.borrow_mut().worker = Some(at.min(own));
        self.wake(WORKER, at);
    }

    /// The timer is to come at this time, for one who is no exchange.
    fn wake(&self, who: u32, at: u64) {
        let mut timers = self.timers.borrow_mut();
        timers.deadlines.bring_forward(who, at);
        self.arm(&timers);
    }

    /// When the worker is to be woken, if at all.
    pub(crate) fn worker_wakes_at(&self) -> Option<u64> {
        self.timers.borrow().worker
    }

    fn arm(&self, timers: &Timers) {
        if let Some(earliest) = timers.deadlines.earliest() {
            self.timer.arm(earliest);
        }
    }

    /// Nobody waits for this deadline any more. The tick may come once for
    /// nothing.
    pub(crate) fn forget(&self, context: u32) {
        self.timers.borrow_mut().deadlines.remove(context);
    }

    /// Wakes those whose time has come, then has the timer come for the next.
    pub(crate) fn tick(&self) {
        let now = abi::monotonic_ns();
        let next_heartbeat = vm::beat(now);
        let mut out = Vec::new();
        while let Some((context, exchange)) = self.next_due(now) {
            let Some(mut exchange) = exchange else {
                self.act(&mut |worker, event| worker.tick(&self.plan, event));
                continue;
            };
            if abi::set_effective_context(context).is_err() {
                self.with_context(&mut out, |cx| exchange.done(cx));
                self.perform(&mut out, 0);
                continue;
            }
            let flow = self.with_context(&mut out, |cx| exchange.timer(cx));
            let wake_at = self.perform(&mut out, 0);
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
        timers.deadlines.set(VM, next_heartbeat);
        self.arm(&timers);
    }

    /// The next one that is due; without an exchange it is the worker.
    fn next_due(&self, now: u64) -> Option<(u32, Option<Box<Exchange>>)> {
        let mut timers = self.timers.borrow_mut();
        loop {
            let context = timers.deadlines.pop_due(now)?;
            let exchange = timers.waiting.remove(&context);
            if context == WORKER {
                timers.worker = None;
            }
            if exchange.is_some() || context == WORKER {
                return Some((context, exchange));
            }
        }
    }
}

impl Timer {
    /// Has it come at this time, if it is not to come earlier anyway: to set it
    /// begins a new period.
    pub(crate) fn arm(&self, at: u64) {
        if self.armed.get().is_some_and(|armed| armed <= at) {
            return;
        }
        let wait = at.saturating_sub(abi::monotonic_ns());
        let millis = wait.div_ceil(NANOS_PER_MS);
        set_tick(u32::try_from(millis).unwrap_or(u32::MAX).max(1));
        self.armed.set(Some(at));
    }

    /// It has come.
    pub(crate) fn came(&self) {
        self.armed.set(None);
    }

    /// Stops it, if nobody has had it armed since it came.
    pub(crate) fn rest(&self) {
        if self.armed.get().is_none() {
            set_tick(0);
        }
    }
}

fn set_tick(millis: u32) {
    if let Err(refused) = abi::set_tick_period(millis) {
        log::error!("the timer cannot be set to {millis} ms: {refused:?}");
    }
}
