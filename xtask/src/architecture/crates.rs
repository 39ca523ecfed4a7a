//! The sources of a crate: read from its folder, or made up by a test.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::scan::{self, Module};

/// The names from the crate's root to a module; none for the root itself.
pub(super) type ModulePath = Vec<String>;

/// Files by their place in `src`.
#[derive(Clone, Default)]
pub(super) struct Sources {
    files: BTreeMap<PathBuf, String>,
}

impl Sources {
    /// All Rust files of a folder.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        let mut sources = Self::default();
        sources.add(folder, Path::new(""))?;
        Ok(sources)
    }

    /// Adds lines to a file, which need not be there.
    pub(super) fn plant(mut self, file: &str, lines: &str) -> Self {
        let text = self.files.entry(file.into()).or_default();
        text.push_str(lines);
        self
    }

    /// Every module that the root declares, directly or not.
    pub(super) fn scan(&self) -> syn::Result<BTreeMap<ModulePath, Module>> {
        let mut modules = BTreeMap::new();
        for root in ["lib.rs", "main.rs"] {
            if let Some(text) = self.files.get(Path::new(root)) {
                let module = scan::module(&syn::parse_file(text)?.items, root);
                self.descend(module, Vec::new(), Path::new(""), &mut modules)?;
                break;
            }
        }
        Ok(modules)
    }

    fn add(&mut self, folder: &Path, place: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let place = place.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.add(&entry.path(), &place)?;
            } else if place.extension().is_some_and(|it| it == "rs") {
                self.files.insert(place, fs::read_to_string(entry.path())?);
            }
        }
        Ok(())
    }

    /// `folder` is where the files of the module's children are.
    fn descend(
        &self,
        mut module: Module,
        path: ModulePath,
        folder: &Path,
        modules: &mut BTreeMap<ModulePath, Module>,
    ) -> syn::Result<()> {
        let inline = std::mem::take(&mut module.inline);
        let children = module.children.clone();
        modules.insert(path.clone(), module);
        let child_path = |name: &str| [path.as_slice(), &[name.to_owned()]].concat();
        for (name, module) in inline {
            self.descend(module, child_path(&name), &folder.join(&name), modules)?;
        }
        for name in children {
            let places = [
                folder.join(&name).with_extension("rs"),
                folder.join(&name).join("mod.rs"),
            ];
            for place in places {
                if let Some(text) = self.files.get(&place) {
                    let shown = place.display().to_string();
                    let module = scan::module(&syn::parse_file(text)?.items, &shown);
                    self.descend(module, child_path(&name), &folder.join(&name), modules)?;
                }
            }
        }
        Ok(())
    }
}
