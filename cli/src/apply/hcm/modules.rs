//! Instances of the filter that are dynamic modules and cannot read what policies depend
//! on: nested metadata of routes, and nested dynamic metadata without a filter in front
//! that converts it. Nothing fails then, but policies have no effect.

use btp_policy::Code;
use btp_policy::node::Node;
use btp_policy::policy::TargetKind;
use btp_policy::{PluginConfig, Position};

use super::{Hint, Hints};
use crate::apply::filter::metadata_entry;
use crate::apply::selectors::nested;
use crate::envoy::files::Config;
use crate::envoy::http_filter::package_of;
use crate::envoy::model::{HttpConnectionManager, Model, RouteSource};
use crate::envoy::plugin::{Build, build_of, configuration_of};
use crate::envoy::tree::{field, items, text};

/// What is unwise about the modules in a configuration.
pub(crate) fn hints_of_modules(config: &Config, model: &Model) -> Vec<Hint> {
    let mut hints = Hints::new(config);
    for manager in &model.managers {
        let Some(hcm) = config.at(&manager.address) else {
            continue;
        };
        let filters = items(hcm, "http_filters");
        let list = manager.address.key("http_filters");
        let mut has_module = false;
        let mut wasm = None;
        let mut on_routes = false;
        let mut look = |filter: &Node, address, in_front: &[Node]| {
            match build_of(filter) {
                Some(Build::Module) => has_module = true,
                Some(Build::Wasm) => {
                    wasm.get_or_insert(address);
                    return;
                }
                None => return,
            }
            let Some(plugin) = configuration_of(filter) else {
                return;
            };
            on_routes |= plugin
                .policies
                .iter()
                .any(|it| it.target_kinds().any(TargetKind::is_http_route));
            for reason in unseen(&plugin, in_front) {
                hints.say(&address, Code::NestedMetadata, reason);
            }
        };
        for (place, filter) in filters.iter().enumerate() {
            look(filter, list.item(place), &filters[..place]);
        }
        if let Some((router, in_front)) = filters.split_last() {
            let config = list.item(in_front.len()).key("typed_config");
            let behind = config.key("upstream_http_filters");
            let config = field(router, "typed_config");
            let filters = config.map_or(&[][..], |it| items(it, "upstream_http_filters"));
            for (place, filter) in filters.iter().enumerate() {
                look(filter, behind.item(place), in_front);
            }
        }
        if let (Some(address), true) = (wasm, has_module) {
            let reason = "is a .wasm beside instances that are dynamic modules: they share no \
                counts, and a retryConstraint needs both of its instances in one build; use one \
                build per chain";
            hints.say(&address, Code::MixedBuilds, reason.to_owned());
        }
        if has_module {
            hints.on_metadata_of_routes(model, manager, on_routes);
        }
    }
    hints.found
}

impl Hints<'_> {
    fn on_metadata_of_routes(
        &mut self,
        model: &Model,
        manager: &HttpConnectionManager,
        on_routes: bool,
    ) {
        for entry in model.routes_of(manager) {
            let lines = match entry.metadata.lacking() {
                Ok(None) => continue,
                Ok(Some(lacking)) => shown(&lacking),
                Err(name) => format!("it without a / in {name:?}"),
            };
            let reason = format!(
                "is identified by nested metadata, which a dynamic module cannot read: add to \
                 filter_metadata {lines} (btp apply --module does)"
            );
            self.say(&entry.address, Code::NestedRouteMetadata, reason);
        }
        if let (RouteSource::Unseen(what), true) = (manager.route_source, on_routes) {
            let reason = format!(
                "takes its routes from {what}: a dynamic module identifies them by their names, \
                 and by filter_metadata of the form \
                 {{\"btp\":{{\"resources\":[\"HTTPRoute/team/shop\"]}},\"btp.labels\":{{\"tier\":\"gold\"}}}}; \
                 the source of the routes must write it, as envoy-gateway.resources and \
                 btp.labels in btp are nested too deep for a module"
            );
            self.say(&manager.address, Code::NestedRouteMetadata, reason);
        }
    }
}

/// What an instance reads and cannot see with these filters in front.
fn unseen(plugin: &PluginConfig, in_front: &[Node]) -> Vec<String> {
    let specs = plugin.policies.iter().map(|it| &it.spec);
    let is_behind = plugin.position == Position::Upstream;
    let all = nested(specs, |it| plugin.enforce.has(it), is_behind).into_iter();
    let is_written = |key: &str| in_front.iter().any(|filter| writes(filter, key));
    all.filter(|it| it.is_needed && !is_written(&it.state_key()))
        .map(|value| match value.unsayable() {
            Some(part) => format!(
                "reads nested dynamic metadata under {part:?}, which a dynamic module cannot \
                 read: use the .wasm, or have a filter write the value one key deep"
            ),
            None => format!(
                "reads dynamic metadata that is nested, which a dynamic module cannot: put an \
                 envoy.filters.http.set_filter_state right in front of it, with {} in \
                 on_request_headers (btp apply --module does)",
                shown(&metadata_entry(&value))
            ),
        })
        .collect()
}

/// Whether a filter writes this key of the filter state when a request comes.
fn writes(filter: &Node, key: &str) -> bool {
    let config = field(filter, "typed_config");
    let entries = config.map_or(&[][..], |it| items(it, "on_request_headers"));
    package_of(filter) == Some("set_filter_state")
        && entries.iter().any(|it| text(it, "object_key") == Some(key))
}

fn shown(node: &Node) -> String {
    serde_json::to_string(node).unwrap_or_default()
}
