//! The changes for connections and datagrams that Envoy forwards unchanged, and the report
//! on fields that do not apply to them.

use std::collections::BTreeMap;

use super::{Native, alone};
use crate::apply::plan::perform::Changed;
use crate::envoy::l4::L4;
use crate::envoy::model::{Model, Sender};
use crate::translate::{Change, Target, translate_l4};
use btp_policy::Code;
use btp_policy::path::FieldPath;

/// What clusters come to under one spec, by what is sent to them.
#[derive(Debug, Default)]
pub(super) struct OfClusters {
    pub(super) http: Vec<Change>,
    pub(super) l4: BTreeMap<L4, Vec<Change>>,
}

/// What is sent to a cluster.
pub(super) type Traffic = Option<L4>;

/// What a sender sends; `None`: HTTP.
pub(super) fn traffic_of(model: &Model, sender: Sender) -> Traffic {
    match sender {
        Sender::Route(_) => None,
        Sender::L4Proxy(index) => model.l4_proxies[index].l4,
    }
}

impl OfClusters {
    pub(super) fn of(&self, traffic: Traffic) -> &[Change] {
        match traffic {
            None => &self.http,
            Some(l4) => self.l4.get(&l4).map_or(&[], Vec::as_slice),
        }
    }

    /// Whether a cluster with the changes for HTTP also fits this traffic. Fields that do
    /// not concern connections do them no harm. Datagrams must not depend on health that is
    /// checked over TCP.
    pub(super) fn are_met_by_http(&self, l4: L4) -> bool {
        let own = self.of(Some(l4));
        own.iter().all(|it| self.http.contains(it))
            && (l4 == L4::Tcp || own.len() == self.http.len())
    }
}

impl Native<'_, '_, '_> {
    /// Makes the changes of one spec on the proxies that it governs, and gives
    /// those that are for their clusters.
    pub(super) fn on_l4_proxies(&mut self, index: usize) -> BTreeMap<L4, Vec<Change>> {
        let mut of_clusters = BTreeMap::new();
        let proxies = self.effective[index].l4_proxies.clone();
        for proxy in proxies {
            self.note_unmet(index, proxy);
            let Some(l4) = self.scene.model.l4_proxies[proxy].l4 else {
                continue;
            };
            let changes = translate_l4(&self.effective[index].spec, l4, &alone(self.scene));
            let Some(mut changes) = self.refuse_merged(index, changes) else {
                continue;
            };
            changes.retain(|change| match change.target {
                Target::L4Proxy => {
                    self.note_chance(index, proxy, change);
                    self.perform(index, change, &Changed::l4_proxy(self.scene, proxy));
                    false
                }
                Target::Bootstrap => {
                    self.on_bootstrap(index, change);
                    false
                }
                _ => true,
            });
            of_clusters.insert(l4, changes);
        }
        of_clusters
    }

    /// Notes which fields do not hold for a proxy, by the reasons.
    fn note_unmet(&mut self, index: usize, proxy: usize) {
        let it = &mut self.effective[index];
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for (_, unmet) in it.unmet.iter().filter(|(of, _)| *of == proxy) {
            match reasons.iter_mut().find(|(known, _)| *known == unmet.reason) {
                Some((_, fields)) => fields.push(&unmet.field),
                None => reasons.push((unmet.reason, vec![&unmet.field])),
            }
        }
        let title = self.scene.model.l4_proxies[proxy].title();
        let line = |(reason, fields): (&str, Vec<&str>)| {
            format!("not in force on {title}: {}: {reason}", fields.join(", "))
        };
        let lines: Vec<String> = reasons.into_iter().map(line).collect();
        it.notes.extend(lines);
    }

    /// Envoy draws one of several clusters for each connection, whatever the
    /// hash says.
    fn note_chance(&mut self, index: usize, proxy: usize, change: &Change) {
        let proxy = &self.scene.model.l4_proxies[proxy];
        if proxy.is_weighted {
            let policy = self.effective[index].policy;
            let reason = format!(
                "keeps a client at one endpoint of a cluster, but not at one cluster: {} chooses \
                 one of its weighted_clusters at random for each connection",
                proxy.title()
            );
            self.errors.lint(
                policy,
                FieldPath::written(&change.field),
                Code::WeightedClusters,
                reason,
            );
        }
    }
}
