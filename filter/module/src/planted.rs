//! The filter with panics planted in it, for the tests: feature `planted-panics`.
//!
//! A request's header `x-planted` says in which hook of its exchange (`response_body`),
//! under which lock that is taken there (`QuotaId in stream_complete`, `second BucketsId in
//! request_headers`), or what else is to be done (`probe`). What begins with `upstream ` is for the upstream position alone. The
//! text of a configuration says whether loading or ending it panics. All else is the
//! filter's.
#![allow(clippy::panic, reason = "it is what this is for")]

mod probe;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::abi::{
    Attribute, BodyFlow, Config, HeadersFlow, HttpFilter, LocalReplyFlow, Map, Scheduler, Stream,
    TrailersFlow, guarded, uncounted,
};
use crate::filter::Filter;
use crate::{shared_state, timer};

/// The next exchange panics when it begins.
static NEXT_BEGIN: AtomicBool = AtomicBool::new(false);
/// The main thread panics when it shows what was counted next.
static NEXT_SHOWN: AtomicBool = AtomicBool::new(false);
/// The thread that wakes streams panics when it wakes the next.
static NEXT_WAKE: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// This worker panics when it has locked one of this kind so many times more.
    static NEXT_LOCK: RefCell<(String, u32)> = const { RefCell::new((String::new(), 0)) };
}

/// The filter, panicking on command.
#[derive(Debug)]
pub(crate) struct Planted;

pub(crate) struct PlantedConfig {
    inner: Arc<<Filter as HttpFilter>::Config>,
    panics_at_end: bool,
    is_upstream: bool,
}

pub(crate) struct PlantedExchange {
    inner: <Filter as HttpFilter>::Exchange,
    config: Arc<PlantedConfig>,
    /// What its request has commanded.
    command: String,
    /// Bytes of the body that came so far.
    received: usize,
}

impl HttpFilter for Planted {
    type Config = PlantedConfig;
    type Exchange = PlantedExchange;

    fn load(config: &mut Config<'_>, filter: &[u8], text: &[u8]) -> Option<PlantedConfig> {
        let says = |what: &[u8]| text.windows(what.len()).any(|it| it == what);
        if says(b"panic-in-config-new") {
            panic!("planted in config_new");
        }
        Some(PlantedConfig {
            inner: Arc::new(Filter::load(config, filter, text)?),
            panics_at_end: says(b"panic-in-config-destroy"),
            is_upstream: says(br#""position":"Upstream""#),
        })
    }

    fn config_scheduled(config: &Arc<PlantedConfig>, envoy: &Config<'_>) {
        if NEXT_SHOWN.swap(false, Ordering::Relaxed) {
            panic!("planted in config_scheduled");
        }
        Filter::config_scheduled(&config.inner, envoy);
    }

    fn shows_panics(config: &PlantedConfig) -> bool {
        Filter::shows_panics(&config.inner)
    }

    /// Commands come with requests.
    fn is_idle(_: &PlantedConfig) -> bool {
        false
    }

    fn begin(config: &Arc<PlantedConfig>) -> PlantedExchange {
        if NEXT_BEGIN.swap(false, Ordering::Relaxed) {
            panic!("planted in filter_new");
        }
        PlantedExchange {
            inner: Filter::begin(&config.inner),
            config: Arc::clone(config),
            command: String::new(),
            received: 0,
        }
    }

    fn request_headers(
        exchange: &mut PlantedExchange,
        stream: &mut Stream<'_>,
        end: bool,
    ) -> HeadersFlow {
        let command = uncounted(|| stream.header(Map::RequestHeaders, "x-planted"));
        let command = command.map(String::from_utf8_lossy).unwrap_or_default();
        exchange.command = match command.strip_prefix("upstream ") {
            Some(command) if exchange.config.is_upstream => command.to_owned(),
            Some(_) => String::new(),
            None => command.into_owned(),
        };
        match exchange.command.as_str() {
            "filter_new" => NEXT_BEGIN.store(true, Ordering::Relaxed),
            "config_scheduled" => NEXT_SHOWN.store(true, Ordering::Relaxed),
            "timer_thread" => {
                timer::ON_WAKE.get_or_init(|| in_the_timer_thread);
                NEXT_WAKE.store(true, Ordering::Relaxed);
            }
            "scheduled" | "resume" => {
                wake(stream.scheduler());
                return HeadersFlow::StopAllAndWatermark;
            }
            "thread" => {
                wake_and_panic(stream.scheduler());
                return HeadersFlow::StopAllAndWatermark;
            }
            "allocations" => return probe::allocations_so_far(stream),
            "counts" => return probe::counts_so_far(stream),
            "probe" => return probe::reply(stream),
            "grpc" => return probe::grpc_reply(stream),
            "reset" => return probe::reset(stream),
            "rewrite" => probe::rewrite_request(stream),
            "hold_body" => return HeadersFlow::StopIteration,
            "retry" if attempts(stream) > 1 => panic!("planted in a retry"),
            _ => exchange.panic_in("request_headers"),
        }
        Filter::request_headers(&mut exchange.inner, stream, end)
    }

    fn request_body(
        exchange: &mut PlantedExchange,
        stream: &mut Stream<'_>,
        end: bool,
    ) -> BodyFlow {
        exchange.panic_in("request_body");
        if exchange.command == "hold_body" {
            return probe::hold_body(stream, &mut exchange.received, end);
        }
        Filter::request_body(&mut exchange.inner, stream, end)
    }

    fn request_trailers(exchange: &mut PlantedExchange, stream: &mut Stream<'_>) -> TrailersFlow {
        exchange.panic_in("request_trailers");
        Filter::request_trailers(&mut exchange.inner, stream)
    }

    fn response_headers(
        exchange: &mut PlantedExchange,
        stream: &mut Stream<'_>,
        end: bool,
    ) -> HeadersFlow {
        exchange.panic_in("response_headers");
        if exchange.command == "rewrite" {
            probe::rewrite_response(stream);
        }
        Filter::response_headers(&mut exchange.inner, stream, end)
    }

    fn response_body(
        exchange: &mut PlantedExchange,
        stream: &mut Stream<'_>,
        end: bool,
    ) -> BodyFlow {
        exchange.panic_in("response_body");
        if exchange.command == "rewrite" {
            return probe::replace_body(stream, &mut exchange.received, end);
        }
        Filter::response_body(&mut exchange.inner, stream, end)
    }

    fn response_trailers(exchange: &mut PlantedExchange, stream: &mut Stream<'_>) -> TrailersFlow {
        exchange.panic_in("response_trailers");
        Filter::response_trailers(&mut exchange.inner, stream)
    }

    fn local_reply(
        exchange: &mut PlantedExchange,
        stream: &mut Stream<'_>,
        status: u32,
        details: &[u8],
    ) -> LocalReplyFlow {
        exchange.panic_in("local_reply");
        Filter::local_reply(&mut exchange.inner, stream, status, details)
    }

    fn scheduled(exchange: &mut PlantedExchange, stream: &mut Stream<'_>, event: u64) {
        exchange.panic_in("scheduled");
        exchange.panic_in("timer");
        if matches!(exchange.command.as_str(), "resume" | "thread") {
            stream.resume_request();
        }
        Filter::scheduled(&mut exchange.inner, stream, event);
    }

    fn stream_complete(exchange: &mut PlantedExchange, stream: &mut Stream<'_>) {
        exchange.panic_in("stream_complete");
        Filter::stream_complete(&mut exchange.inner, stream);
    }
}

impl PlantedExchange {
    fn panic_in(&self, hook: &str) {
        if self.command == hook {
            panic!("planted in {hook}");
        }
        if let Some((kind, of)) = self.command.split_once(" in ")
            && of == hook
        {
            shared_state::ON_LOCK.get_or_init(|| under_a_lock);
            let (kind, count) = match kind.strip_prefix("second ") {
                Some(kind) => (kind, 2),
                None => (kind, 1),
            };
            NEXT_LOCK.set((kind.to_owned(), count));
        }
    }
}

impl Drop for PlantedExchange {
    fn drop(&mut self) {
        self.panic_in("destroy");
    }
}

impl Drop for PlantedConfig {
    fn drop(&mut self) {
        if self.panics_at_end {
            panic!("planted in config_destroy");
        }
    }
}

/// The attempts of this exchange, at the upstream position.
fn attempts(stream: &Stream<'_>) -> u64 {
    let count = stream.number(Attribute::UpstreamRequestAttemptCount);
    count.unwrap_or(0)
}

/// Called where it has just woken somebody, its lock held.
fn in_the_timer_thread() {
    if NEXT_WAKE.swap(false, Ordering::Relaxed) {
        panic!("planted in the timer thread");
    }
}

/// Called where a lock of what is shared has just been taken.
fn under_a_lock(kind: &str) {
    let is_next = NEXT_LOCK.with_borrow_mut(|(wanted, left)| {
        if wanted.is_empty() || !kind.ends_with(wanted.as_str()) {
            return false;
        }
        *left = left.saturating_sub(1);
        *left == 0
    });
    if is_next {
        panic!("planted under the lock of {}", NEXT_LOCK.take().0);
    }
}

/// Wakes a stream from another thread.
fn wake(scheduler: Option<Scheduler>) {
    if let Some(scheduler) = scheduler {
        thread::spawn(move || scheduler.commit(1));
    }
}

/// The same, and the thread panics then.
fn wake_and_panic(scheduler: Option<Scheduler>) {
    if let Some(scheduler) = scheduler {
        thread::spawn(move || {
            guarded("a thread", || {
                scheduler.commit(1);
                panic!("planted in a thread");
            });
        });
    }
}
