//! The scripted proxy: workers that run configurations, and exchanges under
//! them. It does what the adapter does with what the engine decides: wakes those
//! whose time has come, and forgets exchanges of which nothing matters any more.

use super::admissions::Admissions;
use super::configs::{Compiled, DOWNSTREAM, configs};
use super::shared::Shared;
use super::view::{Facts, View};
use super::visit::{Event, Performed, Visit};
use crate::action::{Action, Flow};
use crate::event as engine;
use crate::exchange::{Context, Exchange};
use crate::host::shared_state::journal::WorkerId;
use crate::plan::Plan;
use crate::response_override::MemoryQuota;
use crate::retry::{self, Ledger};
use crate::scheduler::Scheduler;
use crate::shared::liveness::HEARTBEAT_NS;
use crate::shared::vm_memory::VmMemory;
use crate::worker::Worker;

/// A configuration in a worker.
#[derive(Debug)]
pub(super) struct Root {
    config: usize,
    pub(super) worker: Worker,
}

/// A worker's machine.
#[derive(Debug)]
pub(super) struct Machine {
    /// No other machine of the script has or had it.
    pub(super) serial: u8,
    /// Its number, since it has had an exchange.
    vm: Option<WorkerId>,
    next_heartbeat: u64,
    pub(super) ledger: Ledger,
    pub(super) quota: MemoryQuota,
    /// `None` once it has been replaced and its last exchange is gone.
    pub(super) roots: Vec<Option<Root>>,
    current: usize,
    upstream: usize,
}

/// Who is woken at a time.
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
}

impl Machine {
    fn new(serial: u8) -> Self {
        Self {
            serial,
            vm: None,
            next_heartbeat: 0,
            ledger: Ledger::default(),
            quota: MemoryQuota::default(),
            roots: Vec::new(),
            current: 0,
            upstream: 0,
        }
    }
}

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
        };
        for worker in 0..workers {
            let machine = stage.machine();
            stage.machines.push(machine);
            stage.boot(worker, config);
        }
        stage
    }

    fn machine(&mut self) -> Machine {
        self.serials = self.serials.wrapping_add(1);
        Machine::new(self.serials)
    }

    /// Gives a new machine its configurations.
    fn boot(&mut self, worker: usize, config: usize) {
        let upstream = self.load(worker, DOWNSTREAM);
        let current = self.load(worker, config);
        if let Some(machine) = self.machines.get_mut(worker) {
            (machine.upstream, machine.current) = (upstream, current);
        }
    }

    /// Loads a configuration in a worker: its place there. The worker's others
    /// may be the ones that it replaces.
    fn load(&mut self, worker: usize, config: usize) -> usize {
        let Some(machine) = self.machines.get_mut(worker) else {
            return 0;
        };
        let others = machine.roots.len();
        machine.roots.push(compiled(config).map(|compiled| Root {
            config,
            worker: Worker::new(&compiled.plan).with_quota(&machine.quota),
        }));
        self.act(worker, others, |worker, plan, event| {
            worker.start(plan, event)
        });
        for other in 0..others {
            self.act(worker, other, |worker, plan, event| {
                worker.retire(plan, event)
            });
        }
        others
    }

    /// What a configuration of a machine does of its own accord.
    fn act(
        &mut self,
        machine: usize,
        root: usize,
        act: impl FnOnce(&mut Worker, &Plan, &mut engine::Event<'_, View<'_>>),
    ) {
        let sleeper = Sleeper::Worker { machine, root };
        let Some(machine) = self.machines.get_mut(machine) else {
            return;
        };
        let Some(Some(root)) = machine.roots.get_mut(root) else {
            return;
        };
        let Some(config) = compiled(root.config) else {
            return;
        };
        let mut out = Vec::new();
        let host = &mut View {
            shared: &self.shared,
            config,
            facts: &Facts::default(),
            random: &mut self.random,
            serial: machine.serial,
            vm: machine.vm,
            responds: false,
        };
        let event = &mut engine::Event::new(host, &mut out);
        act(&mut root.worker, &config.plan, event);
        account(&self.shared, config, &of_worker(out));
        self.scheduler.set(sleeper, root.worker.wakes_at());
    }

    /// An exchange begins: its number.
    pub(super) fn begin(&mut self, worker: usize, upstream: bool, facts: Facts) -> usize {
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

    /// The worker's own timer comes, to one of its configurations.
    fn tick(&mut self, machine: usize, root: usize) {
        self.events += 1;
        self.act(machine, root, |worker, plan, event| {
            worker.tick(plan, event)
        });
    }

    /// It comes to all of them, for nothing.
    pub(super) fn tick_all(&mut self, machine: usize) {
        let roots = self.machines.get(machine).map_or(0, |it| it.roots.len());
        (0..roots).for_each(|root| self.tick(machine, root));
    }

    /// A machine gives a sign of life, and takes over what the dead have left.
    fn beat(&mut self, worker: usize) {
        let Some(machine) = self.machines.get_mut(worker) else {
            return;
        };
        let own = VmMemory {
            id: u64::from(machine.serial) + 1,
            bytes: 0,
        };
        let now = self.shared.now_ns.get();
        let seen = self.shared.vms.borrow_mut().beat(own, now);
        machine.next_heartbeat = now.saturating_add(HEARTBEAT_NS);
        machine.vm = seen.number.map(|number| WorkerId { number, id: own.id });
        for dead in seen.dead {
            retry::recover(dead, &self.shared);
        }
    }

    /// The earliest time at which somebody is to be woken.
    pub(super) fn earliest(&self) -> Option<u64> {
        self.scheduler.earliest()
    }

    /// A worker gets another configuration.
    pub(super) fn update(&mut self, worker: usize, config: usize) {
        let Some(machine) = self.machines.get(worker) else {
            return;
        };
        let upstream = config == DOWNSTREAM;
        let old = if upstream {
            machine.upstream
        } else {
            machine.current
        };
        let new = self.load(worker, config);
        if let Some(machine) = self.machines.get_mut(worker) {
            let place = if upstream {
                &mut machine.upstream
            } else {
                &mut machine.current
            };
            *place = new;
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
        self.act(worker, root, |worker, plan, event| {
            worker.retire(plan, event)
        });
        let machine = self.machines.get_mut(worker);
        if let Some(place) = machine.and_then(|it| it.roots.get_mut(root)) {
            *place = None;
        }
        self.forget_root(worker, root);
    }

    fn forget_root(&mut self, machine: usize, root: usize) {
        self.scheduler.set(Sleeper::Worker { machine, root }, None);
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
        let new = self.machine();
        let Some(machine) = self.machines.get_mut(worker) else {
            return;
        };
        let dead = std::mem::replace(machine, new);
        for root in 0..dead.roots.len() {
            self.forget_root(worker, root);
        }
        for (number, place) in self.visits.iter_mut().enumerate() {
            if place.take_if(|visit| visit.worker == worker).is_some() {
                self.scheduler.set(Sleeper::Visit(number), None);
            }
        }
        self.boot(worker, config);
    }
}

/// What a worker decides of its own: it counts.
fn of_worker(out: Vec<Action>) -> Performed {
    let mut performed = Performed::default();
    for action in out {
        match action {
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
