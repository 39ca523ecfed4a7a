//! Instances of the filter whose metrics have no labels. The names of the .wasm's metrics
//! contain namespace, policy and rule, unless the bootstrap tells how to split them.

use btp_policy::Code;

use super::{Hint, Hints};
use crate::envoy::files::Config;
use crate::envoy::model::Model;
use crate::envoy::plugin::{Build, build_of, configuration_of};
use crate::envoy::stats;
use crate::envoy::tree::items;

/// The first instance of each connection manager, if its metrics have no labels.
pub(crate) fn hints_of_labels(config: &Config, model: &Model) -> Vec<Hint> {
    let mut hints = Hints::new(config);
    let Some(bootstrap) = config.files.first().map(|file| &file.node) else {
        return Vec::new();
    };
    if stats::are_labelled(bootstrap) {
        return Vec::new();
    }
    for manager in &model.managers {
        let Some(hcm) = config.at(&manager.address) else {
            continue;
        };
        let mut filters = items(hcm, "http_filters").iter();
        let first = filters
            .position(|it| build_of(it) == Some(Build::Wasm) && configuration_of(it).is_some());
        if let Some(place) = first {
            hints.say(
                &manager.address.key("http_filters").item(place),
                Code::UnlabelledMetrics,
                "its metrics have no labels, but namespace, policy and rule in their names; add \
                 the stats_config.stats_tags of docs/reference/metrics.md to the bootstrap, as \
                 `btp apply` does"
                    .to_owned(),
            );
        }
    }
    hints.found
}
