//! Hosts to test the engine with: a fake one with a fake clock, a proxy in
//! memory that performs the actions, and a native one with real threads.

mod accounts;
mod cells;
mod fake_host;
mod message;
mod proxy;
mod router;
mod script;
#[cfg(not(target_arch = "wasm32"))]
mod threads;
mod upstream;

use crate::action::Action;
use crate::exchange::Context;
use crate::host::Host;
use crate::plan::Plan;
use crate::retry::Ledger;
use crate::worker::Worker;

pub use accounts::SharedAccounts;
pub use cells::SharedCells;
pub use fake_host::FakeHost;
pub use message::Message;
pub use proxy::{Outcome, Proxy};
pub use script::{Played, play, random_script};
#[cfg(not(target_arch = "wasm32"))]
pub use threads::{ThreadedHost, WorkerHost};
pub use upstream::demo_upstream;

/// Feeds an event to an exchange without a retry budget.
pub fn feed<H: Host, R>(
    plan: &Plan,
    worker: &mut Worker,
    host: &mut H,
    out: &mut Vec<Action>,
    event: impl FnOnce(&mut Context<'_, H>) -> R,
) -> R {
    let ledger = &mut Ledger::default();
    event(&mut Context::new(plan, worker, ledger, host, out))
}
