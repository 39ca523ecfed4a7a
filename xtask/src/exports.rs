//! The last step of the filter's build: which callbacks Envoy sees.
//!
//! The SDK exports every `proxy_on_*` callback of the ABI. The adapter implements those
//! that the filter uses itself, as `btp_on_*`; here each replaces the SDK's export of that
//! name. The others are not exported at all, because Envoy enters the VM for every export
//! that it finds. Unreachable code is left out of the file, and so are the hostcalls that
//! only the SDK's dispatcher would make, so that no configuration has to allow them
//! (`capability_restriction_config`). The file also gets a section with its version.

use anyhow::{Context, Result, bail};
use walrus::{ExportId, FunctionId, Import, ImportKind, Module, ModuleConfig, RawCustomSection};

/// The callbacks that the filter answers.
const CALLBACKS: &[&str] = &[
    "context_create",
    "configure",
    "tick",
    "done",
    "request_headers",
    "request_body",
    "request_trailers",
    "response_headers",
    "response_body",
    "response_trailers",
];

/// What else Envoy asks of a filter.
const REQUIRED: &[&str] = &[
    "memory",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_memory_allocate",
];

/// Hostcalls of default methods of the SDK's contexts. The filter has no such context, but
/// the linker keeps their tables; a call of them traps.
const UNUSED: &[&str] = &[
    "proxy_call_foreign_function",
    "proxy_dequeue_shared_queue",
    "proxy_done",
    "proxy_enqueue_shared_queue",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_status",
    "proxy_grpc_call",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_grpc_send",
    "proxy_grpc_stream",
    "proxy_http_call",
    "proxy_register_shared_queue",
    "proxy_resolve_shared_queue",
];

/// How the names of the adapter's callbacks begin.
const ADAPTERS: &str = "btp_on_";

/// The section that `btp version` reads.
const VERSION: &str = "btp.version";

/// Makes the linked module into the file that Envoy loads, which says of itself that it is
/// this version.
pub(crate) fn finish(linked: &[u8], version: &str) -> Result<Vec<u8>> {
    let mut module = ModuleConfig::new()
        .generate_name_section(false)
        .generate_producers_section(false)
        .parse(linked)
        .context("the linker's output is not a WebAssembly module")?;
    keep_required(&mut module)?;
    put_callbacks_in_place(&mut module)?;
    drop_unused_hostcalls(&mut module)?;
    walrus::passes::gc::run(&mut module);
    module.customs.add(RawCustomSection {
        name: VERSION.to_owned(),
        data: version.as_bytes().to_vec(),
    });
    Ok(module.emit_wasm())
}

/// Drops all exports but those that are required and the adapter's callbacks.
fn keep_required(module: &mut Module) -> Result<()> {
    for name in REQUIRED {
        if find(module, name).is_none() {
            bail!("the filter does not export {name}");
        }
    }
    let is_kept = |name: &str| REQUIRED.contains(&name) || name.starts_with(ADAPTERS);
    let exports = module.exports.iter();
    let unused: Vec<ExportId> = exports
        .filter(|export| !is_kept(&export.name))
        .map(|export| export.id())
        .collect();
    for id in unused {
        module.exports.delete(id);
    }
    Ok(())
}

fn put_callbacks_in_place(module: &mut Module) -> Result<()> {
    for name in CALLBACKS {
        let Some(id) = find(module, &format!("{ADAPTERS}{name}")) else {
            bail!("the adapter does not answer proxy_on_{name}");
        };
        module.exports.get_mut(id).name = format!("proxy_on_{name}");
    }
    let other = module
        .exports
        .iter()
        .find(|it| it.name.starts_with(ADAPTERS));
    if let Some(other) = other {
        bail!("{} is not in the list of callbacks", other.name);
    }
    Ok(())
}

fn drop_unused_hostcalls(module: &mut Module) -> Result<()> {
    let unused = |import: &Import| match import.kind {
        ImportKind::Function(id) if UNUSED.contains(&import.name.as_str()) => Some(id),
        _ => None,
    };
    let unused: Vec<FunctionId> = module.imports.iter().filter_map(unused).collect();
    for id in unused {
        module.replace_imported_func(id, |(body, _)| {
            body.unreachable();
        })?;
    }
    Ok(())
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
    use walrus::{ExportItem, FunctionBuilder, ValType, ir::Value};

    /// A function that returns `value`, to tell functions apart.
    fn constant(module: &mut Module, value: i32) -> FunctionId {
        let mut builder = FunctionBuilder::new(&mut module.types, &[], &[ValType::I32]);
        builder.func_body().const_(Value::I32(value));
        builder.finish(vec![], &mut module.funcs)
    }

    /// A module that exports what is required, all callbacks of an adapter
    /// (each returns its index) and functions of these names.
    fn linked(names: &[&str]) -> Module {
        let mut module = Module::with_config(ModuleConfig::new());
        let memory = module.memories.add_local(false, false, 1, None, None);
        module.exports.add("memory", memory);
        for name in REQUIRED[1..].iter().chain(names) {
            let function = constant(&mut module, -1);
            module.exports.add(name, function);
        }
        for (index, name) in CALLBACKS.iter().enumerate() {
            let function = constant(&mut module, index as i32);
            module.exports.add(&format!("{ADAPTERS}{name}"), function);
        }
        module
    }

    fn finished(mut module: Module) -> Result<Module> {
        Module::from_buffer(&finish(&module.emit_wasm(), "{}")?)
    }

    fn without(name: &str) -> Module {
        let mut module = linked(&[]);
        let id = find(&module, name).unwrap();
        module.exports.delete(id);
        module
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
    fn the_adapters_callbacks_take_the_sdks_places() {
        let module = finished(linked(&["proxy_on_context_create", "proxy_on_done"])).unwrap();
        assert_eq!(returned(&module, "proxy_on_context_create"), 0);
        assert_eq!(returned(&module, "proxy_on_done"), 3);
        assert!(find(&module, "btp_on_done").is_none());
    }

    #[test]
    fn unused_callbacks_and_their_code_are_dropped() {
        let module = finished(linked(&["proxy_on_grpc_close", "helper"])).unwrap();
        assert!(find(&module, "proxy_on_grpc_close").is_none());
        assert!(find(&module, "helper").is_none());
        let functions = REQUIRED.len() - 1 + CALLBACKS.len();
        assert_eq!(module.funcs.iter().count(), functions);
    }

    #[test]
    fn hostcalls_of_the_sdks_contexts_are_dropped_and_others_stay() {
        let mut module = linked(&[]);
        let kind = module.types.add(&[], &[]);
        let functions = ["proxy_http_call", "proxy_log"]
            .map(|name| module.add_import_func("env", name, kind).0);
        let mut builder = FunctionBuilder::new(&mut module.types, &[], &[]);
        for function in functions {
            builder.func_body().call(function);
        }
        let caller = builder.finish(vec![], &mut module.funcs);
        let id = find(&module, "_initialize").unwrap();
        module.exports.get_mut(id).item = ExportItem::Function(caller);
        let module = finished(module).unwrap();
        let imports: Vec<&str> = module.imports.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(imports, ["proxy_log"]);
    }

    #[test]
    fn the_file_says_which_version_it_is() {
        let finished = finish(&linked(&[]).emit_wasm(), "{\"a\":1}").unwrap();
        let module = Module::from_buffer(&finished).unwrap();
        let (_, section) = module.customs.iter().next().unwrap();
        assert_eq!(section.name(), VERSION);
        assert_eq!(*section.data(&Default::default()), *b"{\"a\":1}");
    }

    #[test]
    fn all_callbacks_must_be_the_adapters() {
        let error = finished(without("btp_on_tick")).unwrap_err();
        assert!(error.to_string().contains("proxy_on_tick"), "{error}");
    }

    #[test]
    fn a_callback_that_is_not_listed_is_refused() {
        let error = finished(linked(&["btp_on_grpc_close"])).unwrap_err();
        assert!(error.to_string().contains("btp_on_grpc_close"), "{error}");
    }

    #[test]
    fn what_envoy_needs_must_be_there() {
        let error = finished(without("_initialize")).unwrap_err();
        assert!(error.to_string().contains("_initialize"), "{error}");
    }

    #[test]
    fn other_files_are_refused() {
        assert!(finish(b"#!/bin/sh", "{}").is_err());
    }
}
