//! The filters that every try passes. A cluster that gets filters of its own also gets
//! those behind the router, because Envoy runs the cluster's filters instead of them.

use std::collections::BTreeSet;

use super::Native;
use crate::apply::plan::own_filters::{behind_router, filters_of};
use crate::envoy::address::Address;
use crate::envoy::http_filter::package_of;
use crate::envoy::model::Sender;
use crate::envoy::tree::{same, text, unplaced};
use crate::translate::{Change, HttpPart, Operation, Replaced};
use btp_policy::Code;
use btp_policy::node::{Node, Value};
use btp_policy::path::FieldPath;

impl Native<'_, '_, '_> {
    /// A change of a cluster that brings the filters of the routers along, through
    /// which these send; `None`: they differ, which is refused.
    pub(super) fn with_filters_of_routers(
        &mut self,
        index: usize,
        change: &Change,
        (cluster, address): (&str, &Address),
        senders: &[Sender],
    ) -> Option<Change> {
        let mut change = change.clone();
        let Operation::HttpOptions(HttpPart::UpstreamFilter { filter, of_router }) =
            &mut change.operation
        else {
            return Some(change);
        };
        let own = self.draft.at(&filters_of(address)).map(|it| &it.value);
        if matches!(own, Some(Value::List(filters)) if !filters.is_empty()) {
            return Some(change);
        }
        let managers = self.managers_of(senders);
        let mut lists = managers.iter().map(|it| (*it, self.filters_behind(*it)));
        let (first, wanted) = lists.next().unwrap_or_default();
        let other = lists.find(|(_, it)| !is_same(it, &wanted));
        if let Some((other, _)) = other {
            let places = &self.scene.places;
            let reason = format!(
                "cannot be put into force on cluster {cluster}: a cluster's filters run instead \
                 of the router's upstream_http_filters, and those differ between listener {} and \
                 listener {}: make them the same, or write them into http_filters of the \
                 cluster's HttpProtocolOptions",
                places[other], places[first]
            );
            let policy = self.effective[index].policy;
            let field = FieldPath::written(&change.field);
            self.errors
                .refuse_field(policy, field, Code::OwnHttpFilters, reason);
            return None;
        }
        let alike = |it: &Node| package_of(it) == package_of(filter);
        let (outweighed, others): (Vec<Node>, Vec<Node>) = wanted.into_iter().partition(alike);
        *of_router = others;
        for it in outweighed {
            let name = text(&it, "name").unwrap_or_default();
            let was = Replaced::new(format!("upstream_http_filters {name}"), &it);
            let line = format!("listener {}: {was}", self.scene.places[first]);
            let lines = &mut self.effective[index].replaced;
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        Some(change)
    }

    /// The connection managers through which these routes are reached.
    fn managers_of(&self, senders: &[Sender]) -> Vec<usize> {
        let configs = senders.iter().filter_map(|it| match it {
            Sender::Route(id) => Some(id.config),
            Sender::L4Proxy(_) => None,
        });
        let configs: BTreeSet<usize> = configs.collect();
        self.scene.model.managers_of(&configs)
    }

    fn filters_behind(&self, manager: usize) -> Vec<Node> {
        let address: &Address = &self.scene.model.managers[manager].address;
        let list = behind_router(self.draft, address);
        match list.and_then(|it| self.draft.at(&it)).map(|it| &it.value) {
            Some(Value::List(filters)) => filters.iter().map(unplaced).collect(),
            _ => Vec::new(),
        }
    }
}

fn is_same(left: &[Node], right: &[Node]) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|(left, right)| same(left, right))
}
