//! The scripted proxy: workers that run configurations, and exchanges under
//! them. It does what the adapter does with what the engine decides: keeps
//! deadlines, wakes, and forgets exchanges of which nothing matters any more.

use super::admissions::Admissions;
use super::configs::{Compiled, DOWNSTREAM, configs};
use super::shared::Shared;
use super::view::{Facts, View};
use super::visit::{Event, Performed, Visit};
use crate::action::{Action, Flow};
use crate::exchange::Exchange;
use crate::quota::MemoryQuota;
use crate::retry::Ledger;
use crate::worker::Worker;

/// A configuration in a worker.
#[derive(Debug)]
pub(super) struct Root {
    config: usize,
    pub(super) worker: Worker,
    pub(super) wake: Option<u64>,
}

/// A worker's machine.
#[derive(Debug)]
pub(super) struct Machine {
    /// No other machine of the script has or had it.
    pub(super) serial: u8,
    pub(super) ledger: Ledger,
    pub(super) quota: MemoryQuota,
    /// `None` once it has been replaced and its last exchange is gone.
    pub(super) roots: Vec<Option<Root>>,
    current: usize,
    upstream: usize,
}

/// The proxy.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) shared: Shared,
    pub(super) machines: Vec<Machine>,
    /// Exchanges; `None` once they are over.
    pub(super) visits: Vec<Option<Visit>>,
    /// Serials of the machines that died, and how many exchanges with them.
    pub(super) dead: Vec<u8>,
    pub(super) lost: u64,
    pub(super) admissions: Admissions,
    /// Events that come for the next exchange after its end.
    pub(super) late: Vec<Event>,
    /// Events that reached the engine.
    pub(super) events: u64,
    random: u64,
    serials: u8,
}

impl Machine {
    fn new(serial: u8, config: usize) -> Self {
        let mut machine = Self {
            serial,
            ledger: Ledger::default(),
            quota: MemoryQuota::default(),
            roots: Vec::new(),
            current: 0,
            upstream: 0,
        };
        machine.upstream = machine.load(DOWNSTREAM);
        machine.current = machine.load(config);
        machine
    }

    fn load(&mut self, config: usize) -> usize {
        let root = compiled(config).map(|compiled| Root {
            config,
            worker: compiled.plan.worker().with_quota(&self.quota),
            wake: None,
        });
        self.roots.push(root);
        self.roots.len() - 1
    }
}

fn compiled(config: usize) -> Option<&'static Compiled> {
    configs().compiled.get(config)
}

impl Stage {
    pub(super) fn new(workers: usize, config: usize, random: u64) -> Self {
        let all = configs();
        let sizes = [&all.counters, &all.gauges, &all.tables, &all.blocks].map(Vec::len);
        let shared = Shared::new(sizes);
        shared.now_ns.set(1_000_000_000_000);
        shared.wall_ms.set(1_795_249_815_123);
        let mut stage = Self {
            shared,
            machines: Vec::new(),
            visits: Vec::new(),
            dead: Vec::new(),
            lost: 0,
            admissions: Admissions::default(),
            late: Vec::new(),
            events: 0,
            random,
            serials: 0,
        };
        for _ in 0..workers {
            let machine = stage.machine(config);
            stage.machines.push(machine);
        }
        stage
    }

    fn machine(&mut self, config: usize) -> Machine {
        self.serials = self.serials.wrapping_add(1);
        Machine::new(self.serials, config)
    }

    /// An exchange begins: its number.
    pub(super) fn begin(&mut self, worker: usize, upstream: bool, facts: Facts) -> usize {
        let machine = self.machines.get(worker);
        let root = machine.map_or(0, |it| if upstream { it.upstream } else { it.current });
        self.visits.push(Some(Visit {
            worker,
            root,
            exchange: Some(Exchange::default()),
            facts,
            wake: None,
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
        let over = self.feed_to(&mut visit, event);
        for late in std::mem::take(&mut self.late)
            .into_iter()
            .filter(|_| event == Event::Done)
        {
            visit.is_done = true;
            self.feed_to(&mut visit, late);
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
    fn feed_to(&mut self, visit: &mut Visit, event: Event) -> bool {
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
        // There is no response to a request that waits.
        if visit.wake.is_some() && matches!(event, Event::ResponseBody | Event::ResponseTrailers) {
            return false;
        }
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
            ledger: &mut machine.ledger,
            random: &mut self.random,
            serial: machine.serial,
            responds: matches!(event, Event::ResponseHeaders { .. }),
        };
        let flow = match event {
            Event::RequestHeaders { end } => {
                exchange.request_headers(plan, worker, host, end, &mut out)
            }
            Event::RequestBody { at_hand, end } => {
                exchange.request_body(plan, worker, host, (at_hand, end), &mut out)
            }
            Event::RequestTrailers => exchange.request_trailers(plan, worker, host, &mut out),
            Event::Timer => exchange.timer(plan, worker, host, &mut out),
            Event::ResponseHeaders { end } => {
                exchange.response_headers(plan, worker, host, end, &mut out)
            }
            Event::ResponseBody => exchange.response_body(&mut out),
            Event::ResponseTrailers => exchange.response_trailers(&mut out),
            Event::Done => {
                exchange.done(plan, worker, host, &mut out);
                Flow::Continue
            }
        };
        let performed = visit.perform(event, flow, out, &self.shared);
        if let Event::ResponseHeaders { .. } = event {
            visit.responding = true;
        }
        visit.wake = performed.wake;
        if event != Event::Done && !visit.is_done {
            visit.check_not_stuck();
        }
        let over = visit.wake.is_none()
            && (visit.exchange.as_ref()).is_some_and(|exchange| exchange.is_over(plan));
        let user = &visit.facts.request;
        self.admissions.note(config, &performed.counted, user);
        let root_wake = performed.wake_worker;
        account(&self.shared, config, &performed);
        root.wake = root_wake.or(root.wake);
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
        for number in 0..self.visits.len() {
            let visit = self.visits.get_mut(number).and_then(Option::as_mut);
            if let Some(visit) = visit.filter(|visit| visit.wake.is_some_and(|at| at <= now)) {
                visit.wake = None;
                self.feed(number, Event::Timer);
            }
        }
        for worker in 0..self.machines.len() {
            self.tick(worker, |root| root.wake.is_some_and(|at| at <= now));
        }
    }

    /// The worker's own timer comes, to those configurations.
    pub(super) fn tick(&mut self, worker: usize, is_due: impl Fn(&Root) -> bool) {
        let Some(machine) = self.machines.get_mut(worker) else {
            return;
        };
        for root in machine.roots.iter_mut().flatten() {
            let Some(config) = compiled(root.config).filter(|_| is_due(root)) else {
                continue;
            };
            root.wake = None;
            let mut out = Vec::new();
            let host = &mut View {
                shared: &self.shared,
                config,
                facts: &Facts::default(),
                ledger: &mut machine.ledger,
                random: &mut self.random,
                serial: machine.serial,
                responds: false,
            };
            root.worker.tick(&config.plan, host, &mut out);
            self.events += 1;
            let performed = of_worker(out);
            account(&self.shared, config, &performed);
            root.wake = performed.wake_worker;
        }
    }

    /// The earliest time at which somebody is to be woken.
    pub(super) fn earliest(&self) -> Option<u64> {
        let visits = self.visits.iter().flatten().filter_map(|visit| visit.wake);
        let roots = self.machines.iter().flat_map(|it| &it.roots).flatten();
        visits.chain(roots.filter_map(|root| root.wake)).min()
    }

    /// A worker gets another configuration.
    pub(super) fn update(&mut self, worker: usize, config: usize) {
        let Some(machine) = self.machines.get_mut(worker) else {
            return;
        };
        let (old, upstream) = if config == DOWNSTREAM {
            (machine.upstream, true)
        } else {
            (machine.current, false)
        };
        let new = machine.load(config);
        if upstream {
            machine.upstream = new;
        } else {
            machine.current = new;
        }
        self.retire(worker, old);
    }

    /// A configuration goes if it is not the worker's own any more and its
    /// last exchange is gone.
    fn retire(&mut self, worker: usize, root: usize) {
        let Some(machine) = self.machines.get_mut(worker) else {
            return;
        };
        let lives = [machine.current, machine.upstream].contains(&root);
        let mut visits = self.visits.iter().flatten();
        if lives || visits.any(|visit| (visit.worker, visit.root) == (worker, root)) {
            return;
        }
        let Some(Some(root)) = machine.roots.get_mut(root).map(Option::take) else {
            return;
        };
        let Some(config) = compiled(root.config) else {
            return;
        };
        let mut root = root;
        let mut out = Vec::new();
        let host = &mut View {
            shared: &self.shared,
            config,
            facts: &Facts::default(),
            ledger: &mut machine.ledger,
            random: &mut self.random,
            serial: machine.serial,
            responds: false,
        };
        root.worker.tick(&config.plan, host, &mut out);
        account(&self.shared, config, &of_worker(out));
    }

    /// The sum of all counters whose name ends like this.
    pub(super) fn counted(&self, ending: &str) -> u64 {
        let counters = self.shared.counters.borrow();
        let named = configs().counters.iter().zip(counters.iter());
        let named = named.filter(|(name, _)| name.ends_with(ending));
        named.map(|(_, count)| count).sum()
    }

    /// A worker's machine dies, and all its exchanges with it; there is a new
    /// one at once.
    pub(super) fn kill(&mut self, worker: usize, config: usize) {
        let new = self.machine(config);
        let Some(machine) = self.machines.get_mut(worker) else {
            return;
        };
        let old = std::mem::replace(machine, new);
        self.dead.push(old.serial);
        for place in &mut self.visits {
            if place.as_ref().is_some_and(|visit| visit.worker == worker) {
                *place = None;
                self.lost += 1;
            }
        }
    }
}

/// What a worker decides of its own: it counts, and asks to be woken.
fn of_worker(out: Vec<Action>) -> Performed {
    let mut performed = Performed::default();
    for action in out {
        match action {
            Action::WakeWorkerAt(at) => performed.wake_worker = Some(at),
            Action::Adjust(gauge, by) => performed.adjusted.push((gauge.0, by)),
            other => assert!(matches!(other, Action::Count(_)), "{other:?} of a worker"),
        }
    }
    performed
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
