//! What the workers of one proxy hold together, in the cells that the host keeps
//! for them: quotas, the claims on them, and which workers are alive.

pub(crate) mod claims;
pub(crate) mod classes;
pub(crate) mod gauges;
pub(crate) mod liveness;
pub(crate) mod quota;
pub(crate) mod reaper;
pub(crate) mod vm_memory;
