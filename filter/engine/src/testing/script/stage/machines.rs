//! The proxy's machines: which configurations each runs, what these do of their own
//! accord, and how a machine dies.

use super::super::configs::DOWNSTREAM;
use super::super::view::{Facts, View};
use super::super::visit::Performed;
use super::{Sleeper, Stage, account, compiled};
use crate::action::Action;
use crate::event as engine;
use crate::host::shared_state::journal::WorkerId;
use crate::plan::Plan;
use crate::response_override::MemoryQuota;
use crate::retry::{self, Ledger};
use crate::shared::liveness::HEARTBEAT_NS;
use crate::shared::vm_memory::VmMemory;
use crate::worker::Worker;

/// A configuration in a worker.
#[derive(Debug)]
pub(in crate::testing::script) struct Root {
    pub(super) config: usize,
    pub(in crate::testing::script) worker: Worker,
}

/// A worker's machine.
#[derive(Debug)]
pub(in crate::testing::script) struct Machine {
    /// No other machine of the script has or had it.
    pub(in crate::testing::script) serial: u8,
    /// Its number, since it has had an exchange.
    pub(super) vm: Option<WorkerId>,
    pub(super) next_heartbeat: u64,
    pub(in crate::testing::script) ledger: Ledger,
    pub(in crate::testing::script) quota: MemoryQuota,
    /// `None` once it has been replaced and its last exchange is gone.
    pub(in crate::testing::script) roots: Vec<Option<Root>>,
    pub(super) current: usize,
    pub(super) upstream: usize,
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

impl Stage {
    /// The worker's tick comes to all configurations, for nothing.
    pub(in crate::testing::script) fn tick_all(&mut self, machine: usize) {
        let roots = self.machines.get(machine).map_or(0, |it| it.roots.len());
        (0..roots).for_each(|root| self.tick(machine, root));
    }

    /// A worker gets another configuration.
    pub(in crate::testing::script) fn update(&mut self, worker: usize, config: usize) {
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

    /// A worker's machine dies, and all its exchanges with it; there is a new
    /// one at once.
    pub(in crate::testing::script) fn kill(&mut self, worker: usize, config: usize) {
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

    pub(super) fn machine(&mut self) -> Machine {
        self.serials = self.serials.wrapping_add(1);
        Machine::new(self.serials)
    }

    /// Gives a new machine its configurations.
    pub(super) fn boot(&mut self, worker: usize, config: usize) {
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

    /// Runs the chores of a configuration of a machine.
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

    /// The worker's own timer comes, to one of its configurations.
    pub(super) fn tick(&mut self, machine: usize, root: usize) {
        self.events += 1;
        self.act(machine, root, |worker, plan, event| {
            worker.tick(plan, event)
        });
    }

    /// A machine gives a sign of life, and takes over what the dead have left.
    pub(super) fn beat(&mut self, worker: usize) {
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

    /// A configuration goes if it is not the worker's own any more and its
    /// last exchange is gone.
    pub(super) fn retire(&mut self, worker: usize, root: usize) {
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
