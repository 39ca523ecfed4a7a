//! Hosts to test the engine with: a fake one with a fake clock, a proxy in
//! memory that performs the actions, and a native one with real threads.

mod fake_host;
mod meters;
mod proxy;
mod router;
mod script;
#[cfg(not(target_arch = "wasm32"))]
mod threads;
mod upstream;

pub use fake_host::FakeHost;
pub use meters::SharedMeters;
pub use proxy::{Message, Outcome, Proxy};
pub use script::{Played, play, random_script};
#[cfg(not(target_arch = "wasm32"))]
pub use threads::{ThreadedHost, WorkerHost};
pub use upstream::demo_upstream;
