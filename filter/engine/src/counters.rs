//! The names of the counters that a plan needs.

/// Names a counter of one plan: an index into `Plan::counters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CounterId(pub u32);

/// Collects counter names while a plan is compiled.
#[derive(Debug, Default)]
pub(crate) struct CounterNames {
    names: Vec<String>,
}

impl CounterNames {
    /// A counter `btp.<namespace>.<policy>.<name>`. Dots in the policy's
    /// name become underscores, so that each part stays one part.
    pub(crate) fn define(
        &mut self,
        policy: &btp_policy::scalar::ObjectName,
        name: &str,
    ) -> CounterId {
        let id = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let policy_name = policy.name.replace('.', "_");
        self.names
            .push(format!("btp.{}.{policy_name}.{name}", policy.namespace));
        CounterId(id)
    }

    pub(crate) fn into_names(self) -> Vec<String> {
        self.names
    }
}
