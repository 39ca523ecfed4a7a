//! The configuration during the changes. It keeps the original of every changed object.

use std::collections::{BTreeMap, BTreeSet};

use btp_policy::node::{Node, Value};

use crate::apply::journal::{Journal, Undone};
use crate::apply::placement::Placement;
use crate::apply::standing;
use crate::envoy::address::Address;
use crate::envoy::files::Config;
use crate::envoy::json::node;
use crate::envoy::plugin::Build;
use crate::envoy::runtime;
use crate::envoy::static_clusters;
use crate::envoy::stats;
use crate::envoy::tree::WrongKind;
use crate::envoy::undo;

pub(super) struct Draft<'a> {
    config: &'a mut Config,
    /// The objects that were changed, as they were.
    before: BTreeMap<Address, Node>,
    /// The objects that were added. They were nothing before.
    added: BTreeSet<Address>,
    /// What the next run must know of the filters of a listener.
    notes: BTreeMap<Address, Vec<Node>>,
    /// What stood empty in the bootstrap: which listener's record says so, under
    /// which name, and what it was.
    empty: Vec<(Address, &'static str, &'static str)>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(config: &'a mut Config) -> Self {
        Self {
            config,
            before: BTreeMap::new(),
            added: BTreeSet::new(),
            notes: BTreeMap::new(),
            empty: Vec::new(),
        }
    }

    /// The configuration as it is now.
    pub(super) fn config(&self) -> &Config {
        self.config
    }

    pub(super) fn at(&self, address: &Address) -> Option<&Node> {
        self.config.at(address)
    }

    /// An object as it was before any change.
    pub(super) fn before(&self, object: &Address) -> Option<&Node> {
        self.before.get(object).or_else(|| self.config.at(object))
    }

    /// An object with a record of its own (a listener, a route, a cluster),
    /// to be changed.
    pub(super) fn change(&mut self, object: &Address) -> Option<&mut Node> {
        self.change_in(object, object)
    }

    /// What is at `address` in such an object, to be changed.
    pub(super) fn change_in(&mut self, object: &Address, address: &Address) -> Option<&mut Node> {
        if !self.before.contains_key(object) && !self.added.contains(object) {
            let node = self.config.at(object)?.clone();
            self.before.insert(object.clone(), node);
        }
        self.config.at_mut(address)
    }

    /// Adds an object, which says itself that it was made, to a list.
    pub(super) fn add(&mut self, list: &Address, object: Node) -> Option<Address> {
        let Value::List(items) = &mut self.config.at_mut(list)?.value else {
            return None;
        };
        items.push(object);
        let address = list.item(items.len() - 1);
        self.added.insert(address.clone());
        Some(address)
    }

    /// Adds what this build's metrics need to the bootstrap: the labels of stats, or a
    /// switch of the runtime. Both are recognized without a record. The record of this
    /// listener tells which parts were there and empty.
    pub(super) fn add_for_metrics(
        &mut self,
        listener: &Address,
        build: Build,
    ) -> Result<(), WrongKind> {
        let Some(bootstrap) = self.config.at_mut(&Address::root(0)) else {
            return Ok(());
        };
        let (name, empty) = match build {
            Build::Wasm => (undo::EMPTY_STATS, stats::empty(bootstrap)),
            Build::Module => (undo::EMPTY_RUNTIME, runtime::empty(bootstrap)),
        };
        let empty = empty.map(|it| (listener.clone(), name, it));
        self.empty.extend(empty);
        match build {
            Build::Wasm => stats::add(bootstrap),
            Build::Module if runtime::switch_layer(bootstrap).is_some() => Ok(()),
            Build::Module => runtime::add(bootstrap),
        }
    }

    /// Makes the list of static clusters if there is none, which this listener's
    /// record is to say.
    pub(super) fn make_clusters(&mut self, listener: &Address) -> Result<(), WrongKind> {
        let Some(bootstrap) = self.config.at_mut(&Address::root(0)) else {
            return Ok(());
        };
        let missing = static_clusters::missing(bootstrap);
        let missing = missing.map(|it| (listener.clone(), undo::NO_CLUSTERS, it));
        self.empty.extend(missing);
        static_clusters::make(bootstrap)
    }

    /// Adds to what the next run must know of the filters of a listener.
    pub(super) fn note(&mut self, listener: &Address, entries: Vec<Node>) {
        let notes = self.notes.entry(listener.clone()).or_default();
        notes.extend(entries);
    }

    /// What of a journal holds in the configuration as it is now.
    pub(super) fn settle(&mut self, journal: &Journal) -> Result<Vec<Placement>, Undone> {
        journal.settle(self.config)
    }

    /// Notes in each changed object what it was; yields the objects that have no
    /// place for that.
    pub(super) fn record(mut self) -> Vec<(Address, WrongKind)> {
        let mut wrong = Vec::new();
        for (address, before) in self.before {
            if let Some(node) = self.config.at_mut(&address) {
                if let Err(error) = undo::record(&before, node) {
                    wrong.push((address, error));
                    continue;
                }
                for (_, name, empty) in self.empty.iter().filter(|(of, ..)| *of == address) {
                    undo::note(node, name, node!(*empty));
                }
                if let Some(entries) = self.notes.remove(&address) {
                    standing::write(node, entries);
                }
            }
        }
        wrong
    }
}
