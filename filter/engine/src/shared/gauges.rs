//! Which gauge counts which quota, where several quotas are in one cell.

use std::sync::Arc;

use crate::action::Action;
use crate::host::metrics::GaugeId;
use crate::host::shared_state::Owner;
use crate::shared::quota::DroppedClaim;

/// The gauges of quotas that are kept in one place.
#[derive(Clone, Debug, Default)]
pub(crate) struct QuotaGauges(Arc<[(Owner, GaugeId)]>);

impl QuotaGauges {
    pub(crate) fn new(gauges: Vec<(Owner, GaugeId)>) -> Self {
        Self(gauges.into())
    }

    /// Takes dropped claims out of the gauges that counted them.
    pub(crate) fn correct(&self, dropped: &[DroppedClaim], out: &mut Vec<Action>) {
        for claim in dropped {
            let gauge = claim.owner.and_then(|owner| self.of(owner));
            out.extend(gauge.and_then(|gauge| Action::adjust(gauge, -claim.signed())));
        }
    }

    /// The gauge of the quota with this owner.
    pub(crate) fn of(&self, owner: Owner) -> Option<GaugeId> {
        let found = self.0.iter().find(|(other, _)| *other == owner);
        found.map(|(_, gauge)| *gauge)
    }
}
