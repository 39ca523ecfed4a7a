//! Maps the number in a callback to its configuration or exchange.
//!
//! This replaces the SDK's dispatcher, which keeps an exchange until its end. Here an
//! exchange is forgotten as soon as it needs no more events. Later callbacks for it find
//! nothing, and continue.

use std::cell::RefCell;
use std::rc::Rc;

use btp_engine::{Flow, Response};
use hashbrown::HashSet;

use crate::abi::{self, Callbacks, Map, report};
use crate::active_config::ActiveConfig;
use crate::perform::send_instead;
use crate::root::headroom;
use crate::root::{Root, Roots};
use crate::stream::Stream;
use crate::streams::Streams;
use crate::timer::Sleeper;
use crate::vm;

thread_local! {
    static ROOTS: RefCell<Roots> = RefCell::default();
    static STREAMS: RefCell<Streams> = RefCell::default();
    /// Exchanges that began without a configuration.
    static NOT_CONFIGURED: RefCell<HashSet<u32>> = RefCell::default();
}

/// How many a tick wakes; who is due as well waits a millisecond longer. Envoy performs
/// what a tick has decided when it is over, each thing within the callbacks of the one
/// before, so that its stack grows with each: thousands at once overflow it, and the VM
/// ends.
const WOKEN_AT_ONCE: usize = 16;

/// Envoy's callbacks, each led to what it is about.
pub(crate) struct Dispatch;

impl Callbacks for Dispatch {
    fn create(context: u32, root: u32) {
        if root == 0 {
            // Until it is configured: see `configure`.
            headroom::drop_ballast();
            ROOTS.with_borrow_mut(|roots| roots.insert(context, Root::new(context)));
            return;
        }
        let config = ROOTS.with_borrow_mut(|roots| roots.get_mut(&root)?.begin());
        if let Some(config) = config {
            vm::look();
            // What Envoy calls for it finds nothing, and goes on.
            if config.plan.governs_nothing() {
                return;
            }
            STREAMS.with_borrow_mut(|streams| {
                streams.begin(context, || Stream::new(context, config));
            });
        } else {
            NOT_CONFIGURED.with_borrow_mut(|them| them.insert(context));
        }
    }

    fn configure(root: u32, size: usize) -> bool {
        headroom::drop_ballast();
        let accepts = with_root(root, |root, others| root.configure(size, others));
        headroom::take_ballast();
        // A context that was never made: Envoy keeps the callback from this module,
        // in the canary as everywhere.
        let accepts = accepts.unwrap_or(false);
        if accepts {
            retire_others(root);
        }
        accepts
    }

    fn tick(root: u32) {
        let timer = ROOTS.with_borrow(|roots| Some(Rc::clone(&roots.get(&root)?.timer)));
        let Some(timer) = timer else { return };
        timer.begin();
        let now = abi::monotonic_ns();
        let due = std::iter::from_fn(|| timer.next_due(now));
        for sleeper in due.take(WOKEN_AT_ONCE) {
            match sleeper {
                Sleeper::Exchange(context) => wake(context),
                Sleeper::Worker(number) => {
                    with_root(root, |root, _| root.tick_worker(number));
                }
                Sleeper::Vm => timer.set(Sleeper::Vm, Some(vm::beat(now))),
                Sleeper::Root => {
                    with_root(root, |root, others| root.look_after(others));
                }
            }
        }
        timer.end();
    }

    fn request_headers(context: u32, end: bool) -> Flow {
        if take_not_configured(context) {
            let header = |name| abi::header(Map::RequestHeaders, name).unwrap_or_default();
            let reply = not_configured().encoded_for(&header("content-type"), &header(":method"));
            report("a reply", send_instead(&reply));
            return Flow::Stop;
        }
        event(context, |stream| stream.request_headers(end))
    }

    fn request_body(context: u32, size: usize, end: bool) -> Flow {
        event(context, |stream| stream.request_body(size, end))
    }

    fn request_trailers(context: u32) -> Flow {
        event(context, Stream::request_trailers)
    }

    fn response_headers(context: u32, end: bool) -> Flow {
        event(context, |stream| stream.response_headers(end))
    }

    fn response_body(context: u32, size: usize) -> Flow {
        event(context, |stream| stream.response_body(size))
    }

    fn response_trailers(context: u32) -> Flow {
        event(context, Stream::response_trailers)
    }

    /// Envoy deletes it right after this, so that there is no need to be called
    /// again for that.
    fn done(context: u32) {
        let ended = STREAMS.with_borrow_mut(|streams| streams.end(context, Stream::done));
        if ended.is_some() || take_not_configured(context) {
            return;
        }
        ROOTS.with_borrow_mut(|roots| {
            if let Some(root) = roots.remove(&context) {
                root.end(roots);
            }
        });
    }
}

/// A new configuration may take the place of another, which then has no
/// requests to come. Envoy does not say of which; the others take again what
/// they give back now.
fn retire_others(new: u32) {
    let others: Vec<Rc<ActiveConfig>> = ROOTS.with_borrow(|roots| {
        let others = roots.iter().filter(|(root, _)| **root != new);
        others
            .flat_map(|(_, root)| root.configs().cloned())
            .collect()
    });
    others.iter().for_each(|config| config.retire());
}

/// Acts on a root, which can use the others.
fn with_root<R>(root: u32, act: impl FnOnce(&mut Root, &Roots) -> R) -> Option<R> {
    ROOTS.with_borrow_mut(|roots| {
        let mut own = roots.remove(&root)?;
        let result = act(&mut own, roots);
        roots.insert(root, own);
        Some(result)
    })
}

/// What a worker without a configuration answers; a client may try again.
fn not_configured() -> Response {
    Response {
        status: 503,
        headers: Vec::new(),
        body: b"not configured\n".to_vec(),
        grpc_status: None,
        details: "btp_not_configured",
    }
}

fn take_not_configured(context: u32) -> bool {
    NOT_CONFIGURED.with_borrow_mut(|them| !them.is_empty() && them.remove(&context))
}

/// The timer has come for an exchange.
fn wake(context: u32) {
    let _ = event(context, |stream| {
        stream.timer();
        Flow::Continue
    });
}

/// An event of an exchange.
///
/// The streams are borrowed while `feed` makes hostcalls. None of these calls back: Envoy
/// delays replies, the end of a stream and the continuation of a request until the present
/// callback has returned. `tests/tests/deferred.rs` checks this.
fn event(context: u32, feed: impl FnOnce(&mut Stream) -> Flow) -> Flow {
    STREAMS.with_borrow_mut(|streams| {
        let Some(stream) = streams.get_mut(context) else {
            return Flow::Continue;
        };
        let flow = feed(stream);
        if stream.is_over() {
            streams.end(context, |_| {});
        }
        flow
    })
}
