//! The filter's instances in Envoy's configuration format.

use btp_policy::hash::fnv1a;
use btp_policy::node::Node;

use super::Instance;
use crate::apply::options::{FilterFile, Options};
use crate::envoy::capabilities::restriction;
use crate::envoy::http_filter::upstream_codec;
use crate::envoy::json::node;
use crate::envoy::plugin::{Build, NAME};
use crate::envoy::text::json_out;
use crate::envoy::tree::{WrongKind, list_mut, object_mut, set, text};
use crate::translate::admission_control;

const WASM_TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const MODULE_TYPE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter";

/// Puts the instances into a connection manager.
///
/// # Errors
/// Something else is where its filters must be.
pub(crate) fn insert(
    hcm: &mut Node,
    instances: &[Instance],
    options: &Options,
) -> Result<(), WrongKind> {
    for instance in instances {
        let filters = list_mut(hcm, "http_filters")?;
        match instance.place {
            Some(place) => {
                let mut place = place.min(filters.len());
                if let Some(front) = &instance.front {
                    place = place.saturating_sub(1);
                    filters.insert(place, front.clone());
                    place += 1;
                }
                filters.insert(place, filter(instance, options));
            }
            None => {
                if let Some(front) = &instance.front {
                    let router = filters.len().saturating_sub(1);
                    filters.insert(router, front.clone());
                }
                let router = filters.iter_mut().enumerate().next_back();
                if let Some((index, router)) = router {
                    let below =
                        |it: WrongKind, name| it.below(&format!("http_filters[{index}]{name}"));
                    let config = object_mut(router, "typed_config").map_err(|it| below(it, ""))?;
                    let filters = list_mut(config, "upstream_http_filters");
                    let filters = filters.map_err(|it| below(it, ".typed_config"))?;
                    insert_upstream(filters, instance, options);
                }
            }
        }
    }
    Ok(())
}

/// Puts an instance first among the filters that every try passes, but behind the
/// admission control of a policy: what that turns away is no try, and it judges
/// by the responses that it is shown last. Yields the place.
pub(crate) fn insert_upstream(
    filters: &mut Vec<Node>,
    instance: &Instance,
    options: &Options,
) -> usize {
    if filters.is_empty() {
        filters.push(upstream_codec());
    }
    let is_admission = |it: &&Node| text(it, "name") == Some(admission_control::NAME);
    let place = filters.iter().take_while(is_admission).count();
    filters.insert(place, filter(instance, options));
    place
}

/// The file in which Envoy discovers an instance. Its version names the content, so that
/// `/config_dump` tells which one Envoy has: first the filter's configuration, in the digits
/// that the filter logs when it has loaded it, then all of the resource.
pub(crate) fn file(instance: &Instance, file: &FilterFile) -> Node {
    let resource = node!({
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": (&instance.name),
        "typed_config": (typed_config(instance, file)),
    });
    let hash = |node| fnv1a(0, json_out::write(node).as_bytes());
    let (configuration, whole) = (hash(&instance.config), hash(&resource));
    // With letters in front: digits alone would be a number in YAML.
    node!({
        "version_info": (format!("btp-{configuration:016x}-{:08x}", whole & 0xffff_ffff)),
        "resources": [(resource)],
    })
}

/// An instance as one of a list of filters.
pub(crate) fn filter(instance: &Instance, options: &Options) -> Node {
    match &options.ecds {
        Some(folder) => {
            let folder = folder.trim_end_matches('/');
            let path = format!("{folder}/{}", instance.file);
            discovery(instance, &path, options.filter.build)
        }
        None => node!({
            "name": (&instance.name),
            "typed_config": (typed_config(instance, &options.filter)),
        }),
    }
}

fn typed_config(instance: &Instance, file: &FilterFile) -> Node {
    // As text and not as a Struct: Envoy's YAML reader makes strings of the
    // fractions in a Struct.
    let configuration = node!({
        "@type": "type.googleapis.com/google.protobuf.StringValue",
        "value": (json_out::write(&instance.config)),
    });
    match file.build {
        Build::Wasm => wasm(instance, &file.path, configuration),
        Build::Module => node!({
            "@type": MODULE_TYPE,
            "dynamic_module_config": {
                "module": { "local": { "filename": (&file.path) } },
                "do_not_close": true,
            },
            "filter_name": NAME,
            "filter_config": configuration,
        }),
    }
}

fn wasm(instance: &Instance, path: &str, configuration: Node) -> Node {
    let mut config = node!({
        "name": (&instance.name),
        "root_id": (&instance.root_id),
        "failure_policy": "FAIL_RELOAD",
        // Here and not in the VM's configuration, which has it since 1.40 only.
        "capability_restriction_config": (restriction()),
        "vm_config": {
            "vm_id": NAME,
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "local": { "filename": path } },
        },
        "configuration": configuration,
    });
    let waits = instance.config.field("allowOnHeadersStopIteration");
    if waits.is_some() {
        set(&mut config, "allow_on_headers_stop_iteration", node!(true));
    }
    node!({ "@type": WASM_TYPE, "config": (config) })
}

fn discovery(instance: &Instance, path: &str, build: Build) -> Node {
    let kind = match build {
        Build::Wasm => WASM_TYPE,
        Build::Module => MODULE_TYPE,
    };
    node!({
        "name": (&instance.name),
        "config_discovery": {
            "config_source": {
                "path_config_source": { "path": path },
                "resource_api_version": "V3",
            },
            "type_urls": [kind],
        }
    })
}
