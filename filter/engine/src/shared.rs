//! What the workers of one proxy hold together, in cells of the host: quotas, the claims on
//! them, and the registry of live workers.

pub(crate) mod claims;
pub(crate) mod classes;
pub(crate) mod gauges;
pub(crate) mod liveness;
pub(crate) mod quota;
pub(crate) mod reaper;
pub(crate) mod vm_memory;
