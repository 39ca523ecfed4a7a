//! Which build of the filter the tests run: `$BTP_BUILD`, `wasm` or `module`.
//!
//! Tests write the filter as the .wasm. Where the module is under test, [`adapt`]
//! puts it in the place of each, with the same plugin configuration, when Envoy gets
//! the configuration. What tests ask by the names of the .wasm (statistics, the log) is
//! answered by the harness (`envoy`).

mod metadata;
mod stats;
#[cfg(test)]
mod wasm_only;

use std::env;
use std::path::Path;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::bootstrap::{PLUGIN_NAME, visit};
use crate::repo;
pub(crate) use stats::in_wasm;

/// A filter of the .wasm, as Envoy names its type.
pub const WASM_TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
/// The same of a dynamic module.
pub const MODULE_TYPE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter";

/// Without it, Envoy 1.40 puts its own prefix before the names in Prometheus.
const PLAIN_NAMES: &str = "envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix";
/// The layer of Envoy's runtime that sets it.
const LAYER: &str = "btp_module";

/// A build of the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// It runs in Envoy's sandbox, one machine for each worker.
    Wasm,
    /// It runs in Envoy's process.
    Module,
}

impl Build {
    /// The one under test.
    pub fn under_test() -> Result<Self> {
        match env::var("BTP_BUILD").as_deref() {
            Ok("module") => Ok(Self::Module),
            Ok("wasm") | Err(_) => Ok(Self::Wasm),
            Ok(other) => bail!("BTP_BUILD is {other:?}; it can be wasm or module"),
        }
    }

    /// Its name in `$BTP_BUILD`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
            Self::Module => "module",
        }
    }

    /// The part of Envoy in whose name it logs.
    pub fn log_component(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
            Self::Module => "dynamic_modules",
        }
    }

    /// The option of `btp apply` that names its file, and the file.
    pub fn apply_option(self) -> Result<[String; 2]> {
        let (option, file) = match self {
            Self::Wasm => ("--wasm", repo::wasm()?),
            Self::Module => ("--module", repo::module()?),
        };
        Ok([option.to_owned(), file.display().to_string()])
    }
}

/// Makes a configuration for Envoy, or what is in a file that it discovers, one for the
/// build under test.
pub fn adapt(config: &mut Value) -> Result<()> {
    if Build::under_test()? == Build::Module {
        put_module(config, &repo::module()?);
    }
    Ok(())
}

/// The module as the filter of this file, with this plugin configuration (a typed
/// message).
pub fn module_filter(file: &Path, configuration: &Value) -> Value {
    json!({
        "@type": MODULE_TYPE,
        "dynamic_module_config": {
            "module": {"local": {"filename": file.display().to_string()}},
            "do_not_close": true,
        },
        "filter_name": PLUGIN_NAME,
        "filter_config": configuration,
    })
}

/// Gives the module's metrics the names of the .wasm in Prometheus.
pub fn with_plain_names(bootstrap: &mut Value) {
    let layers = &mut bootstrap["layered_runtime"]["layers"];
    if layers.is_null() {
        *layers = json!([]);
    }
    if let Some(layers) = layers.as_array_mut()
        && layers.iter().all(|layer| layer["name"] != LAYER)
    {
        layers.push(json!({"name": LAYER, "static_layer": {PLAIN_NAMES: true}}));
    }
}

fn put_module(config: &mut Value, file: &Path) {
    let mut is_changed = false;
    visit(config, &mut |value| {
        let is_ours = value["@type"] == WASM_TYPE
            && value["config"]["name"]
                .as_str()
                .is_some_and(|name| name.starts_with(PLUGIN_NAME));
        if is_ours {
            *value = module_filter(file, &value["config"]["configuration"]);
            is_changed = true;
        }
        if value["type_urls"] == json!([WASM_TYPE]) {
            value["type_urls"] = json!([MODULE_TYPE]);
            is_changed = true;
        }
    });
    if is_changed {
        metadata::make_readable(config);
    }
    if config.get("admin").is_some() {
        with_plain_names(config);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_takes_the_place_of_our_filter_alone() {
        let plugin = json!({"@type": "string", "value": "{}"});
        let of = |name: &str| json!({"@type": WASM_TYPE, "config": {"name": name, "configuration": plugin}});
        let mut config = json!({
            "admin": {},
            "filters": [of("backend_traffic_policy_upstream"), of("other"),
                {"config_discovery": {"type_urls": [WASM_TYPE]}}],
        });
        put_module(&mut config, Path::new("/x.so"));
        let filters = &config["filters"];
        assert_eq!(filters[0]["@type"], MODULE_TYPE);
        assert_eq!(filters[0]["filter_config"], plugin);
        assert_eq!(filters[0]["dynamic_module_config"]["do_not_close"], true);
        assert_eq!(filters[1], of("other"));
        assert_eq!(filters[2]["config_discovery"]["type_urls"][0], MODULE_TYPE);
        let layers = &config["layered_runtime"]["layers"];
        assert_eq!(layers[0]["static_layer"][PLAIN_NAMES], true);
    }

    #[test]
    fn a_runtime_that_is_there_is_kept() {
        let mut config = json!({"layered_runtime": {"layers": [{"name": "own"}]}});
        with_plain_names(&mut config);
        let layers = config["layered_runtime"]["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 2);
        assert_eq!(layers[0]["name"], "own");
    }
}
