//! A file before and after a delivery: its clusters, and the names in it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use btp_policy::node::{Node, Value};

use super::Document;
pub(super) use crate::envoy::files::Kind;
use crate::envoy::files::{self, Syntax, discovery_paths};
use crate::envoy::tree::{items, list_mut, object_mut, text};

/// A file before and after.
#[derive(Debug)]
pub(super) struct File {
    pub(super) kind: Kind,
    pub(super) path: PathBuf,
    /// What is there; `None` if nothing is.
    before: Option<Text>,
    /// The final content.
    after: Text,
    /// When what is there was written, if that is known.
    pub(super) written: Option<SystemTime>,
    /// Whether its content is exchanged.
    pub(super) in_place: bool,
}

/// A text and what it says.
#[derive(Debug)]
struct Text {
    text: String,
    /// Null if it cannot be read.
    node: Node,
}

impl File {
    pub(super) fn read(document: Document) -> io::Result<Self> {
        // A device or a pipe holds nothing that was written there.
        let is_other = fs::metadata(&document.path).is_ok_and(|it| !it.is_file() && !it.is_dir());
        let read = match is_other {
            true => Err(ErrorKind::NotFound.into()),
            false => fs::read(&document.path),
        };
        let (before, written) = match read {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                (Some(text), fs::metadata(&document.path)?.modified().ok())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => (None, None),
            Err(error) => return Err(error),
        };
        Ok(Self {
            written,
            in_place: document.in_place,
            ..Self::of_texts(
                document.kind,
                document.path,
                before.as_deref(),
                &document.text,
            )
        })
    }

    pub(super) fn of_texts(
        kind: Kind,
        path: impl Into<PathBuf>,
        before: Option<&str>,
        after: &str,
    ) -> Self {
        let path = path.into();
        let syntax = Syntax::of(&path);
        let read = |text: &str| Text {
            text: text.to_owned(),
            node: files::parse(text, syntax).unwrap_or(Node::unplaced(Value::Null)),
        };
        Self {
            kind,
            before: before.map(read),
            after: read(after),
            written: None,
            in_place: false,
            path,
        }
    }

    /// What it is called in its folder.
    pub(super) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Whether there is a file.
    pub(super) fn is_there(&self) -> bool {
        self.before.is_some()
    }

    /// Whether there is a file that says nothing that could be read.
    pub(super) fn is_broken(&self) -> bool {
        let before = self.before.as_ref();
        before.is_some_and(|it| it.node.value == Value::Null && !it.text.trim().is_empty())
    }

    /// Whether the current content must change.
    pub(super) fn is_changed(&self) -> bool {
        self.text_before() != Some(&self.after.text)
    }

    pub(super) fn text_before(&self) -> Option<&str> {
        self.before.as_ref().map(|it| it.text.as_str())
    }

    pub(super) fn text_after(&self) -> &str {
        &self.after.text
    }

    /// The names of the resources in it, before and after.
    pub(super) fn resource_names(&self) -> impl Iterator<Item = &str> {
        let texts = self.before.iter().chain([&self.after]);
        texts.flat_map(|it| {
            items(&it.node, "resources")
                .iter()
                .filter_map(|it| text(it, "name"))
        })
    }

    pub(super) fn clusters_before(&self) -> &[Node] {
        self.before.as_ref().map_or(&[], |it| self.clusters(it))
    }

    pub(super) fn clusters_after(&self) -> &[Node] {
        self.clusters(&self.after)
    }

    /// Which of these names the current file contains, anywhere.
    pub(super) fn named_before(&self, names: &BTreeSet<String>) -> BTreeSet<String> {
        self.before
            .as_ref()
            .map_or_else(BTreeSet::new, |it| mentions(&it.node, names))
    }

    /// Which of these names the new file contains, anywhere.
    pub(super) fn named_after(&self, names: &BTreeSet<String>) -> BTreeSet<String> {
        mentions(&self.after.node, names)
    }

    /// The names of the files in which filters are discovered that what is
    /// there speaks of.
    pub(super) fn extensions_before(&self) -> BTreeSet<String> {
        let mut paths = BTreeSet::new();
        if let Some(before) = &self.before {
            discovery_paths(&before.node, &mut paths);
        }
        let name =
            |path: &String| Some(Path::new(path).file_name()?.to_string_lossy().into_owned());
        paths.iter().filter_map(name).collect()
    }

    /// The final content, with more clusters behind its own.
    pub(super) fn with_clusters(&self, more: &[&Node]) -> String {
        if more.is_empty() {
            return self.after.text.clone();
        }
        let mut node = self.after.node.clone();
        let list = match self.kind {
            Kind::Bootstrap => object_mut(&mut node, "static_resources")
                .and_then(|resources| list_mut(resources, "clusters")),
            _ => list_mut(&mut node, "resources"),
        };
        // Clusters that came from there have a list there.
        let Ok(list) = list else {
            return self.after.text.clone();
        };
        list.extend(more.iter().map(|it| (*it).clone()));
        let syntax = Syntax::of(&self.path);
        files::rewritten(&self.after.text, &self.after.node, &node, syntax)
    }

    fn clusters<'a>(&self, text: &'a Text) -> &'a [Node] {
        match self.kind {
            Kind::Clusters => items(&text.node, "resources"),
            Kind::Bootstrap => {
                let resources = crate::envoy::tree::field(&text.node, "static_resources");
                resources.map_or(&[], |it| items(it, "clusters"))
            }
            _ => &[],
        }
    }
}

/// Which of these names a tree contains, as a value or as a key: some extensions name
/// clusters by keys.
pub(super) fn mentions(node: &Node, names: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if !names.is_empty() {
        collect(node, names, &mut found);
    }
    found
}

fn collect(node: &Node, names: &BTreeSet<String>, found: &mut BTreeSet<String>) {
    match &node.value {
        Value::String(text) => found.extend(names.get(text).cloned()),
        Value::List(list) => list.iter().for_each(|it| collect(it, names, found)),
        Value::Map(entries) => {
            for entry in entries {
                found.extend(names.get(&entry.key).cloned());
                collect(&entry.node, names, found);
            }
        }
        _ => {}
    }
}
