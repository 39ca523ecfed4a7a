//! Filters without work: one in the sandbox, one in the process, and Lua.

use std::path::Path;

use anyhow::Result;
use btp_tests::build::{WASM_TYPE, module_filter};
use btp_tests::repo;
use serde_json::{Value, json};

use super::{FILTERS, Kind, NOTHING, Variant};

pub(super) fn all() -> Result<Vec<Variant>> {
    let module = noop_module(&repo::noop_module()?);
    Ok(vec![
        Variant::quiet(NOTHING, Kind::Wasm, vec![noop_wasm(&repo::noop_wasm()?)]),
        Variant::quiet(NOTHING, Kind::Module, vec![module]),
        Variant::quiet("Lua that does nothing", Kind::Envoy, vec![lua()]),
    ])
}

fn noop_wasm(file: &Path) -> Value {
    json!({"name": "noop", "typed_config": {
        "@type": WASM_TYPE,
        "config": {
            "name": "noop",
            "root_id": "noop",
            "vm_config": {
                "vm_id": "noop",
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": file.display().to_string()}},
            },
        },
    }})
}

fn noop_module(file: &Path) -> Value {
    let nothing = json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": ""});
    json!({"name": "noop", "typed_config": module_filter(file, &nothing)})
}

fn lua() -> Value {
    let script = "function envoy_on_request(handle) end function envoy_on_response(handle) end";
    json!({"name": "lua", "typed_config": {"@type": format!("{FILTERS}.lua.v3.Lua"),
        "default_source_code": {"inline_string": script}}})
}
