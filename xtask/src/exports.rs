//! The last step of the filter's build: which callbacks Envoy sees.
//!
//! The SDK exports every `proxy_on_*` callback of the ABI, and its return codes
//! cannot say all that the ABI can. The adapter therefore exports wrappers
//! `btp_on_*`; here each takes the place of the SDK's export of that name.
//! Callbacks that the filter does not use are not exported at all, because
//! Envoy enters the VM for every export that it finds. What nobody reaches any
//! more is left out of the file.

use anyhow::{Context, Result, bail};
use walrus::{ExportId, Module, ModuleConfig};

/// All that the filter exports.
const KEPT: &[&str] = &[
    "memory",
    "_initialize",
    "malloc",
    "proxy_abi_version_0_2_1",
    "proxy_on_memory_allocate",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_tick",
    "proxy_on_done",
    "proxy_on_delete",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_response_trailers",
];

/// Without these Envoy does not load a filter.
const REQUIRED: &[&str] = &[
    "memory",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_memory_allocate",
    "proxy_on_context_create",
    "proxy_on_configure",
];

/// Makes the linked module into the file that Envoy loads.
pub(crate) fn finish(linked: &[u8]) -> Result<Vec<u8>> {
    let mut module = ModuleConfig::new()
        .generate_name_section(false)
        .generate_producers_section(false)
        .parse(linked)
        .context("the linker's output is not a WebAssembly module")?;
    put_wrappers_in_place(&mut module)?;
    drop_unused(&mut module);
    for name in REQUIRED {
        if find(&module, name).is_none() {
            bail!("the filter does not export {name}");
        }
    }
    walrus::passes::gc::run(&mut module);
    Ok(module.emit_wasm())
}

fn put_wrappers_in_place(module: &mut Module) -> Result<()> {
    let wrappers: Vec<(ExportId, String)> = module
        .exports
        .iter()
        .filter_map(|export| {
            let callback = export.name.strip_prefix("btp_on_")?;
            Some((export.id(), format!("proxy_on_{callback}")))
        })
        .collect();
    if wrappers.is_empty() {
        bail!("no btp_on_* export: this is not the filter's adapter, or its wrappers are gone");
    }
    for (wrapper, callback) in wrappers {
        if !KEPT.contains(&callback.as_str()) {
            bail!("the adapter wraps {callback}, which is not in the list of kept exports");
        }
        if let Some(wrapped) = find(module, &callback) {
            module.exports.delete(wrapped);
        }
        module.exports.get_mut(wrapper).name = callback;
    }
    Ok(())
}

fn drop_unused(module: &mut Module) {
    let unused: Vec<ExportId> = module
        .exports
        .iter()
        .filter(|export| !KEPT.contains(&export.name.as_str()))
        .map(|export| export.id())
        .collect();
    for id in unused {
        module.exports.delete(id);
    }
}

fn find(module: &Module, name: &str) -> Option<ExportId> {
    module
        .exports
        .iter()
        .find(|export| export.name == name)
        .map(|export| export.id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use walrus::{ExportItem, FunctionBuilder, FunctionId, ValType, ir::Value};

    /// A function that returns `value`, to tell functions apart.
    fn constant(module: &mut Module, value: i32) -> FunctionId {
        let mut builder = FunctionBuilder::new(&mut module.types, &[], &[ValType::I32]);
        builder.func_body().const_(Value::I32(value));
        builder.finish(vec![], &mut module.funcs)
    }

    /// A module that exports what is required and functions of these names,
    /// each returning its index.
    fn linked(names: &[&str]) -> Vec<u8> {
        let mut module = Module::with_config(ModuleConfig::new());
        let memory = module.memories.add_local(false, false, 1, None, None);
        module.exports.add("memory", memory);
        for name in &REQUIRED[1..] {
            let function = constant(&mut module, -1);
            module.exports.add(name, function);
        }
        for (index, name) in names.iter().enumerate() {
            let function = constant(&mut module, index as i32);
            module.exports.add(name, function);
        }
        module.emit_wasm()
    }

    fn returned(module: &Module, name: &str) -> i32 {
        let export = module.exports.get(find(module, name).unwrap());
        let ExportItem::Function(id) = export.item else {
            panic!("{name} is not a function");
        };
        let body = module.funcs.get(id).kind.unwrap_local();
        match body.block(body.entry_block()).instrs[0].0 {
            walrus::ir::Instr::Const(walrus::ir::Const {
                value: Value::I32(value),
            }) => value,
            _ => panic!("{name} does not return a constant"),
        }
    }

    #[test]
    fn a_wrapper_takes_the_callbacks_place() {
        let bytes = linked(&["proxy_on_request_headers", "btp_on_request_headers"]);
        let module = Module::from_buffer(&finish(&bytes).unwrap()).unwrap();
        assert_eq!(returned(&module, "proxy_on_request_headers"), 1);
        assert!(find(&module, "btp_on_request_headers").is_none());
    }

    #[test]
    fn a_callback_without_a_wrapper_stays() {
        let bytes = linked(&["proxy_on_done", "btp_on_request_headers"]);
        let module = Module::from_buffer(&finish(&bytes).unwrap()).unwrap();
        assert_eq!(returned(&module, "proxy_on_done"), 0);
        assert_eq!(returned(&module, "proxy_on_request_headers"), 1);
    }

    #[test]
    fn unused_callbacks_and_their_code_are_dropped() {
        let bytes = linked(&[
            "proxy_on_request_headers",
            "btp_on_request_headers",
            "proxy_on_grpc_close",
            "helper",
        ]);
        let module = Module::from_buffer(&finish(&bytes).unwrap()).unwrap();
        assert!(find(&module, "proxy_on_grpc_close").is_none());
        assert!(find(&module, "helper").is_none());
        // The required functions and the one wrapper.
        assert_eq!(module.funcs.iter().count(), REQUIRED.len() - 1 + 1);
    }

    #[test]
    fn an_adapter_without_wrappers_is_refused() {
        let error = finish(&linked(&["proxy_on_request_headers"])).unwrap_err();
        assert!(error.to_string().contains("no btp_on_*"), "{error}");
    }

    #[test]
    fn a_wrapper_that_would_be_dropped_is_refused() {
        let error = finish(&linked(&["btp_on_grpc_close"])).unwrap_err();
        assert!(error.to_string().contains("proxy_on_grpc_close"), "{error}");
    }

    #[test]
    fn what_envoy_needs_must_be_there() {
        let mut module = Module::from_buffer(&linked(&["btp_on_done"])).unwrap();
        let initialize = find(&module, "_initialize").unwrap();
        module.exports.delete(initialize);
        let error = finish(&module.emit_wasm()).unwrap_err();
        assert!(error.to_string().contains("_initialize"), "{error}");
    }

    #[test]
    fn other_files_are_refused() {
        assert!(finish(b"#!/bin/sh").is_err());
    }
}
