//! A configuration in force under one of Envoy's contexts.
//!
//! A context has one configuration at a time; when it gets another, exchanges that
//! have begun go on under theirs.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;

use btp_engine::{Action, Context, Event, Ledger, Worker};

use crate::host::WasmHost;
use crate::loaded::Loaded;
use crate::perform::perform;
use crate::timer::{Sleeper, Timer};
use crate::vm;

thread_local! {
    /// The worker's ledger of retries: it outlives configurations, and the
    /// downstream and the upstream instance share it.
    static LEDGER: RefCell<Ledger> = RefCell::default();
    /// So many configurations have been in force in this VM.
    static NUMBERS: Cell<u32> = const { Cell::new(0) };
}

/// What all streams under one configuration and context share.
pub(crate) struct ActiveConfig {
    pub(crate) loaded: Rc<Loaded>,
    pub(crate) timer: Rc<Timer>,
    /// Tells it from others in this VM.
    pub(crate) number: u32,
    /// When the timer is to wake the worker.
    worker_wakes_at: Cell<Option<u64>>,
}

impl Deref for ActiveConfig {
    type Target = Loaded;

    fn deref(&self) -> &Loaded {
        &self.loaded
    }
}

impl ActiveConfig {
    /// Under the context that has this timer.
    pub(crate) fn new(loaded: Rc<Loaded>, timer: &Rc<Timer>) -> Self {
        match vm::first_beat() {
            Ok(at) => timer.set(Sleeper::Vm, Some(at)),
            Err(reason) => log::error!("{reason}"),
        }
        let number = NUMBERS.get().wrapping_add(1);
        NUMBERS.set(number);
        Self {
            loaded,
            timer: Rc::clone(timer),
            number,
            worker_wakes_at: Cell::new(None),
        }
    }

    /// The worker's first step under this configuration.
    pub(crate) fn start(&self) {
        self.act(&mut |worker, event| worker.start(&self.plan, event));
        self.set_worker_timer();
    }

    /// Another configuration takes this one's place, or this one ends. The
    /// worker has less to do from now on, so that its timer may stay as it is.
    pub(crate) fn retire(&self) {
        self.act(&mut |worker, event| worker.retire(&self.plan, event));
    }

    /// The timer has come for the worker.
    pub(crate) fn tick(&self) {
        self.worker_wakes_at.set(None);
        self.act(&mut |worker, event| worker.tick(&self.plan, event));
        self.set_worker_timer();
    }

    /// The worker's chores under this configuration.
    fn act(&self, act: &mut dyn FnMut(&mut Worker, &mut Event<'_, WasmHost<'_>>)) {
        let mut out = Vec::new();
        let host = &mut WasmHost {
            loaded: &self.loaded,
        };
        act(
            &mut self.worker.borrow_mut(),
            &mut Event::new(host, &mut out),
        );
        perform(&self.loaded, &mut out, 0);
    }

    /// An event of the exchange that hostcalls are about now. `body_size` is that
    /// of the body bytes available.
    pub(crate) fn feed<R>(
        &self,
        body_size: usize,
        feed: impl FnOnce(&mut Context<'_, WasmHost<'_>>) -> R,
    ) -> R {
        let mut out: Vec<Action> = Vec::new();
        let result = LEDGER.with_borrow_mut(|ledger| {
            let worker = &mut self.worker.borrow_mut();
            let host = &mut WasmHost {
                loaded: &self.loaded,
            };
            feed(&mut Context::new(
                &self.plan, worker, ledger, host, &mut out,
            ))
        });
        perform(&self.loaded, &mut out, body_size);
        self.set_worker_timer();
        result
    }

    /// Sets the timer for the time at which the worker must be woken, which any event may
    /// change.
    pub(crate) fn set_worker_timer(&self) {
        let at = self.worker.borrow().wakes_at();
        if self.worker_wakes_at.replace(at) != at {
            self.timer.set(Sleeper::Worker(self.number), at);
        }
    }
}
