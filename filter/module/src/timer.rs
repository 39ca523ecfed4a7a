//! The one thread that wakes streams when their time has come: Envoy has no timers for HTTP
//! filters, but lets any thread call a stream's hook on its worker.
//!
//! A waiting stream costs an entry here and nothing else. The thread starts with the first
//! entry, sleeps until the earliest time, and lives as long as the process.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::abi::{Level, Scheduler, guarded, log};
use crate::clock::monotonic_ns;

/// A pending wake-up of a stream. Dropping it cancels it.
#[derive(Debug)]
pub(crate) struct Wake(u64);

#[derive(Debug, Default)]
struct Queue {
    /// Times and numbers; those that were taken back stay until their time, or until
    /// they outnumber the others.
    times: BinaryHeap<Reverse<(u64, u64)>>,
    /// The sleepers, by number.
    waiting: HashMap<u64, Sleeper>,
    /// The number given last.
    last: u64,
    is_running: bool,
}

/// A stream to wake, or a function to call.
#[derive(Debug)]
enum Sleeper {
    Stream(Scheduler),
    /// Nobody: this is called, and must be short.
    Call(fn()),
}

struct Timer {
    queue: Mutex<Queue>,
    changed: Condvar,
}

static TIMER: LazyLock<Timer> = LazyLock::new(|| Timer {
    queue: Mutex::default(),
    changed: Condvar::new(),
});

/// Entries that were taken back and are not worth a clean-up.
const SLACK: usize = 1024;

impl Wake {
    /// Has the stream of this scheduler called at this time, or as soon after it as
    /// can be. `None` if there is no thread to do it.
    pub(crate) fn at(at: u64, scheduler: Scheduler) -> Option<Self> {
        TIMER.wake_at(at, Sleeper::Stream(scheduler)).map(Self)
    }
}

/// Has this called at this time, under the lock of all that waits. `false` if there is
/// no thread to do it.
pub(crate) fn call_at(at: u64, call: fn()) -> bool {
    TIMER.wake_at(at, Sleeper::Call(call)).is_some()
}

/// Called when somebody was woken, under the same lock.
#[cfg(feature = "planted-panics")]
pub(crate) static ON_WAKE: std::sync::OnceLock<fn()> = std::sync::OnceLock::new();

impl Drop for Wake {
    fn drop(&mut self) {
        // Outside of the lock: to delete it is a call into Envoy.
        let sleeper = TIMER.lock().take_back(self.0);
        drop(sleeper);
    }
}

impl Timer {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number to take it back with; `None` if there is no thread to do it.
    fn wake_at(&self, at: u64, sleeper: Sleeper) -> Option<u64> {
        let mut queue = self.lock();
        if !queue.is_running {
            queue.is_running = start()?;
        }
        let is_earliest = queue.earliest().is_none_or(|earliest| at < earliest);
        queue.last = queue.last.wrapping_add(1);
        let number = queue.last;
        queue.times.push(Reverse((at, number)));
        queue.waiting.insert(number, sleeper);
        drop(queue);
        if is_earliest {
            self.changed.notify_one();
        }
        Some(number)
    }

    /// Wakes all whose time has come, and sleeps until the next.
    fn run(&self) -> ! {
        let mut queue = self.lock();
        loop {
            let wait = queue.wake_due(monotonic_ns());
            queue = match wait {
                None => self
                    .changed
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(nanos) => {
                    let wait = Duration::from_nanos(nanos);
                    let woken = self.changed.wait_timeout(queue, wait);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Queue {
    /// Wakes all that are due; gives how long it is until the next, if there is one.
    fn wake_due(&mut self, now: u64) -> Option<u64> {
        while let Some(Reverse((at, number))) = self.times.peek().copied() {
            if at > now && self.waiting.contains_key(&number) {
                return Some(at - now);
            }
            // Under the lock, so that a stream that ends cannot get in between. A panic
            // leaves it here to be woken again, which does no harm.
            match self.waiting.get(&number) {
                Some(Sleeper::Stream(scheduler)) => scheduler.commit(number),
                Some(Sleeper::Call(call)) => call(),
                None => {}
            }
            #[cfg(feature = "planted-panics")]
            if let Some(call) = ON_WAKE.get() {
                call();
            }
            self.times.pop();
            self.waiting.remove(&number);
        }
        None
    }

    fn take_back(&mut self, number: u64) -> Option<Sleeper> {
        let taken = self.waiting.remove(&number);
        if self.times.len() > 2 * self.waiting.len() + SLACK {
            let waiting = &self.waiting;
            self.times
                .retain(|Reverse((_, number))| waiting.contains_key(number));
        }
        taken
    }

    fn earliest(&self) -> Option<u64> {
        self.times.peek().map(|Reverse((at, _))| *at)
    }
}

/// Starts the thread. A panic in it is caught and it goes on, as streams wait for it.
fn start() -> Option<bool> {
    let run = || {
        loop {
            let _ = guarded("the timer thread", || TIMER.run());
        }
    };
    match thread::Builder::new()
        .name("btp timer".to_owned())
        .spawn(run)
    {
        Ok(_) => Some(true),
        Err(error) => {
            log(Level::Error, &format!("no thread for timers: {error}"));
            None
        }
    }
}
