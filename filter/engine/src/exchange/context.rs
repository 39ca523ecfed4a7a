//! What handles the events of an exchange: plan, worker, ledger and host.

use crate::action::Action;
use crate::event::Event;
use crate::host::Host;
use crate::plan::Plan;
use crate::retry::Ledger;
use crate::worker::Worker;

/// The plan of an exchange, the worker that it belongs to, and the event at
/// hand. An adapter makes one for each event.
#[derive(Debug)]
pub struct Context<'a, H> {
    pub(crate) plan: &'a Plan,
    /// What the worker remembers under this plan.
    pub(crate) worker: &'a mut Worker,
    /// What it remembers of retries, under all plans.
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) event: Event<'a, H>,
}

impl<'a, H: Host> Context<'a, H> {
    /// An event of this host; what it leads to is added to `out`.
    pub fn new(
        plan: &'a Plan,
        worker: &'a mut Worker,
        ledger: &'a mut Ledger,
        host: &'a mut H,
        out: &'a mut Vec<Action>,
    ) -> Self {
        Self {
            plan,
            worker,
            ledger,
            event: Event::new(host, out).logged_as(plan.logged()),
        }
    }
}
