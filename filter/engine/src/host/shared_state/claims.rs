//! Cells that say which worker holds how much of what, and which workers live.

use std::borrow::Cow;
use std::num::NonZeroU32;

use super::{CellId, CellKind, CellNames};

/// Names the claims on quotas that are kept in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuotaId {
    /// Those of one quota.
    Own(u32),
    /// Those of several, with an owner each.
    Shared(u32),
}

/// The claims on a quota. Each key and worker comes once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims(pub Vec<HeldClaim>);

/// A worker's claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldClaim {
    /// The key, which has its own bound.
    pub key: u64,
    /// The owner.
    pub worker: u64,
    /// On which quota, where several are kept in one place.
    pub owner: Option<Owner>,
    /// How much; less than 2³² if there is an owner.
    pub amount: u64,
}

/// Tells quotas apart that are kept in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(pub NonZeroU32);

/// Names the registry of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryId;

/// The workers that hold something, or have until lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry(pub Vec<Registration>);

/// A worker's last sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The worker.
    pub worker: u64,
    /// When it came, in nanoseconds.
    pub heartbeat_ns: u64,
}

impl Owner {
    /// Made from a hash.
    pub(crate) fn new(hash: u64) -> Self {
        let half = u32::try_from(hash >> u32::BITS).unwrap_or(u32::MAX);
        Self(NonZeroU32::new(half).unwrap_or(NonZeroU32::MIN))
    }
}

impl CellId for QuotaId {
    type Cell = Claims;

    fn name(self, names: &CellNames) -> Option<Cow<'_, str>> {
        match self {
            Self::Own(number) => names.of(CellKind::Quota).get(number),
            Self::Shared(number) => names.of(CellKind::SharedQuota).get(number),
        }
    }
}

impl CellId for RegistryId {
    type Cell = Registry;

    fn name(self, names: &CellNames) -> Option<Cow<'_, str>> {
        names.of(CellKind::Registry).get(0)
    }
}
