//! Copies of clusters: one for each policy where one cluster serves several.
//!
//! Their names are made of letters, digits, `-`, `_` and `.` alone: Envoy sends
//! a cluster's name as the Host of health checks, which servers refuse with
//! other characters. And a copy is asked for the host of its original, which
//! is what the backends know.

use std::collections::BTreeSet;

use btp_policy::node::Value;

use super::Applier;
use crate::apply::undo;
use crate::envoy::address::Address;
use crate::envoy::json::node;
use crate::envoy::tree::{field, field_mut, find, object_mut, set, text, unplaced};

impl Applier<'_> {
    /// `<cluster>-<namespace>-<policy>`: as stable as these names, and with a
    /// number where another cluster is called that. It is taken then.
    pub(super) fn copy_name(
        &self,
        name: &str,
        index: usize,
        taken: &mut BTreeSet<String>,
    ) -> String {
        let it = &self.effective[index];
        let mut parts = vec![name.to_owned()];
        let mut add = |policy: usize| {
            let policy = &self.policies[policy].name;
            parts.extend([policy.namespace.clone(), policy.name.clone()]);
        };
        add(it.policy);
        let others = self.effective.iter().enumerate();
        let mut others = others.filter(|(other, _)| *other != index);
        let is_ambiguous = others.any(|(_, that)| that.policy == it.policy);
        if let Some(parent) = it.parent.filter(|_| is_ambiguous) {
            add(parent);
        }
        let name = as_host(&parts.join("-"));
        let numbered = (2_usize..).map(|number| format!("{name}-{number}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        let free = names.find(|it| !taken.contains(it)).unwrap_or(name);
        taken.insert(free.clone());
        free
    }

    /// Adds a copy of a cluster behind all others.
    pub(super) fn copy(&mut self, original: &Address, name: &str, index: usize) -> Option<Address> {
        let mut copy = unplaced(self.config.at(original)?);
        let old_name = text(&copy, "name")?.to_owned();
        set(&mut copy, "name", node!(name));
        let is_discovered = field(&copy, "eds_cluster_config").is_some();
        if is_discovered && find(&copy, &["eds_cluster_config", "service_name"]).is_none() {
            let discovery = object_mut(&mut copy, "eds_cluster_config");
            set(discovery, "service_name", node!(&old_name));
        }
        if let Some(assignment) = field_mut(&mut copy, "load_assignment")
            && field(assignment, "cluster_name").is_some()
        {
            set(assignment, "cluster_name", node!(name));
        }
        let policy = self.policies[self.effective[index].policy].name.to_string();
        undo::mark_made(&mut copy, &old_name, &policy);
        let mut list = original.clone();
        list.path.pop();
        let Value::List(clusters) = &mut self.config.at_mut(&list)?.value else {
            return None;
        };
        clusters.push(copy);
        Some(list.item(clusters.len() - 1))
    }

    /// Has the health checks of a copy, its own and the policy's, ask for the
    /// host that those of the original ask for.
    pub(super) fn keep_host(&mut self, copy: &Address, original: &str, index: usize) {
        let Some(cluster) = self.config.at_mut(copy) else {
            return;
        };
        let name = text(cluster, "name").unwrap_or_default().to_owned();
        let checks = field_mut(cluster, "health_checks").map(|it| &mut it.value);
        let Some(Value::List(checks)) = checks else {
            return;
        };
        let mut is_kept = false;
        for check in checks {
            for (kind, host) in [
                ("http_health_check", "host"),
                ("grpc_health_check", "authority"),
            ] {
                if let Some(settings) = field_mut(check, kind)
                    && matches!(settings.value, Value::Map(_))
                    && text(settings, host).unwrap_or_default().is_empty()
                {
                    set(settings, host, node!(original));
                    is_kept = true;
                }
            }
        }
        if is_kept {
            self.effective[index].notes.push(format!(
                "cluster {name}: health checks ask for the host {original:?}, as those of the \
                 cluster that it is a copy of"
            ));
        }
    }
}

/// The text with `-` for whatever a Host cannot have.
fn as_host(text: &str) -> String {
    let is_fine = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
    let fine = |it| if is_fine(it) { it } else { '-' };
    text.chars().map(fine).collect()
}

#[cfg(test)]
mod tests {
    use super::as_host;

    #[test]
    fn a_copys_name_can_be_a_host() {
        assert_eq!(as_host("outbound|80||a.b_c@d/e"), "outbound-80--a.b_c-d-e");
    }
}
