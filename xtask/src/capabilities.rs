//! What Envoy must allow the filter to do, read from the built file.
//!
//! `capability_restriction_config` is a list of hostcalls and callbacks. An
//! entry that is missing is dangerous: without `proxy_on_request_headers` every
//! request passes without a policy. So the list is made from what the built
//! filter imports and exports, and all copies of it are made from the list.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use walrus::Module;

use crate::project::Project;
use crate::wasm;

/// The list; `btp` and the tests are built with it.
const LIST: &str = "filter/wasm/capabilities.txt";
const HEAD: &str = "\
# What Envoy must allow the filter: hostcalls and callbacks, as the built file
# imports and exports them. Written by `cargo xtask capabilities`.
";

/// Folders whose files hold copies.
const FOLDERS: [&str; 3] = ["envoy", "examples", "docs"];
/// How a copy begins and ends, whatever its indentation.
const BEGIN: &str = "allowed_capabilities: {";
const END: &str = "}";
/// Columns of a copy.
const WIDTH: usize = 100;

/// An export that is not listed as a callback.
const NO_CALLBACK: &str = "proxy_on_memory_allocate";

/// A file as it is, and as it should be.
struct Written {
    path: PathBuf,
    is: String,
    should_be: String,
}

/// Builds the filter, and writes the list and its copies.
pub(crate) fn update(project: &Project) -> Result<()> {
    let built = wasm::filter(project)?;
    for file in all(project, &built)? {
        if file.is != file.should_be {
            fs::write(&file.path, file.should_be)?;
            println!("{}: written", file.path.display());
        }
    }
    Ok(())
}

/// Fails if the list or a copy is not what the built filter needs.
pub(crate) fn check(project: &Project) -> Result<()> {
    let files = all(project, &project.dist(wasm::FILTER))?;
    let wrong = files.iter().filter(|file| file.is != file.should_be);
    let wrong: Vec<String> = wrong.map(|it| it.path.display().to_string()).collect();
    if !wrong.is_empty() {
        bail!("not what the built filter needs: {}", wrong.join(", "));
    }
    println!("{} files list what the filter needs", files.len());
    Ok(())
}

/// The list and every file with a copy.
fn all(project: &Project, built: &Path) -> Result<Vec<Written>> {
    let bytes = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    let names = of(&bytes)?;
    let path = project.root.join(LIST);
    let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
    let mut files = vec![Written {
        is: fs::read_to_string(&path).unwrap_or_default(),
        should_be: format!("{HEAD}{lines}"),
        path,
    }];
    for folder in FOLDERS {
        copies(&project.root.join(folder), &names, &mut files)?;
    }
    Ok(files)
}

/// What a module imports, and the callbacks that it exports.
fn of(module: &[u8]) -> Result<BTreeSet<String>> {
    let module = Module::from_buffer(module)?;
    let imports = module.imports.iter().map(|import| &import.name);
    let exports = module.exports.iter().map(|export| &export.name);
    let callbacks = exports.filter(|it| it.starts_with("proxy_on_") && *it != NO_CALLBACK);
    Ok(imports.chain(callbacks).cloned().collect())
}

fn copies(folder: &Path, names: &BTreeSet<String>, files: &mut Vec<Written>) -> Result<()> {
    let mut entries = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            copies(&path, names, files)?;
            continue;
        }
        let ending = path.extension().and_then(|it| it.to_str());
        if matches!(ending, Some("yaml" | "md")) {
            let is = fs::read_to_string(&path)?;
            let should_be = with_copies(&is, names)
                .with_context(|| format!("{} has a broken list", path.display()))?;
            if is.contains(BEGIN) {
                files.push(Written {
                    path,
                    is,
                    should_be,
                });
            }
        }
    }
    Ok(())
}

/// A text with these names in its copies.
fn with_copies(text: &str, names: &BTreeSet<String>) -> Result<String> {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        if line.trim() != BEGIN {
            continue;
        }
        if !lines.any(|line| line.trim() == END) {
            bail!("`{BEGIN}` without a `{END}` on a line of its own");
        }
        let indentation = &line[..line.len() - line.trim_start().len()];
        let mut row = String::new();
        for name in names {
            let item = format!("{name}: {{}},");
            if !row.is_empty() && indentation.len() + 3 + row.len() + item.len() > WIDTH {
                out.push_str(&format!("{indentation}  {row}\n"));
                row.clear();
            }
            let gap = if row.is_empty() { "" } else { " " };
            row.push_str(gap);
            row.push_str(&item);
        }
        // YAML asks that all of it is further in than its key.
        out.push_str(&format!("{indentation}  {row}\n{indentation}  {END}\n"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use walrus::{FunctionBuilder, ModuleConfig, ValType};

    #[test]
    fn imports_and_callbacks_are_listed() {
        let mut module = Module::with_config(ModuleConfig::new());
        let kind = module.types.add(&[ValType::I32], &[]);
        module.add_import_func("env", "proxy_log", kind);
        module.add_import_func("wasi_snapshot_preview1", "fd_write", kind);
        let mut builder = FunctionBuilder::new(&mut module.types, &[], &[]);
        builder.func_body();
        let function = builder.finish(vec![], &mut module.funcs);
        for name in ["_initialize", NO_CALLBACK, "proxy_on_done"] {
            module.exports.add(name, function);
        }
        let names: Vec<String> = of(&module.emit_wasm()).unwrap().into_iter().collect();
        assert_eq!(names, ["fd_write", "proxy_log", "proxy_on_done"]);
    }

    #[test]
    fn copies_are_replaced_and_all_else_stays() {
        let names = ["a", "b"].map(str::to_owned).into();
        let text = "x:\n  allowed_capabilities: {\n    old: {},\n  }\ny: 1\n";
        let wanted = "x:\n  allowed_capabilities: {\n    a: {}, b: {},\n    }\ny: 1\n";
        assert_eq!(with_copies(text, &names).unwrap(), wanted);
        assert_eq!(with_copies(wanted, &names).unwrap(), wanted);
        assert_eq!(with_copies("y: 1\n", &names).unwrap(), "y: 1\n");
        assert!(with_copies("  allowed_capabilities: {\n", &names).is_err());
    }

    #[test]
    fn long_lists_are_broken() {
        let names: BTreeSet<String> = (10..50).map(|it| format!("proxy_number_{it}")).collect();
        let text = with_copies("allowed_capabilities: {\n}\n", &names).unwrap();
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert!(names.iter().all(|name| text.contains(name)));
    }
}
