//! What Envoy counts of the files that it watches.

use std::collections::BTreeMap;

use crate::deliver::file::{File, Kind};

/// How often Envoy has taken a file.
const TAKEN: &str = "update_success";

/// How often it has not: refused what the file says, or could not read it.
const NOT_TAKEN: [&str; 2] = ["update_rejected", "update_failure"];

/// Listeners that wait for what they need.
const WARMING: &str = "listener_manager.total_listeners_warming";

/// Listeners and filter chains whose last connections are still there.
const DRAINING: [&str; 2] = [
    "listener_manager.total_listeners_draining",
    "listener_manager.total_filter_chains_draining",
];

/// Selects the counters, percent-encoded.
pub(super) const PATH: &str = "/stats?filter=%5C.update_%28success%7Crejected%7Cfailure%29%24%7C\
                               %5Elistener_manager%5C.total_";

/// Counters and gauges by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters(BTreeMap<String, u64>);

/// What has become of a file since earlier counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nobody watches it.
    Unwatched,
    /// Envoy has not seen it yet; a counter that would tell.
    Unseen(String),
    Taken,
    /// The counter that tells.
    Refused(String),
}

impl Counters {
    /// Reads lines of `name: value`; histograms and texts are left out.
    pub(super) fn read(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.rsplit_once(": "));
        let numbers =
            pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
        Self(numbers.collect())
    }

    /// What has become of a file since `before`.
    pub(super) fn fate_of(&self, file: &File, before: &Self) -> Fate {
        let mut unseen = None;
        let mut is_taken = false;
        for (name, value) in &self.0 {
            let Some((subscription, what)) = name.rsplit_once('.') else {
                continue;
            };
            if !is_of(file, subscription) {
                continue;
            }
            // A counter that is new has begun at zero.
            let has_risen = *value > before.0.get(name).copied().unwrap_or(0);
            if has_risen && NOT_TAKEN.contains(&what) {
                return Fate::Refused(name.clone());
            }
            if what == TAKEN {
                is_taken |= has_risen;
                unseen = Some(name.clone());
            }
        }
        match unseen {
            None => Fate::Unwatched,
            Some(_) if is_taken => Fate::Taken,
            Some(name) => Fate::Unseen(name),
        }
    }

    /// Whether a listener is not ready yet.
    pub(super) fn has_warming_listener(&self) -> bool {
        self.is_above_zero(WARMING)
    }

    /// Whether connections of earlier listeners are still there.
    pub(super) fn has_draining_listener(&self) -> bool {
        DRAINING.iter().any(|name| self.is_above_zero(name))
    }

    fn is_above_zero(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| *value > 0)
    }
}

/// Whether a subscription's counters begin like those of a file.
fn is_of(file: &File, subscription: &str) -> bool {
    let ends_with = |prefix: &str, kind: &str| {
        let rest = subscription.strip_prefix(prefix);
        let mut names = file.resource_names();
        // Envoy has no colons in the names of its stats.
        rest.is_some_and(|it| {
            names.any(|name| it.ends_with(&format!("{kind}{}", name.replace(':', "_"))))
        })
    };
    match file.kind {
        Kind::Bootstrap | Kind::RateLimits => false,
        Kind::Clusters => subscription == "cluster_manager.cds",
        Kind::Listeners => subscription == "listener_manager.lds",
        Kind::Routes => ends_with("http.", ".rds."),
        Kind::Extension => ends_with("extension_config_discovery.", "."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: Kind, name: &str) -> File {
        let text = format!("resources: [{{name: \"{name}\"}}]\n");
        File::of_texts(kind, "x.yaml", None, &text)
    }

    fn counters(text: &str) -> Counters {
        Counters::read(text)
    }

    #[test]
    fn a_file_is_taken_or_refused_by_the_counters_of_its_own_subscription() {
        let before = counters(
            "cluster_manager.cds.update_success: 4\ncluster_manager.cds.update_rejected: 1\n\
             listener_manager.lds.update_success: 2\n\
             http.in.gress.rds.a_b.update_success: 7\nhttp.other.rds.c.update_success: 1\n\
             cluster_manager.cds.update_duration: P0(nan,1)\ncluster_manager.cds.version_text: \"1\"\n",
        );
        let clusters = file(Kind::Clusters, "up");
        let unseen = Fate::Unseen("cluster_manager.cds.update_success".to_owned());
        assert_eq!(before.fate_of(&clusters, &before), unseen);
        let after = counters(
            "cluster_manager.cds.update_success: 5\ncluster_manager.cds.update_rejected: 1\n\
             listener_manager.lds.update_success: 2\nlistener_manager.lds.update_rejected: 1\n\
             http.in.gress.rds.a_b.update_success: 8\nhttp.other.rds.c.update_failure: 1\n",
        );
        assert_eq!(after.fate_of(&clusters, &before), Fate::Taken);
        let refused = Fate::Refused("listener_manager.lds.update_rejected".to_owned());
        assert_eq!(
            after.fate_of(&file(Kind::Listeners, "edge"), &before),
            refused
        );
        assert_eq!(
            after.fate_of(&file(Kind::Routes, "a:b"), &before),
            Fate::Taken
        );
        assert_eq!(
            after.fate_of(&file(Kind::Routes, "b"), &before),
            Fate::Unwatched
        );
        let refused = Fate::Refused("http.other.rds.c.update_failure".to_owned());
        assert_eq!(after.fate_of(&file(Kind::Routes, "c"), &before), refused);
    }

    #[test]
    fn a_filter_that_is_discovered_anew_counts_from_zero() {
        let before = counters("");
        let filter = file(Kind::Extension, "btp");
        assert_eq!(before.fate_of(&filter, &before), Fate::Unwatched);
        let name = "extension_config_discovery.http_filter.btp";
        let after = counters(&format!(
            "{name}.update_success: 0\n{name}.update_rejected: 1\n"
        ));
        let refused = Fate::Refused(format!("{name}.update_rejected"));
        assert_eq!(after.fate_of(&filter, &before), refused);
    }
}
