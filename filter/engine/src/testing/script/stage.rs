//! The scripted proxy: workers that run configurations, and exchanges under
//! them. It does what the adapter does with what the engine decides: wakes those
//! whose time has come, and forgets exchanges of which nothing matters any more.

mod machines;

use super::admissions::Admissions;
use super::configs::{Compiled, configs};
use super::shared::Shared;
use super::view::{Facts, View};
use super::visit::{Event, Performed, Visit};
use crate::action::Flow;
use crate::exchange::{Context, Exchange};
use crate::retry;
use crate::scheduler::Scheduler;

use machines::Machine;

/// A sleeper of the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Sleeper {
    Visit(usize),
    /// The worker of a root of a machine.
    Worker {
        machine: usize,
        root: usize,
    },
}

/// The proxy.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) shared: Shared,
    pub(super) machines: Vec<Machine>,
    /// Exchanges; `None` once they are over.
    pub(super) visits: Vec<Option<Visit>>,
    scheduler: Scheduler<Sleeper>,
    pub(super) admissions: Admissions,
    /// Events that come for the next exchange after its end.
    pub(super) late: Vec<Event>,
    /// Events that reached the engine.
    pub(super) events: u64,
    random: u64,
    serials: u8,
    /// Requests of clients that have begun.
    begun: u64,
}

const START_NS: u64 = 1_795_249_815_123_000_000;

fn compiled(config: usize) -> Option<&'static Compiled> {
    configs().compiled.get(config)
}

impl Stage {
    pub(super) fn new(workers: usize, config: usize, random: u64) -> Self {
        let all = configs();
        let shared = Shared::new(all.counters.len(), all.gauges.len());
        shared.now_ns.set(1_000_000_000_000);
        shared.wall_ms.set(1_795_249_815_123);
        let mut stage = Self {
            shared,
            machines: Vec::new(),
            visits: Vec::new(),
            scheduler: Scheduler::default(),
            admissions: Admissions::default(),
            late: Vec::new(),
            events: 0,
            random,
            serials: 0,
            begun: 0,
        };
        for worker in 0..workers {
            let machine = stage.machine();
            stage.machines.push(machine);
            stage.boot(worker, config);
        }
        stage
    }

    /// An exchange begins: its number.
    pub(super) fn begin(&mut self, worker: usize, upstream: bool, mut facts: Facts) -> usize {
        // No two requests begin at the same time, but what Envoy begins anew has begun.
        if facts.started_ns == 0 {
            self.begun += 1;
            facts.started_ns = START_NS + self.begun;
        }
        if self.machines.get(worker).is_some_and(|it| it.vm.is_none()) {
            self.beat(worker);
        }
        let machine = self.machines.get(worker);
        let root = machine.map_or(0, |it| if upstream { it.upstream } else { it.current });
        self.visits.push(Some(Visit {
            worker,
            root,
            exchange: Some(Exchange::default()),
            facts,
            flow: Flow::Continue,
            complete: false,
            responding: false,
            stopped: false,
            is_done: false,
        }));
        self.visits.len() - 1
    }

    /// Feeds one event to an exchange, if there still is one.
    pub(super) fn feed(&mut self, number: usize, event: Event) {
        let Some(mut visit) = self.visits.get_mut(number).and_then(Option::take) else {
            return;
        };
        let over = self.feed_to(number, &mut visit, event);
        for late in std::mem::take(&mut self.late)
            .into_iter()
            .filter(|_| event == Event::Done)
        {
            visit.is_done = true;
            self.feed_to(number, &mut visit, late);
        }
        if !over && event != Event::Done {
            if let Some(place) = self.visits.get_mut(number) {
                *place = Some(visit);
            }
            return;
        }
        self.retire(visit.worker, visit.root);
    }

    /// Whether nothing of it matters any more.
    fn feed_to(&mut self, number: usize, visit: &mut Visit, event: Event) -> bool {
        let Some(machine) = self.machines.get_mut(visit.worker) else {
            return false;
        };
        let root = machine.roots.get_mut(visit.root).and_then(Option::as_mut);
        let Some((root, exchange)) = root.zip(visit.exchange.as_mut()) else {
            return false;
        };
        let Some(config) = compiled(root.config) else {
            return false;
        };
        self.events += 1;
        match event {
            Event::RequestHeaders { end } | Event::RequestBody { end, .. } => visit.complete |= end,
            Event::RequestTrailers => visit.complete = true,
            _ => {}
        }
        let plan = &config.plan;
        let worker = &mut root.worker;
        let mut out = Vec::new();
        let host = &mut View {
            shared: &self.shared,
            config,
            facts: &visit.facts,
            random: &mut self.random,
            serial: machine.serial,
            vm: machine.vm,
            responds: matches!(event, Event::ResponseHeaders { .. }),
        };
        let cx = &mut Context::new(plan, worker, &mut machine.ledger, host, &mut out);
        let flow = match event {
            Event::RequestHeaders { end } => exchange.request_headers(cx, end),
            Event::RequestBody { received, end } => exchange.request_body(cx, received, end),
            Event::RequestTrailers => exchange.request_trailers(cx),
            Event::Timer => exchange.timer(cx),
            Event::ResponseHeaders { end } => exchange.response_headers(cx, end),
            Event::ResponseBody => exchange.response_body(cx),
            Event::ResponseTrailers => exchange.response_trailers(cx),
            Event::Done => {
                exchange.done(cx);
                Flow::Continue
            }
        };
        let performed = visit.perform(event, flow, out);
        if let Event::ResponseHeaders { .. } = event {
            visit.responding = true;
        }
        visit.check_wake(event, self.shared.now_ns.get());
        if event != Event::Done && !visit.is_done {
            visit.check_not_stuck();
        }
        let over = (visit.exchange.as_ref()).is_some_and(|exchange| exchange.is_over(plan));
        let user = &visit.facts.request;
        self.admissions.note(config, &performed.counted, user);
        account(&self.shared, config, &performed);
        let of_worker = Sleeper::Worker {
            machine: visit.worker,
            root: visit.root,
        };
        self.scheduler.set(of_worker, root.worker.wakes_at());
        self.scheduler.set(Sleeper::Visit(number), visit.wakes_at());
        over
    }

    /// Moves the clock, and wakes those whose time has come.
    pub(super) fn advance(&mut self, nanos: u64) {
        let now = self.shared.now_ns.get().saturating_add(nanos);
        self.shared.now_ns.set(now);
        let wall = self.shared.wall_ms.get();
        self.shared
            .wall_ms
            .set(wall.wrapping_add(nanos / 1_000_000));
        for worker in 0..self.machines.len() {
            let machine = self.machines.get(worker);
            if machine.is_some_and(|it| it.vm.is_some() && it.next_heartbeat <= now) {
                self.beat(worker);
            }
        }
        // The proxy's main thread, which has a machine without exchanges.
        let seen = self.shared.vms.borrow_mut().look(now);
        for dead in seen.into_iter().flat_map(|it| it.dead) {
            retry::recover(dead, &self.shared);
        }
        while let Some(sleeper) = self.scheduler.next_due(now) {
            match sleeper {
                Sleeper::Visit(number) => self.feed(number, Event::Timer),
                Sleeper::Worker { machine, root } => self.tick(machine, root),
            }
        }
    }

    /// The earliest time at which a sleeper must be woken.
    pub(super) fn earliest(&self) -> Option<u64> {
        self.scheduler.earliest()
    }

    /// The sum of all counters whose name ends like this.
    pub(super) fn counted(&self, ending: &str) -> u64 {
        let counters = self.shared.counters.borrow();
        let named = configs().counters.iter().zip(counters.iter());
        let named = named.filter(|(name, _)| name.ends_with(ending));
        named.map(|(_, count)| count).sum()
    }
}

/// Writes down what was counted.
fn account(shared: &Shared, config: &Compiled, performed: &Performed) {
    for counter in &performed.counted {
        let place = config.counters.get(*counter as usize);
        shared.count(place.copied().unwrap_or(usize::MAX), 1);
    }
    let mut gauges = shared.gauges.borrow_mut();
    for (gauge, by) in &performed.adjusted {
        let place = config.gauges.get(*gauge as usize).copied();
        if let Some(level) = place.and_then(|place| gauges.get_mut(place)) {
            *level += by;
        }
    }
}
