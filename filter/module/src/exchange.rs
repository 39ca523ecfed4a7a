//! One HTTP exchange: Envoy's hooks in, the engine's actions out.

use std::sync::Arc;

use btp_engine::{Action, Exchange, Flow};

use crate::abi::{Body, BodyFlow, HeadersFlow, Stream, TrailersFlow};
use crate::beginning::Beginning;
use crate::filter_config::FilterConfig;
use crate::timer::Wake;
use crate::worker::{Feed, Hook, Outcome};

/// What is kept of an exchange, on its worker.
pub(crate) struct HttpExchange {
    config: Arc<FilterConfig>,
    exchange: Exchange,
    /// What it has decided and is not performed yet: nothing between two hooks.
    undone: Vec<Action>,
    /// When it must be woken, and how to cancel that.
    wake: Option<(u64, Wake)>,
    beginning: Beginning,
    /// No further event matters, not even the last.
    is_over: bool,
}

impl HttpExchange {
    #[inline(always)]
    pub(crate) fn new(config: &Arc<FilterConfig>) -> Self {
        Self {
            config: Arc::clone(config),
            exchange: Exchange::default(),
            undone: Vec::new(),
            wake: None,
            beginning: Beginning::now(config),
            is_over: false,
        }
    }

    pub(crate) fn request_headers(&mut self, stream: &mut Stream<'_>, end: bool) -> HeadersFlow {
        headers_flow(self.event(stream, &mut |it, cx| it.request_headers(cx, end)))
    }

    pub(crate) fn request_body(&mut self, stream: &mut Stream<'_>, end: bool) -> BodyFlow {
        if self.is_over {
            return BodyFlow::Continue;
        }
        let received = u64::try_from(stream.body_size(Body::ReceivedRequest)).unwrap_or(u64::MAX);
        body_flow(self.event(stream, &mut |it, cx| it.request_body(cx, received, end)))
    }

    pub(crate) fn request_trailers(&mut self, stream: &mut Stream<'_>) -> TrailersFlow {
        trailers_flow(self.event(stream, &mut |it, cx| it.request_trailers(cx)))
    }

    pub(crate) fn response_headers(&mut self, stream: &mut Stream<'_>, end: bool) -> HeadersFlow {
        headers_flow(self.event(stream, &mut |it, cx| it.response_headers(cx, end)))
    }

    pub(crate) fn response_body(&mut self, stream: &mut Stream<'_>) -> BodyFlow {
        body_flow(self.event(stream, &mut |it, cx| it.response_body(cx)))
    }

    pub(crate) fn response_trailers(&mut self, stream: &mut Stream<'_>) -> TrailersFlow {
        trailers_flow(self.event(stream, &mut |it, cx| it.response_trailers(cx)))
    }

    /// The timer has come. It may have been set for a time that has changed meanwhile: the
    /// engine uses its clock.
    pub(crate) fn timer(&mut self, stream: &mut Stream<'_>) {
        self.wake = None;
        let is_due = self.exchange.wakes_at().is_some();
        let flow = self.event(stream, &mut |it, cx| it.timer(cx));
        if is_due && flow == Flow::Continue {
            stream.resume_request();
        }
    }

    pub(crate) fn done(&mut self, stream: &mut Stream<'_>) {
        let _ = self.event(stream, &mut |it, cx| {
            it.done(cx);
            Flow::Continue
        });
        self.wake = None;
        self.is_over = true;
    }

    /// Feeds one event to the engine, performs its actions, and sets the timer for the time
    /// at which the exchange must be woken.
    fn event(&mut self, stream: &mut Stream<'_>, event: Feed<'_>) -> Flow {
        if self.is_over {
            return Flow::Continue;
        }
        let hook = Hook {
            config: &self.config,
            stream: Some(stream),
            beginning: &mut self.beginning,
        };
        let Outcome { flow, is_over } = hook.feed(&mut self.exchange, &mut self.undone, event);
        self.is_over = is_over;
        let wakes_at = self.exchange.wakes_at();
        if self.wake.as_ref().map(|(at, _)| *at) != wakes_at {
            self.wake = wakes_at.and_then(|at| {
                let wake = stream.scheduler().and_then(|it| Wake::at(at, it));
                Some((at, wake?))
            });
        }
        flow
    }
}

/// After a panic nothing more is fed to it, and at the upstream position Envoy does not
/// say that it is over; what it holds of what all share must not stay away.
impl Drop for HttpExchange {
    fn drop(&mut self) {
        if !self.is_over {
            self.is_over = true;
            let hook = Hook {
                config: &self.config,
                stream: None,
                beginning: &mut self.beginning,
            };
            let _ = hook.feed(&mut self.exchange, &mut self.undone, &mut |it, cx| {
                it.done(cx);
                Flow::Continue
            });
        }
    }
}

fn headers_flow(flow: Flow) -> HeadersFlow {
    match flow {
        Flow::Continue => HeadersFlow::Continue,
        Flow::HoldAll => HeadersFlow::StopAllAndWatermark,
        // The body comes, and is held by its own hook.
        Flow::HoldHeaders | Flow::Stop => HeadersFlow::StopIteration,
    }
}

fn body_flow(flow: Flow) -> BodyFlow {
    match flow {
        Flow::Continue => BodyFlow::Continue,
        Flow::HoldAll => BodyFlow::StopAndWatermark,
        Flow::HoldHeaders => BodyFlow::StopAndBuffer,
        // There is an answer: what still comes goes nowhere.
        Flow::Stop => BodyFlow::StopNoBuffer,
    }
}

fn trailers_flow(flow: Flow) -> TrailersFlow {
    match flow {
        Flow::Continue => TrailersFlow::Continue,
        Flow::HoldAll | Flow::HoldHeaders | Flow::Stop => TrailersFlow::Stop,
    }
}
