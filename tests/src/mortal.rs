//! A copy of the filter whose VM a test can kill.
//!
//! Nothing a client can send kills the filter as it ships, and nothing in it
//! serves the tests. What Envoy does with a plugin that crashes, and what
//! survives it, must be seen all the same: here a built filter gets another
//! `proxy_on_request_headers`, which traps for a request with very many
//! headers and calls the filter's own for all others. The worker whose
//! connection brings such a request loses its VM.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use walrus::ir::BinaryOp;
use walrus::{ExportItem, FunctionBuilder, FunctionId, Module, ModuleConfig, ValType};

use crate::{Bootstrap, Request, Response, repo};

/// The filter that can be killed; its file is gone when dropped.
#[derive(Debug)]
pub struct MortalFilter {
    dir: TempDir,
}

/// Which callback brings death.
const CALLBACK: &str = "proxy_on_request_headers";
/// From so many headers on. Envoy takes up to 100 from a client, and adds a
/// few.
const DEADLY: i32 = 80;

impl MortalFilter {
    /// Makes the copy.
    pub fn new() -> Result<Self> {
        let healthy = fs::read(repo::wasm()?)?;
        let dir = TempDir::new()?;
        fs::write(dir.path().join("mortal.wasm"), mortal(&healthy)?)?;
        Ok(Self { dir })
    }

    /// Puts it in the filter's place, at every position.
    pub fn replace_in(&self, bootstrap: &mut Bootstrap) -> Result<()> {
        let healthy = repo::wasm()?.display().to_string();
        bootstrap.replace_text(&healthy, &self.path().display().to_string());
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("mortal.wasm")
    }
}

/// The request, with so many headers that it kills who reads it.
pub fn deadly(request: Request) -> Request {
    (0..DEADLY).fold(request, |request, index| {
        request.header(&format!("x-deadly-{index}"), "1")
    })
}

/// Whether this is what Envoy answers in place of a plugin that has crashed.
pub fn is_of_a_dead_vm(response: &Response) -> bool {
    response.status == 503 && response.body.is_empty()
}

fn mortal(healthy: &[u8]) -> Result<Vec<u8>> {
    let mut module = ModuleConfig::new()
        .generate_name_section(false)
        .generate_producers_section(false)
        .parse(healthy)
        .context("the filter is not a WebAssembly module")?;
    let exports = &module.exports;
    let export = exports.iter().find(|export| export.name == CALLBACK);
    let export = export.with_context(|| format!("the filter does not export {CALLBACK}"))?;
    let (id, item) = (export.id(), export.item);
    let ExportItem::Function(own) = item else {
        bail!("{CALLBACK} is not a function");
    };
    let wrapper = trap_or_call(&mut module, own);
    module.exports.get_mut(id).item = ExportItem::Function(wrapper);
    Ok(module.emit_wasm())
}

/// `(context, headers, end) -> flow`: traps if there are too many headers.
fn trap_or_call(module: &mut Module, own: FunctionId) -> FunctionId {
    let parameters = [ValType::I32; 3];
    let mut builder = FunctionBuilder::new(&mut module.types, &parameters, &[ValType::I32]);
    let [context, headers, end] = parameters.map(|kind| module.locals.add(kind));
    builder
        .func_body()
        .local_get(headers)
        .i32_const(DEADLY)
        .binop(BinaryOp::I32GeU)
        .if_else(
            None,
            |then| {
                then.unreachable();
            },
            |_| {},
        )
        .local_get(context)
        .local_get(headers)
        .local_get(end)
        .call(own);
    builder.finish(vec![context, headers, end], &mut module.funcs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_module_with_the_callback_can_be_made_mortal() {
        let empty = Module::with_config(ModuleConfig::new()).emit_wasm();
        let refused = mortal(&empty).unwrap_err().to_string();
        assert!(refused.contains(CALLBACK), "{refused}");
        assert!(mortal(b"#!/bin/sh").is_err());
    }

    #[test]
    fn the_callback_is_replaced_and_nothing_else() {
        let mut module = Module::with_config(ModuleConfig::new());
        let parameters = [ValType::I32; 3];
        let mut builder = FunctionBuilder::new(&mut module.types, &parameters, &[ValType::I32]);
        builder.func_body().i32_const(7);
        let locals = parameters.map(|kind| module.locals.add(kind));
        let own = builder.finish(locals.to_vec(), &mut module.funcs);
        module.exports.add(CALLBACK, own);
        module.exports.add("other", own);
        let changed = Module::from_buffer(&mortal(&module.emit_wasm()).unwrap()).unwrap();
        let function = |name: &str| {
            let export = changed.exports.iter().find(|export| export.name == name);
            match export.unwrap().item {
                ExportItem::Function(id) => id,
                _ => panic!("{name} is not a function"),
            }
        };
        assert_ne!(function(CALLBACK), function("other"));
        assert_eq!(changed.funcs.iter().count(), 2);
    }
}
