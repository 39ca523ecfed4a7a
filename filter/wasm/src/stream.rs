//! One HTTP exchange: Envoy's callbacks in, the engine's actions out.

use std::rc::Rc;

use btp_engine::{Context, Exchange, Flow};

use crate::active_config::ActiveConfig;
use crate::host::WasmHost;

/// An event of the engine. It is called by its address, so that what surrounds
/// all events is in the module once.
type Feed<'a> = &'a mut dyn FnMut(&mut Exchange, &mut Context<'_, WasmHost<'_>>) -> Flow;

/// The context of one exchange.
pub(crate) struct Stream {
    context: u32,
    config: Rc<ActiveConfig>,
    exchange: Exchange,
    /// The exchange waits, and is kept with the timer.
    parked: bool,
}

impl Stream {
    pub(crate) fn new(context: u32, config: Rc<ActiveConfig>) -> Self {
        Self {
            context,
            config,
            exchange: Exchange::default(),
            parked: false,
        }
    }

    pub(crate) fn request_headers(&mut self, end: bool) -> Flow {
        self.event(0, &mut |exchange, cx| exchange.request_headers(cx, end))
    }

    pub(crate) fn request_body(&mut self, size: usize, end: bool) -> Flow {
        let at_hand = u64::try_from(size).unwrap_or(u64::MAX);
        self.event(0, &mut |exchange, cx| {
            exchange.request_body(cx, at_hand, end)
        })
    }

    pub(crate) fn request_trailers(&mut self) -> Flow {
        self.event(0, &mut |exchange, cx| exchange.request_trailers(cx))
    }

    pub(crate) fn response_headers(&mut self, end: bool) -> Flow {
        self.event(0, &mut |exchange, cx| exchange.response_headers(cx, end))
    }

    /// A response ends all waiting: while the exchange waits there is none, and
    /// nothing may be done that would end the wait.
    pub(crate) fn response_body(&mut self, size: usize) -> Flow {
        if self.parked {
            return Flow::Continue;
        }
        self.event(size, &mut |exchange, cx| exchange.response_body(cx))
    }

    pub(crate) fn response_trailers(&mut self) -> Flow {
        if self.parked {
            return Flow::Continue;
        }
        self.event(0, &mut |exchange, cx| exchange.response_trailers(cx))
    }

    pub(crate) fn done(&mut self) {
        let _ = self.event(0, &mut |exchange, cx| {
            exchange.done(cx);
            Flow::Continue
        });
    }

    /// Whether nothing that may still come matters.
    pub(crate) fn is_over(&self) -> bool {
        !self.parked && self.exchange.is_over(&self.config.plan)
    }

    /// Feeds one event to the engine and performs what it decides.
    /// `body_size` is that of the body bytes at hand.
    fn event(&mut self, body_size: usize, feed: Feed<'_>) -> Flow {
        let was_parked = self.unpark();
        let mut out = Vec::new();
        let exchange = &mut self.exchange;
        let flow = self.config.with_context(&mut out, |cx| feed(exchange, cx));
        if let Some(at) = self.config.perform(&mut out, body_size) {
            let exchange = std::mem::take(&mut self.exchange);
            self.config.park(self.context, at, exchange);
            self.parked = true;
        } else if was_parked {
            self.config.forget(self.context);
        }
        flow
    }

    /// Takes the exchange back from the timer, which keeps its deadline.
    fn unpark(&mut self) -> bool {
        let was_parked = std::mem::take(&mut self.parked);
        if was_parked && let Some(exchange) = self.config.unpark(self.context) {
            self.exchange = exchange;
        }
        was_parked
    }
}
