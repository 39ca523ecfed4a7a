//! The engine's view of Envoy, for the stream that hostcalls are about now.

use btp_engine::{CounterId, Counters, Host};

use crate::abi::{self, Map};
use crate::root::Shared;

/// Envoy, as the engine asks for it.
pub(crate) struct WasmHost<'a> {
    pub(crate) shared: &'a Shared,
}

impl Counters for WasmHost<'_> {
    fn add(&self, counter: CounterId, amount: u64) {
        self.shared.metrics.add(counter, amount);
    }

    fn read(&self, counter: CounterId) -> u64 {
        self.shared.metrics.read(counter)
    }
}

impl Host for WasmHost<'_> {
    fn now_ns(&mut self) -> u64 {
        self.shared.now_ns()
    }

    fn random(&mut self) -> u64 {
        self.shared.random.next()
    }

    fn request_header<R>(&mut self, name: &str, read: impl FnOnce(Option<&[u8]>) -> R) -> R {
        read(abi::header(Map::RequestHeaders, name).as_deref())
    }

    fn response_header<R>(&mut self, name: &str, read: impl FnOnce(Option<&[u8]>) -> R) -> R {
        read(abi::header(Map::ResponseHeaders, name).as_deref())
    }

    fn route_name<R>(&mut self, read: impl FnOnce(Option<&[u8]>) -> R) -> R {
        let name = abi::property(&["xds", "route_name"]).filter(|name| !name.is_empty());
        read(name.as_deref())
    }
}
