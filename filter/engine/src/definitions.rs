//! The names of the counters, gauges and cells that a plan defines.

use btp_policy::scalar::ObjectName;

use crate::host::metrics::{CounterId, GaugeId};
use crate::host::shared_state::{CellKind, CellNames, QuotaId};

/// Collects names while a plan is compiled.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    pub(crate) counters: Vec<String>,
    pub(crate) gauges: Vec<String>,
    pub(crate) cells: CellNames,
}

impl Definitions {
    /// A counter `btp.<namespace>.<policy>.<name>`. Dots in the policy's
    /// name become underscores, so that each part stays one part.
    pub(crate) fn define(&mut self, policy: &ObjectName, name: &str) -> CounterId {
        CounterId(push(&mut self.counters, policy, name))
    }

    /// A gauge, named in the same way.
    pub(crate) fn gauge(&mut self, policy: &ObjectName, name: &str) -> GaugeId {
        GaugeId(push(&mut self.gauges, policy, name))
    }

    /// Claims on a quota, named in the same way.
    pub(crate) fn quota(&mut self, policy: &ObjectName, name: &str) -> QuotaId {
        self.quota_named(full_name(policy, name))
    }

    /// Claims on a quota that belongs to no policy.
    pub(crate) fn quota_named(&mut self, name: String) -> QuotaId {
        QuotaId::Own(self.cells.of_mut(CellKind::Quota).add(name))
    }
}

fn push(names: &mut Vec<String>, policy: &ObjectName, name: &str) -> u32 {
    let id = u32::try_from(names.len()).unwrap_or(u32::MAX);
    names.push(full_name(policy, name));
    id
}

fn full_name(policy: &ObjectName, name: &str) -> String {
    let policy_name = policy.name.replace('.', "_");
    format!("btp.{}.{policy_name}.{name}", policy.namespace)
}
