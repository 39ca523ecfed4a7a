//! One HTTP exchange: Envoy's callbacks in, the engine's actions out.

use std::rc::Rc;

use btp_engine::{Context, Exchange, Flow};

use crate::abi;
use crate::active_config::ActiveConfig;
use crate::held_body::HeldBody;
use crate::host::WasmHost;
use crate::timer::Sleeper;

/// An event of the engine. It is called by its address, so that what surrounds
/// all events is in the module once.
type Feed<'a> = &'a mut dyn FnMut(&mut Exchange, &mut Context<'_, WasmHost<'_>>) -> Flow;

/// The context of one exchange.
pub(crate) struct Stream {
    context: u32,
    config: Rc<ActiveConfig>,
    exchange: Exchange,
    body: HeldBody,
    /// The timer has a deadline of it.
    sleeps: bool,
}

impl Stream {
    // It is large, and else copied on its way to where it stays.
    #[inline(always)]
    pub(crate) fn new(context: u32, config: Rc<ActiveConfig>) -> Self {
        Self {
            context,
            config,
            exchange: Exchange::default(),
            body: HeldBody::default(),
            sleeps: false,
        }
    }

    pub(crate) fn request_headers(&mut self, end: bool) -> Flow {
        let flow = self.event(0, &mut |exchange, cx| exchange.request_headers(cx, end));
        self.body.hold(flow, 0);
        flow
    }

    pub(crate) fn request_body(&mut self, size: usize, end: bool) -> Flow {
        let received = self.body.receive(size, &self.config.held_bodies);
        let flow = self.event(0, &mut |exchange, cx| {
            exchange.request_body(cx, received, end)
        });
        self.body.hold(flow, size);
        flow
    }

    pub(crate) fn request_trailers(&mut self) -> Flow {
        self.body.receive(0, &self.config.held_bodies);
        self.event(0, &mut |exchange, cx| exchange.request_trailers(cx))
    }

    pub(crate) fn response_headers(&mut self, end: bool) -> Flow {
        self.event(0, &mut |exchange, cx| exchange.response_headers(cx, end))
    }

    pub(crate) fn response_body(&mut self, size: usize) -> Flow {
        self.event(size, &mut |exchange, cx| exchange.response_body(cx))
    }

    pub(crate) fn response_trailers(&mut self) -> Flow {
        self.event(0, &mut |exchange, cx| exchange.response_trailers(cx))
    }

    /// The timer has come for it: makes it the one that hostcalls are about.
    pub(crate) fn timer(&mut self) {
        if abi::set_effective_context(self.context).is_err() {
            self.done();
            return;
        }
        let mut flow = self.event(0, &mut |exchange, cx| exchange.timer(cx));
        if let Some(refused) = self.refuse_if_unseen() {
            flow = refused;
        }
        if flow == Flow::Continue
            && let Err(refused) = abi::continue_request()
        {
            log::error!("a request cannot go on: {refused:?}");
        }
    }

    pub(crate) fn done(&mut self) {
        let _ = self.event(0, &mut |exchange, cx| {
            exchange.done(cx);
            Flow::Continue
        });
    }

    /// Whether nothing that may still come matters.
    pub(crate) fn is_over(&self) -> bool {
        self.exchange.is_over(&self.config.plan)
    }

    /// Answers a request whose body Envoy does not seem to show.
    fn refuse_if_unseen(&mut self) -> Option<Flow> {
        let config = Rc::clone(&self.config);
        let at = config
            .held_bodies
            .given_up_at(&self.exchange, &config.plan)?;
        let now = abi::monotonic_ns();
        if now < at {
            return None;
        }
        let awaited = self.exchange.awaited_body(&config.plan)?;
        let reply = config.held_bodies.give_up(awaited.policy, now);
        Some(self.event(0, &mut |exchange, cx| exchange.refuse(cx, &reply)))
    }

    /// Feeds one event to the engine, performs its actions, and sets the timer for the time
    /// at which the exchange must be woken. `body_size` is the number of body bytes in this
    /// callback.
    fn event(&mut self, body_size: usize, feed: Feed<'_>) -> Flow {
        let exchange = &mut self.exchange;
        let flow = self.config.feed(body_size, |cx| feed(exchange, cx));
        let given_up_at = self
            .config
            .held_bodies
            .given_up_at(exchange, &self.config.plan);
        let times = [exchange.wakes_at(), given_up_at];
        let wakes_at = times.into_iter().flatten().min();
        // After a wait the deadline has to go.
        if wakes_at.is_some() || self.sleeps {
            let sleeper = Sleeper::Exchange(self.context);
            self.config.timer.set(sleeper, wakes_at);
        }
        self.sleeps = wakes_at.is_some();
        flow
    }
}
