//! What a built filter is given in addition: all commands, and a ration of
//! memory.

use std::ops::RangeInclusive;

use anyhow::{Context, Result, bail};
use walrus::ir::{
    BinaryOp, Call, Instr, InstrLocId, LoadKind, MemArg, StoreKind, VisitorMut, dfs_pre_order_mut,
};
use walrus::{
    ConstExpr, ExportItem, FunctionBuilder, FunctionId, GlobalId, InstrSeqBuilder, LocalId,
    MemoryId, Module, ModuleConfig, ValType,
};

/// What a request commands, by so many headers and up to ten that clients and
/// Envoy add. Envoy takes up to 100.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub(super) enum Command {
    /// The next configuration kills.
    Doom = 50,
    /// No more memory than there is.
    Starve = 60,
    /// Memory as before.
    Feed = 70,
    /// Dies at once.
    Die = 80,
}

/// Where the commands come.
const CALLBACK: &str = "proxy_on_request_headers";
const CONFIGURE: &str = "proxy_on_configure";
/// Pages that a VM may still have which is short of memory from its start: what
/// it needs to answer at all.
const STARTING_PAGES: i32 = 8;

/// The filter with all that; memory is short from the start in the VMs with the
/// numbers in `starving`.
pub(super) fn instrument(
    healthy: &[u8],
    most_pages: i32,
    starving: Option<RangeInclusive<u32>>,
) -> Result<Vec<u8>> {
    let mut module = ModuleConfig::new()
        .generate_name_section(false)
        .generate_producers_section(false)
        .parse(healthy)
        .context("the filter is not a WebAssembly module")?;
    let memories = module.memories.iter().map(|memory| memory.id());
    let memory = memories.last().context("the filter has no memory")?;
    let vm = Vm {
        memory,
        most_pages: global(&mut module, most_pages),
        is_doomed: global(&mut module, 0),
    };
    vm.ration(&mut module);
    replace(&mut module, CALLBACK, |module, own| vm.obey(module, own))?;
    replace(&mut module, CONFIGURE, |module, own| {
        let counted = match starving {
            Some(numbers) => Some((Count::find(module)?, numbers)),
            None => None,
        };
        Ok(vm.configure(module, own, counted))
    })?;
    Ok(module.emit_wasm())
}

/// What the copy knows that the filter does not.
#[derive(Clone, Copy)]
struct Vm {
    memory: MemoryId,
    most_pages: GlobalId,
    is_doomed: GlobalId,
}

/// The host's metrics, by which VMs are counted: it is all they share.
#[derive(Clone, Copy)]
struct Count {
    define: FunctionId,
    increment: FunctionId,
    get: FunctionId,
}

impl Count {
    fn find(module: &Module) -> Result<Self> {
        let find = |name| {
            let import = module.imports.find("env", name);
            let import = import.with_context(|| format!("the filter does not import {name}"))?;
            match module.imports.get(import).kind {
                walrus::ImportKind::Function(id) => Ok(id),
                _ => bail!("{name} is not a function"),
            }
        };
        Ok(Self {
            define: find("proxy_define_metric")?,
            increment: find("proxy_increment_metric")?,
            get: find("proxy_get_metric")?,
        })
    }
}

impl Vm {
    /// Answers each `memory.grow` by the ration.
    fn ration(self, module: &mut Module) {
        let own = module.funcs.iter_local().map(|(id, _)| id);
        let own: Vec<FunctionId> = own.collect();
        let pages = module.locals.add(ValType::I32);
        let mut builder = FunctionBuilder::new(&mut module.types, &[ValType::I32], &[ValType::I32]);
        let mut body = builder.func_body();
        body.local_get(pages)
            .memory_size(self.memory)
            .binop(BinaryOp::I32Add)
            .global_get(self.most_pages)
            .binop(BinaryOp::I32GtU)
            .if_else(
                None,
                |then| {
                    then.i32_const(-1).return_();
                },
                |_| {},
            )
            .local_get(pages)
            .memory_grow(self.memory);
        let rationed = builder.finish(vec![pages], &mut module.funcs);
        for id in own {
            let function = module.funcs.get_mut(id).kind.unwrap_local_mut();
            let entry = function.entry_block();
            dfs_pre_order_mut(&mut Ration(rationed), function, entry);
        }
    }

    /// `(context, headers, end) -> flow`: obeys first.
    fn obey(self, module: &mut Module, own: FunctionId) -> Result<FunctionId> {
        let parameters = [ValType::I32; 3];
        let mut builder = FunctionBuilder::new(&mut module.types, &parameters, &[ValType::I32]);
        let locals = parameters.map(|kind| module.locals.add(kind));
        let [context, headers, end] = locals;
        let mut body = builder.func_body();
        on(&mut body, headers, Command::Die, |then| {
            then.unreachable();
        });
        on(&mut body, headers, Command::Starve, |then| {
            then.memory_size(self.memory).global_set(self.most_pages);
        });
        on(&mut body, headers, Command::Feed, |then| {
            then.i32_const(i32::MAX).global_set(self.most_pages);
        });
        on(&mut body, headers, Command::Doom, |then| {
            then.i32_const(1).global_set(self.is_doomed);
        });
        body.local_get(context)
            .local_get(headers)
            .local_get(end)
            .call(own);
        Ok(builder.finish(locals.to_vec(), &mut module.funcs))
    }

    /// `(root, size) -> accepted`: traps if doomed, and counts the VMs.
    fn configure(
        self,
        module: &mut Module,
        own: FunctionId,
        counted: Option<(Count, RangeInclusive<u32>)>,
    ) -> FunctionId {
        let is_counted = global(module, 0);
        let parameters = [ValType::I32; 2];
        let mut builder = FunctionBuilder::new(&mut module.types, &parameters, &[ValType::I32]);
        let locals = parameters.map(|kind| module.locals.add(kind));
        let mut body = builder.func_body();
        body.global_get(self.is_doomed).if_else(
            None,
            |then| {
                then.unreachable();
            },
            |_| {},
        );
        if let Some((count, starving)) = counted {
            body.global_get(is_counted).if_else(
                None,
                |_| {},
                |first| {
                    first.i32_const(1).global_set(is_counted);
                    self.count(first, count, &starving);
                },
            );
        }
        for local in locals {
            body.local_get(local);
        }
        body.call(own);
        builder.finish(locals.to_vec(), &mut module.funcs)
    }

    /// Counts this VM, and lets it starve if it has one of these numbers.
    fn count(self, body: &mut InstrSeqBuilder<'_>, count: Count, starving: &RangeInclusive<u32>) {
        // Memory at the far end of the stack, which never gets there.
        const NAME: i32 = 16;
        const ID: i32 = 32;
        const VALUE: i32 = 40;
        let at = |offset| MemArg { align: 4, offset };
        for (offset, part) in [(0, *b"mortal_v"), (8, *b"ms_count")] {
            body.i32_const(NAME + offset)
                .i64_const(i64::from_le_bytes(part))
                .store(self.memory, StoreKind::I64 { atomic: false }, at(0));
        }
        let id = LoadKind::I32 { atomic: false };
        body.i32_const(0)
            .i32_const(NAME)
            .i32_const(16)
            .i32_const(ID)
            .call(count.define)
            .drop()
            .i32_const(ID)
            .load(self.memory, id, at(0))
            .i64_const(1)
            .call(count.increment)
            .drop()
            .i32_const(ID)
            .load(self.memory, id, at(0))
            .i32_const(VALUE)
            .call(count.get)
            .drop()
            .i32_const(VALUE)
            .load(self.memory, LoadKind::I64 { atomic: false }, at(0))
            .i64_const(i64::from(*starving.start()))
            .binop(BinaryOp::I64Sub)
            .i64_const(i64::from(starving.end() - starving.start()))
            .binop(BinaryOp::I64LeU)
            .if_else(
                None,
                |starves| {
                    starves
                        .memory_size(self.memory)
                        .i32_const(STARTING_PAGES)
                        .binop(BinaryOp::I32Add)
                        .global_set(self.most_pages);
                },
                |_| {},
            );
    }
}

/// Puts a function in the place of each `memory.grow`.
struct Ration(FunctionId);

impl VisitorMut for Ration {
    fn visit_instr_mut(&mut self, instr: &mut Instr, _: &mut InstrLocId) {
        if matches!(instr, Instr::MemoryGrow(_)) {
            *instr = Instr::Call(Call { func: self.0 });
        }
    }
}

fn global(module: &mut Module, value: i32) -> GlobalId {
    let value = ConstExpr::Value(walrus::ir::Value::I32(value));
    module.globals.add_local(ValType::I32, true, false, value)
}

/// Acts if a request has as many headers as this command, and ten more at most.
fn on(
    body: &mut InstrSeqBuilder<'_>,
    headers: LocalId,
    command: Command,
    act: impl FnOnce(&mut InstrSeqBuilder<'_>),
) {
    let most = match command {
        Command::Die => i32::MAX,
        _ => 10,
    };
    body.local_get(headers)
        .i32_const(command as i32)
        .binop(BinaryOp::I32Sub)
        .i32_const(most)
        .binop(BinaryOp::I32LtU)
        .if_else(None, act, |_| {});
}

/// Exports another function in the place of the filter's own.
fn replace(
    module: &mut Module,
    name: &str,
    wrap: impl FnOnce(&mut Module, FunctionId) -> Result<FunctionId>,
) -> Result<()> {
    let exports = &module.exports;
    let export = exports.iter().find(|export| export.name == name);
    let export = export.with_context(|| format!("the filter does not export {name}"))?;
    let (id, item) = (export.id(), export.item);
    let ExportItem::Function(own) = item else {
        bail!("{name} is not a function");
    };
    let wrapper = wrap(module, own)?;
    module.exports.get_mut(id).item = ExportItem::Function(wrapper);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module_with(exports: &[(&str, usize)]) -> Vec<u8> {
        let mut module = Module::with_config(ModuleConfig::new());
        let memory = module.memories.add_local(false, false, 1, None, None);
        for (name, parameters) in exports {
            let parameters = vec![ValType::I32; *parameters];
            let mut builder = FunctionBuilder::new(&mut module.types, &parameters, &[ValType::I32]);
            builder.func_body().i32_const(1).memory_grow(memory);
            let locals = parameters.iter().map(|kind| module.locals.add(*kind));
            let locals = locals.collect();
            let own = builder.finish(locals, &mut module.funcs);
            module.exports.add(name, own);
        }
        module.emit_wasm()
    }

    #[test]
    fn only_a_module_with_the_callbacks_can_be_instrumented() {
        let lacks = |module: &[u8], name: &str| {
            let refused = instrument(module, i32::MAX, None).unwrap_err().to_string();
            assert!(refused.contains(name), "{refused}");
        };
        lacks(&module_with(&[(CONFIGURE, 2)]), CALLBACK);
        lacks(&module_with(&[(CALLBACK, 3)]), CONFIGURE);
        assert!(instrument(b"#!/bin/sh", i32::MAX, None).is_err());
        let whole = module_with(&[(CALLBACK, 3), (CONFIGURE, 2)]);
        let refused = instrument(&whole, i32::MAX, Some(1..=1))
            .unwrap_err()
            .to_string();
        assert!(refused.contains("proxy_define_metric"), "{refused}");
    }

    #[test]
    fn the_callbacks_are_replaced_and_memory_grows_in_one_place() {
        let whole = module_with(&[(CALLBACK, 3), (CONFIGURE, 2), ("other", 0)]);
        let changed = Module::from_buffer(&instrument(&whole, i32::MAX, None).unwrap()).unwrap();
        let exports: Vec<&str> = changed.exports.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(exports, [CALLBACK, CONFIGURE, "other"]);
        // Three own ones, a wrapper for two of them, and the ration.
        assert_eq!(changed.funcs.iter().count(), 6);
        let grows = |function: &walrus::LocalFunction| {
            let block = function.block(function.entry_block());
            let grow = |(instr, _): &&(Instr, InstrLocId)| matches!(instr, Instr::MemoryGrow(_));
            block.instrs.iter().filter(grow).count()
        };
        let all = changed.funcs.iter_local();
        assert_eq!(all.map(|(_, function)| grows(function)).sum::<usize>(), 1);
    }
}
