//! What a worker thread remembers: under each configuration, and under all.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use btp_engine::{Action, Context, Exchange, Flow, Ledger, MemoryQuota, Worker};
use hashbrown::HashMap;

use crate::abi::Stream;
use crate::beginning::Beginning;
use crate::filter_config::FilterConfig;
use crate::host::ModuleHost;
use crate::perform::{Performer, perform_without_stream};

/// An event of the engine.
pub(crate) type Feed<'a> =
    &'a mut dyn FnMut(&mut Exchange, &mut Context<'_, ModuleHost<'_, '_>>) -> Flow;

/// A hook of an exchange that runs.
pub(crate) struct Hook<'a, 's> {
    pub(crate) config: &'a Arc<FilterConfig>,
    pub(crate) stream: Option<&'a mut Stream<'s>>,
    pub(crate) beginning: Beginning,
}

/// A worker under one configuration, for as long as that is in force somewhere.
struct Known {
    config: Weak<FilterConfig>,
    worker: Worker,
}

#[derive(Default)]
struct Thread {
    /// By the configuration's number.
    workers: HashMap<u64, Known>,
    /// Retries, under whatever configuration: the downstream and the upstream
    /// instance share them.
    ledger: Ledger,
    /// Memory for values of requests, under whatever configuration.
    quota: MemoryQuota,
    /// Room for actions, to be used again.
    actions: Vec<Action>,
}

thread_local! {
    static THREAD: RefCell<Thread> = RefCell::default();
}

impl Hook<'_, '_> {
    /// Feeds one event of this exchange to the engine, and performs what it decides.
    /// Without a stream, which has gone, there is nobody to perform it for.
    ///
    /// `undone` is empty, but for what is left by a panic in an earlier event: its
    /// numbers still count, as the end of the exchange takes them back.
    pub(crate) fn feed(
        self,
        exchange: &mut Exchange,
        undone: &mut Vec<Action>,
        event: Feed<'_>,
    ) -> Flow {
        let Self {
            config,
            stream,
            beginning,
        } = self;
        // Nothing that the host is asked calls back into a hook: Envoy is only read.
        let flow = THREAD.with_borrow_mut(|thread| {
            if undone.is_empty() {
                *undone = std::mem::take(&mut thread.actions);
            }
            let worker = worker(&mut thread.workers, config, &thread.quota);
            let mut host = ModuleHost {
                config,
                stream: stream.as_deref(),
                beginning,
            };
            let ledger = &mut thread.ledger;
            let cx = &mut Context::new(&config.plan, worker, ledger, &mut host, undone);
            event(exchange, cx)
        });
        match stream {
            Some(stream) => {
                let performer = Performer { config, beginning };
                performer.perform(stream, undone);
            }
            None => perform_without_stream(config, undone),
        }
        THREAD.with_borrow_mut(|thread| thread.actions = std::mem::take(undone));
        flow
    }
}

/// The worker under this configuration.
fn worker<'t>(
    workers: &'t mut HashMap<u64, Known>,
    config: &Arc<FilterConfig>,
    quota: &MemoryQuota,
) -> &'t mut Worker {
    if !workers.contains_key(&config.number) {
        // Those of configurations that have gone go, too.
        workers.retain(|_, known| known.config.strong_count() > 0);
    }
    let known = workers.entry(config.number).or_insert_with(|| Known {
        config: Arc::downgrade(config),
        worker: Worker::new(&config.plan).with_quota(quota),
    });
    &mut known.worker
}
