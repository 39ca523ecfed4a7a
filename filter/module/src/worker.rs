//! What a worker thread remembers: under each configuration, and under all.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use btp_engine::{Action, Context, Exchange, Flow, Ledger, MemoryQuota, Worker};

use crate::abi::{HeaderRoom, Map, Stream};
use crate::beginning::Beginning;
use crate::filter_config::FilterConfig;
use crate::host::{LazyHeaders, ModuleHost};
use crate::perform::{Performer, perform_without_stream};

/// An event of the engine.
pub(crate) type Feed<'a> =
    &'a mut dyn FnMut(&mut Exchange, &mut Context<'_, ModuleHost<'_, '_>>) -> Flow;

/// A hook of an exchange that runs.
pub(crate) struct Hook<'a, 's> {
    pub(crate) config: &'a Arc<FilterConfig>,
    pub(crate) stream: Option<&'a mut Stream<'s>>,
    pub(crate) beginning: &'a mut Beginning,
}

/// What an event has come to.
pub(crate) struct Outcome {
    pub(crate) flow: Flow,
    /// No further event matters, not even the last.
    pub(crate) is_over: bool,
}

/// A worker under one configuration, for as long as that is in force somewhere.
struct Known {
    /// The configuration's.
    number: u64,
    config: Weak<FilterConfig>,
    worker: Worker,
}

#[derive(Default)]
struct Thread {
    /// Few: as many as there are configurations in force.
    workers: Vec<Known>,
    /// Where the one is that was needed last.
    last: usize,
    /// Retries, under whatever configuration: the downstream and the upstream
    /// instance share them.
    ledger: Ledger,
    /// Memory for values of requests, under whatever configuration.
    quota: MemoryQuota,
    /// Room for actions and headers, to be used again.
    actions: Vec<Action>,
    request: HeaderRoom,
    response: HeaderRoom,
}

thread_local! {
    static THREAD: RefCell<Thread> = RefCell::default();
}

impl Hook<'_, '_> {
    /// Feeds one event of this exchange to the engine, and performs what it decides.
    /// Without a stream, which has gone, it cannot be performed.
    ///
    /// `undone` is empty, but for what is left by a panic in an earlier event: its
    /// numbers still count, as the end of the exchange takes them back.
    pub(crate) fn feed(
        self,
        exchange: &mut Exchange,
        undone: &mut Vec<Action>,
        event: Feed<'_>,
    ) -> Outcome {
        let Self {
            config,
            stream,
            beginning,
        } = self;
        // Nothing that the host is asked calls back into a hook: Envoy is only read.
        let outcome = THREAD.with_borrow_mut(|thread| {
            if undone.is_empty() {
                *undone = std::mem::take(&mut thread.actions);
            }
            let place = thread.place_of(config);
            let Known { worker, .. } = thread.workers.get_mut(place)?;
            let mut host = ModuleHost {
                config,
                stream: stream.as_deref(),
                began_ns: beginning.at_ns,
                request: LazyHeaders::new(Map::RequestHeaders, &mut thread.request),
                response: LazyHeaders::new(Map::ResponseHeaders, &mut thread.response),
            };
            let ledger = &mut thread.ledger;
            let cx = &mut Context::new(&config.plan, worker, ledger, &mut host, undone);
            let flow = event(exchange, cx);
            let is_over = exchange.is_over(&config.plan);
            if exchange.may_have_reply(&config.plan) {
                beginning.note(|| host.request_as_it_is());
            }
            if undone.is_empty() {
                thread.actions = std::mem::take(undone);
            }
            Some(Outcome { flow, is_over })
        });
        let outcome = outcome.unwrap_or(Outcome {
            flow: Flow::Continue,
            is_over: true,
        });
        // Mostly there is nothing to do.
        if undone.is_empty() {
            return outcome;
        }
        match stream {
            Some(stream) => Performer {
                config,
                beginning: *beginning,
            }
            .perform(stream, undone),
            None => perform_without_stream(config, undone),
        }
        THREAD.with_borrow_mut(|thread| thread.actions = std::mem::take(undone));
        outcome
    }
}

impl Thread {
    /// Where the worker under this configuration is.
    fn place_of(&mut self, config: &Arc<FilterConfig>) -> usize {
        let is_it = |known: &Known| known.number == config.number;
        if !self.workers.get(self.last).is_some_and(is_it) {
            self.last = self.workers.iter().position(is_it).unwrap_or_else(|| {
                // Those of configurations that have gone go, too.
                self.workers.retain(|it| it.config.strong_count() > 0);
                self.workers.push(Known {
                    number: config.number,
                    config: Arc::downgrade(config),
                    worker: Worker::new(&config.plan).with_quota(&self.quota),
                });
                self.workers.len() - 1
            });
        }
        self.last
    }
}
