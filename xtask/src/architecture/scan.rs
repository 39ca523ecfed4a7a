//! One module as written: its children, the items it defines, and each path
//! that it names.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, UseTree, Visibility};

/// A module, not yet resolved.
#[derive(Default)]
pub(super) struct Module {
    pub(super) file: String,
    /// Those in files of their own.
    pub(super) children: Vec<String>,
    /// Those between braces.
    pub(super) inline: Vec<(String, Module)>,
    /// What it defines itself, by name.
    pub(super) items: BTreeSet<String>,
    pub(super) uses: Vec<Use>,
    /// Paths outside of `use`.
    pub(super) paths: Vec<Named>,
}

/// A path where it is written.
#[derive(Clone)]
pub(super) struct Named {
    pub(super) path: Vec<String>,
    pub(super) line: usize,
}

/// One name, or all names, brought in by `use`.
pub(super) struct Use {
    pub(super) from: Named,
    /// The name it has here; none for a glob.
    pub(super) name: Option<String>,
}

/// Reads a module's items.
pub(super) fn module(items: &[Item], file: &str) -> Module {
    let mut module = Module {
        file: file.to_owned(),
        ..Module::default()
    };
    for item in items {
        module.visit_item(item);
    }
    module
}

impl Module {
    fn define(&mut self, item: &Item) {
        let name = match item {
            Item::Const(it) => &it.ident,
            Item::Enum(it) => &it.ident,
            Item::Fn(it) => &it.sig.ident,
            Item::Static(it) => &it.ident,
            Item::Struct(it) => &it.ident,
            Item::Trait(it) => &it.ident,
            Item::TraitAlias(it) => &it.ident,
            Item::Type(it) => &it.ident,
            Item::Union(it) => &it.ident,
            Item::Macro(it) => match &it.ident {
                Some(name) => name,
                None => return,
            },
            _ => return,
        };
        self.items.insert(name.to_string());
    }

    fn take_use(&mut self, tree: &UseTree, prefix: &[String]) {
        let line = tree.span().start().line;
        let named = |last: Option<String>| Named {
            path: prefix.iter().cloned().chain(last).collect(),
            line,
        };
        match tree {
            UseTree::Path(it) => {
                let prefix = [prefix, &[it.ident.to_string()]].concat();
                self.take_use(&it.tree, &prefix);
            }
            UseTree::Group(it) => {
                for tree in &it.items {
                    self.take_use(tree, prefix);
                }
            }
            UseTree::Glob(_) => self.uses.push(Use {
                from: named(None),
                name: None,
            }),
            UseTree::Name(it) if it.ident == "self" => self.uses.push(Use {
                from: named(None),
                name: prefix.last().cloned(),
            }),
            UseTree::Name(it) => self.uses.push(Use {
                from: named(Some(it.ident.to_string())),
                name: Some(it.ident.to_string()),
            }),
            UseTree::Rename(it) => {
                let last = Some(it.ident.to_string()).filter(|it| it != "self");
                self.uses.push(Use {
                    from: named(last),
                    name: Some(it.rename.to_string()),
                });
            }
        }
    }

    fn take_path(&mut self, path: Vec<String>, line: usize) {
        if !path.is_empty() {
            self.paths.push(Named { path, line });
        }
    }

    /// Inside a macro call nothing is parsed: every `a::b` counts as a path.
    fn take_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut colons, mut line) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Punct(it) if it.as_char() == ':' => colons += 1,
                TokenTree::Ident(it) => {
                    if colons != 2 || path.is_empty() {
                        self.take_path(std::mem::take(&mut path), line);
                        line = it.span().start().line;
                    }
                    path.push(it.to_string());
                    colons = 0;
                }
                TokenTree::Group(it) => {
                    self.take_path(std::mem::take(&mut path), line);
                    colons = 0;
                    self.take_tokens(it.stream());
                }
                _ => {
                    self.take_path(std::mem::take(&mut path), line);
                    colons = 0;
                }
            }
        }
        self.take_path(path, line);
    }
}

impl Visit<'_> for Module {
    fn visit_item(&mut self, item: &Item) {
        if is_for_tests(attributes(item)) {
            return;
        }
        self.define(item);
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &ItemMod) {
        let name = item.ident.to_string();
        match &item.content {
            None => self.children.push(name),
            Some((_, items)) => self.inline.push((name, module(items, &self.file))),
        }
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        self.take_use(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let segments = path.segments.iter().map(|it| it.ident.to_string());
        self.take_path(segments.collect(), path.span().start().line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, it: &syn::Macro) {
        visit::visit_macro(self, it);
        self.take_tokens(it.tokens.clone());
    }

    fn visit_visibility(&mut self, _: &Visibility) {
        // `pub(in crate::a)` imports nothing.
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

/// `#[cfg(test)]`, alone or with more that must hold, and `#[test]`.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        if attribute.path().is_ident("test") {
            return true;
        }
        let Ok(list) = attribute.meta.require_list() else {
            return false;
        };
        let condition = list.tokens.to_string();
        list.path.is_ident("cfg") && (condition == "test" || condition.starts_with("all (test"))
    })
}
