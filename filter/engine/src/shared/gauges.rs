//! Which gauge counts what, where several quotas share a table.

use std::sync::Arc;

use crate::action::Action;
use crate::host::metrics::GaugeId;
use crate::shared::quota::{Lost, Owner};

/// The gauges of pools that share a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauges(Arc<[(Owner, GaugeId)]>);

impl Gauges {
    pub(crate) fn new(gauges: Vec<(Owner, GaugeId)>) -> Self {
        Self(gauges.into())
    }

    /// Takes what is lost out of the gauges that counted it.
    pub(crate) fn correct(&self, lost: &[Lost], out: &mut Vec<Action>) {
        for lost in lost {
            let gauge = lost.owner.and_then(|owner| self.of(owner));
            out.extend(gauge.and_then(|gauge| Action::adjust(gauge, -lost.signed())));
        }
    }

    pub(crate) fn of(&self, owner: Owner) -> Option<GaugeId> {
        let found = self.0.iter().find(|(other, _)| *other == owner);
        found.map(|(_, gauge)| *gauge)
    }
}
