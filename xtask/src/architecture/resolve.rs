//! The imports between modules: each path is followed to the module that defines its item.

use std::collections::BTreeMap;

use super::crates::ModulePath;
use super::scan::{Module, Named};

/// Re-exports behind re-exports, before a path counts as going round in circles.
const MAX_DEPTH: usize = 16;

/// One module names something that another defines.
#[derive(Clone)]
pub(super) struct Import {
    pub(super) from: ModulePath,
    pub(super) to: ModulePath,
    /// File, line and path, for the message.
    pub(super) shown: String,
}

/// All imports between modules of the crate.
pub(super) fn imports(modules: &BTreeMap<ModulePath, Module>) -> Vec<Import> {
    let mut found = Vec::new();
    for (from, module) in modules {
        let uses = module.uses.iter().map(|it| &it.from);
        let has_globs = module.uses.iter().any(|it| it.name.is_none());
        // A single name is defined here or by a `use` that counts already,
        // unless a glob brings it.
        let paths = module
            .paths
            .iter()
            .filter(|it| it.path.len() > 1 || has_globs);
        for named in uses.chain(paths) {
            let Some(to) = resolve(modules, from, &named.path, 0) else {
                continue;
            };
            if to != *from {
                found.push(Import {
                    from: from.clone(),
                    to,
                    shown: shown(module, named),
                });
            }
        }
    }
    found
}

fn shown(module: &Module, named: &Named) -> String {
    format!("{}:{}: {}", module.file, named.line, named.path.join("::"))
}

/// The module that defines what `path` names in module `at`; none for what is
/// of another crate.
fn resolve(
    modules: &BTreeMap<ModulePath, Module>,
    at: &ModulePath,
    path: &[String],
    depth: usize,
) -> Option<ModulePath> {
    if depth > MAX_DEPTH {
        return None;
    }
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => anchored(modules, &Vec::new(), rest, depth),
        "self" => anchored(modules, at, rest, depth),
        "super" => {
            let (_, parent) = at.split_last()?;
            let parent = parent.to_vec();
            match rest.first() {
                Some(next) if next == "super" => resolve(modules, &parent, rest, depth + 1),
                _ => anchored(modules, &parent, rest, depth),
            }
        }
        _ => look_up(modules, at, path, depth),
    }
}

/// Like [`look_up`], for a path that certainly is of this crate: what no one
/// defines visibly, a macro does where the path leads.
fn anchored(
    modules: &BTreeMap<ModulePath, Module>,
    at: &ModulePath,
    path: &[String],
    depth: usize,
) -> Option<ModulePath> {
    if path.is_empty() {
        return Some(at.clone());
    }
    look_up(modules, at, path, depth).or_else(|| Some(at.clone()))
}

/// By the names that module `at` has: children, items, imports.
fn look_up(
    modules: &BTreeMap<ModulePath, Module>,
    at: &ModulePath,
    path: &[String],
    depth: usize,
) -> Option<ModulePath> {
    if depth > MAX_DEPTH {
        return None;
    }
    let module = modules.get(at)?;
    let (first, rest) = path.split_first()?;
    let child = [at.as_slice(), std::slice::from_ref(first)].concat();
    if modules.contains_key(&child) {
        return anchored(modules, &child, rest, depth + 1);
    }
    if module.items.contains(first) {
        return Some(at.clone());
    }
    let named = module
        .uses
        .iter()
        .filter(|it| it.name.as_deref() == Some(first));
    for it in named {
        // `use serde;` names a crate, not itself.
        if it.from.path == [first.clone()] {
            continue;
        }
        let whole = [&it.from.path, rest].concat();
        if let Some(found) = resolve(modules, at, &whole, depth + 1) {
            return Some(found);
        }
    }
    let globs = module.uses.iter().filter(|it| it.name.is_none());
    globs
        .filter_map(|it| resolve(modules, at, &it.from.path, depth + 1))
        .filter(|it| it != at)
        .find_map(|it| look_up(modules, &it, path, depth + 1))
}
