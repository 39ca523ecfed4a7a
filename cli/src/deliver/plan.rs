//! Which file is written when, so that at no moment anything in force names a
//! cluster that is not there.
//!
//! 1. What nobody depends on yet: files in which filters will be discovered, the
//!    limits of a rate limit service, and the clusters of before and after together.
//! 2. What sends to clusters: routes, then the filters' files that are in use,
//!    then listeners, which find both as they are to be.
//! 3. The clusters of after alone, and the bootstrap: Envoy reads it when it
//!    starts, and then finds everything that it names.
//!
//! A run may be killed between any two writes. What is there then serves, and
//! the next run, whatever it is to write, begins with it.

use std::collections::{BTreeMap, BTreeSet};

use btp_policy::node::Node;

use super::file::{File, Kind};
use crate::envoy::tree::{same, text};
use crate::output::Output;

/// The files, and what is to become of them.
#[derive(Debug)]
pub(super) struct Plan {
    files: Vec<File>,
}

impl Plan {
    pub(super) fn new(mut files: Vec<File>) -> Self {
        // The order within a phase, and in which an Envoy that is to start
        // finds everything that a file names.
        files.sort_by_key(|it| match it.kind {
            Kind::Extension | Kind::RateLimits => 0,
            Kind::Clusters => 1,
            Kind::Routes => 2,
            Kind::Listeners => 3,
            Kind::Bootstrap => 4,
        });
        Self { files }
    }

    pub(super) fn files(&self) -> &[File] {
        &self.files
    }

    /// Whether an Envoy may be watching: there are files besides a bootstrap.
    pub(super) fn is_watched(&self) -> bool {
        let is_watched = |kind| !matches!(kind, Kind::Bootstrap | Kind::RateLimits);
        self.files
            .iter()
            .any(|it| is_watched(it.kind) && it.is_there())
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        !self.files.iter().any(File::is_changed)
    }

    /// All files with their final content, for a folder that no Envoy watches.
    pub(super) fn at_once(&self) -> Vec<Output> {
        self.files
            .iter()
            .filter(|it| it.is_changed())
            .map(after)
            .collect()
    }

    /// The first phase.
    pub(super) fn prepare(&self) -> Vec<Output> {
        let used = self.extensions_in_use();
        let mut outputs = Vec::new();
        for file in self.files.iter() {
            match file.kind {
                Kind::Extension if file.is_changed() && !used.contains(&file.name()) => {
                    outputs.push(after(file));
                }
                Kind::RateLimits if file.is_changed() => outputs.push(after(file)),
                Kind::Clusters => outputs.extend(together(file)),
                _ => {}
            }
        }
        outputs
    }

    /// The bootstrap for the restart that brings the clusters of
    /// [`Self::only_by_restart`]: with those of before that are still sent to.
    pub(super) fn for_restart(&self) -> Vec<Output> {
        let mut outputs = Vec::new();
        for file in self.of(Kind::Bootstrap) {
            let gone = gone(file);
            let names = gone.keys().cloned().collect();
            let senders = self.files.iter().filter(|it| sends(it));
            let used: BTreeSet<String> = senders.flat_map(|it| it.named_before(&names)).collect();
            let more: Vec<&Node> = used.iter().filter_map(|it| gone.get(it).copied()).collect();
            let text = file.with_clusters(&more);
            outputs.extend((file.text_before() != Some(&text)).then(|| output(file, text)));
        }
        outputs
    }

    /// The second phase.
    pub(super) fn switch(&self) -> Vec<Output> {
        let used = self.extensions_in_use();
        let of = |kind: Kind| self.of(kind).filter(|it| it.is_changed());
        let routes = of(Kind::Routes);
        let extensions = of(Kind::Extension).filter(|it| used.contains(&it.name()));
        let order = routes.chain(extensions).chain(of(Kind::Listeners));
        order.map(after).collect()
    }

    /// The listeners as they were, for an Envoy that refuses the file of a
    /// filter which those of after have and these have not.
    pub(super) fn listeners_back(&self) -> Vec<Output> {
        let changed = self.of(Kind::Listeners).filter(|it| it.is_changed());
        let back = changed.filter_map(|it| Some(output(it, it.text_before()?.to_owned())));
        back.collect()
    }

    /// The last phase; the clusters `kept` stay.
    pub(super) fn finish(&self, kept: &BTreeSet<String>) -> Vec<Output> {
        let mut outputs = Vec::new();
        for file in self.of(Kind::Clusters) {
            let there = together(file);
            let there = there
                .as_ref()
                .map(|it| it.text.as_str())
                .or(file.text_before());
            let gone = gone(file);
            let more: Vec<&Node> = gone
                .iter()
                .filter(|(name, _)| kept.contains(*name))
                .map(|(_, node)| *node)
                .collect();
            let text = file.with_clusters(&more);
            outputs.extend((there != Some(&text)).then(|| output(file, text)));
        }
        outputs.extend(
            self.of(Kind::Bootstrap)
                .filter(|it| it.is_changed())
                .map(after),
        );
        outputs
    }

    /// The clusters that are there and are not to be there in the end.
    pub(super) fn retired(&self) -> BTreeSet<String> {
        self.of(Kind::Clusters)
            .flat_map(|it| gone(it).into_keys())
            .collect()
    }

    /// The clusters that the second phase needs: all that it names.
    pub(super) fn needed(&self) -> BTreeSet<String> {
        let clusters = self.files.iter().flat_map(File::clusters_after);
        let names = clusters.filter_map(name).collect();
        self.named_by_switch(&names)
    }

    /// Those that the bootstrap has, which an Envoy that runs does not have,
    /// as far as the files tell.
    pub(super) fn only_by_restart(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for file in self.of(Kind::Bootstrap).filter(|it| it.is_there()) {
            let before: BTreeSet<String> = file.clusters_before().iter().filter_map(name).collect();
            let after = file.clusters_after().iter().filter_map(name);
            names.extend(after.filter(|it| !before.contains(it)));
        }
        self.named_by_switch(&names)
    }

    /// Whether a listener names clusters itself, and not by a table of routes:
    /// then each connection keeps those that it began with.
    pub(super) fn listeners_name_clusters(&self) -> bool {
        let clusters = self.of(Kind::Clusters);
        let clusters =
            clusters.flat_map(|it| it.clusters_before().iter().chain(it.clusters_after()));
        let names: BTreeSet<String> = clusters.filter_map(name).collect();
        let mut files = self.of(Kind::Listeners);
        files.any(|it| !it.named_before(&names).is_empty() || !it.named_after(&names).is_empty())
    }

    /// The clusters of the final bootstrap.
    pub(super) fn statics(&self) -> BTreeSet<String> {
        let clusters = self.of(Kind::Bootstrap).flat_map(File::clusters_after);
        clusters.filter_map(name).collect()
    }

    /// The files of one kind.
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |it| it.kind == kind)
    }

    fn named_by_switch(&self, names: &BTreeSet<String>) -> BTreeSet<String> {
        let senders = self.files.iter().filter(|it| sends(it) && it.is_changed());
        senders.flat_map(|it| it.named_after(names)).collect()
    }

    /// The names of the filters' files that Envoy watches.
    fn extensions_in_use(&self) -> BTreeSet<String> {
        self.files
            .iter()
            .flat_map(File::extensions_before)
            .collect()
    }
}

/// Whether a file says where requests go.
fn sends(file: &File) -> bool {
    matches!(file.kind, Kind::Routes | Kind::Listeners)
}

/// A file with the clusters of before and after, of the same name those of
/// after; nothing if it has all of them already.
fn together(file: &File) -> Option<Output> {
    let before = file.clusters_before();
    let is_known = |cluster: &Node| before.iter().any(|it| same(it, cluster));
    if file.is_there() && file.clusters_after().iter().all(is_known) {
        return None;
    }
    let gone = gone(file);
    let more: Vec<&Node> = gone.values().copied().collect();
    let text = file.with_clusters(&more);
    (file.text_before() != Some(&text)).then(|| output(file, text))
}

/// The clusters that a file has and will not have.
fn gone(file: &File) -> BTreeMap<String, &Node> {
    let after: BTreeSet<String> = file.clusters_after().iter().filter_map(name).collect();
    let before = file.clusters_before().iter();
    let named = before.filter_map(|it| Some((name(it)?, it)));
    named.filter(|(name, _)| !after.contains(name)).collect()
}

fn name(cluster: &Node) -> Option<String> {
    text(cluster, "name").map(str::to_owned)
}

fn after(file: &File) -> Output {
    output(file, file.text_after().to_owned())
}

fn output(file: &File, text: String) -> Output {
    Output {
        path: file.path.clone(),
        text,
        in_place: file.in_place,
    }
}
