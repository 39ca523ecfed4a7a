//! A person's Envoy configuration: the bootstrap, and the files that it
//! takes listeners, clusters and routes from.

mod flat;
mod follow;
mod kind;
mod text;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use btp_policy::Code;
use btp_policy::node::{Mark, Node, Value};
use btp_policy::problem::Problem;
use btp_policy::{json, yaml};

use super::address::{Address, Step, at, at_mut};
use super::listener::connection_managers;
use super::plugin::{Build, build_in};
use super::text::layout::as_envoy_reads;
use super::text::{json_out, yaml_out};
use super::tree::{field, same, type_of};
use super::undo;
use crate::diagnostics::Source;
use crate::file_error::FileError;
use crate::source_file::{self, is_stdin};
pub(crate) use follow::{discovery_paths, path_of};
pub(crate) use kind::Kind;
pub(crate) use text::rewritten;

/// One file of the configuration.
#[derive(Debug)]
pub(crate) struct File {
    /// Where it was read.
    pub(crate) name: PathBuf,
    pub(crate) kind: Kind,
    /// What it says, and later what it is to say.
    pub(crate) node: Node,
    /// Its text.
    pub(crate) source: Source,
    pub(crate) syntax: Syntax,
    /// Its content without the additions of an earlier run.
    clean: Node,
    /// The text of that.
    clean_text: String,
}

/// What the file is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    Yaml,
    Json,
}

/// All files; the bootstrap is the first.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) files: Vec<File>,
    /// What was wrong with reading them, and in which.
    pub(crate) problems: Vec<(usize, Problem)>,
    /// Where results go: what lies there is no input if the same file lies
    /// beside the bootstrap.
    out_dir: Option<PathBuf>,
}

impl Syntax {
    /// By the ending of a file's name.
    pub(crate) fn of(name: &Path) -> Self {
        match name.extension().and_then(|it| it.to_str()) {
            Some("json") => Self::Json,
            _ => Self::Yaml,
        }
    }

    /// By what a text is that has no name.
    fn of_text(text: &str) -> Self {
        match json::parse(text.as_bytes()) {
            Ok(_) => Self::Json,
            Err(_) => Self::Yaml,
        }
    }
}

impl Config {
    /// Reads a bootstrap and the files it names.
    pub(crate) fn read(bootstrap: &Path) -> Result<Self, FileError> {
        Self::read_for(bootstrap, None)
    }

    /// Reads a bootstrap and the files it names, of which the results will go
    /// to a folder.
    pub(crate) fn read_for(bootstrap: &Path, out_dir: Option<&Path>) -> Result<Self, FileError> {
        let mut config = Self {
            files: Vec::new(),
            problems: Vec::new(),
            out_dir: out_dir.and_then(|it| it.canonicalize().ok()),
        };
        config.add(bootstrap.to_owned(), Kind::Bootstrap)?;
        if config.files[0].node.value != Value::Null {
            config.check_bootstrap();
        }
        if !config.problems.is_empty() {
            return Ok(config);
        }
        config.follow_all()?;
        Ok(config)
    }

    /// Takes away what an earlier run has added.
    pub(crate) fn restore(&mut self) {
        let names = [undo::EMPTY_STATS, undo::EMPTY_RUNTIME, undo::NO_CLUSTERS];
        let [stats, runtime, clusters] = names.map(|name| self.noted(name));
        for (index, file) in self.files.iter_mut().enumerate() {
            let (kept, problems) = undo::take_back(&mut file.node);
            if index == 0 {
                super::stats::remove(&mut file.node, stats.as_deref());
                super::runtime::remove(&mut file.node, runtime.as_deref());
                if let Some(missing) = &clusters {
                    super::static_clusters::remove(&mut file.node, missing);
                }
            }
            file.clean_up(&kept);
            let problems = problems.into_iter();
            self.problems.extend(problems.map(|it| (index, it)));
        }
    }

    /// What the record of a listener says of the bootstrap.
    fn noted(&self, name: &str) -> Option<String> {
        let listeners = self.listeners();
        let records = listeners.iter().filter_map(|it| self.at(it));
        let mut found = records.filter_map(|it| undo::noted(it, name)?.as_str());
        found.next().map(str::to_owned)
    }

    /// The node at an address.
    pub(crate) fn at(&self, address: &Address) -> Option<&Node> {
        at(&self.files.get(address.file)?.node, &address.path)
    }

    /// The node at an address, to be changed.
    pub(crate) fn at_mut(&mut self, address: &Address) -> Option<&mut Node> {
        at_mut(&mut self.files.get_mut(address.file)?.node, &address.path)
    }

    /// The file that `path_config_source` of a `ConfigSource` names.
    pub(crate) fn file_of(&self, source: &Node) -> Option<usize> {
        let wanted = self.locate(&path_of(source)?);
        self.files.iter().position(|file| file.name == wanted)
    }

    /// Every listener.
    pub(crate) fn listeners(&self) -> Vec<Address> {
        self.resources("listeners", "Listener")
    }

    /// Every cluster.
    pub(crate) fn clusters(&self) -> Vec<Address> {
        self.resources("clusters", "Cluster")
    }

    /// The build of the first instance of the filter.
    pub(crate) fn build(&self) -> Option<Build> {
        let listeners = self.listeners();
        let listeners = listeners.iter().filter_map(|it| self.at(it));
        let mut managers = listeners.flat_map(connection_managers);
        managers.find_map(|(_, _, hcm)| build_in(hcm))
    }

    /// The static resources of one kind, and those in files.
    fn resources(&self, list: &str, kind: &str) -> Vec<Address> {
        let key = |name: &str| Step::Key(name.to_owned());
        let mut found = Vec::new();
        for (index, file) in self.files.iter().enumerate() {
            let path = match index {
                0 => vec![key("static_resources"), key(list)],
                _ => vec![key("resources")],
            };
            let Some(Value::List(items)) = at(&file.node, &path).map(|node| &node.value) else {
                continue;
            };
            let list = Address { file: index, path };
            for (place, item) in items.iter().enumerate() {
                if index == 0 || type_of(item) == Some(kind) {
                    found.push(list.item(place));
                }
            }
        }
        found
    }

    /// The text of a file, changed.
    pub(crate) fn text(&self, file: usize, syntax: Syntax) -> String {
        self.files[file].text(syntax)
    }

    /// The text of a file as it was read.
    pub(crate) fn text_before(&self, file: usize) -> &str {
        &self.files[file].source.text
    }

    /// Whether this file is other than it was, the traces of earlier runs
    /// aside.
    pub(crate) fn is_changed(&self, file: usize) -> bool {
        let file = &self.files[file];
        !same(&file.node, &file.clean)
    }

    fn add(&mut self, path: PathBuf, kind: Kind) -> Result<(), FileError> {
        let source = source_file::read(&path)?;
        let text = source.text.clone();
        let index = self.files.len();
        let syntax = match is_stdin(&path) {
            true => Syntax::of_text(&text),
            false => Syntax::of(&path),
        };
        let node = parse(&source.text, syntax).unwrap_or_else(|problem| {
            self.problems.push((index, problem));
            Node::unplaced(Value::Null)
        });
        refuse_duplicates(&node, &mut Address::root(index), &mut |problem| {
            self.problems.push((index, problem));
        });
        let problems = kind.problems(&node).into_iter();
        self.problems.extend(problems.map(|it| (index, it)));
        self.files.push(File {
            name: path,
            kind,
            syntax,
            clean: node.clone(),
            clean_text: text,
            node,
            source,
        });
        Ok(())
    }

    fn check_bootstrap(&mut self) {
        let root = &self.files[0].node;
        let is_bootstrap = ["static_resources", "dynamic_resources"]
            .iter()
            .any(|name| field(root, name).is_some());
        if !is_bootstrap {
            let hint = match root.field("kind").and_then(Node::as_str) {
                Some(kind) => format!("; this is a {kind}"),
                None => String::new(),
            };
            let reason = format!(
                "is not an Envoy bootstrap: it has neither static_resources nor \
                 dynamic_resources{hint}"
            );
            let problem = Problem::new("", Code::NoBootstrap, reason).at(root.mark);
            self.problems.push((0, problem));
        }
    }
}

/// What a text says.
pub(crate) fn parse(text: &str, syntax: Syntax) -> Result<Node, Problem> {
    if syntax == Syntax::Json {
        return json::parse(text.as_bytes());
    }
    let mut documents = yaml::parse(text)?;
    if documents.len() != 1 {
        let reason = format!("must contain one YAML document, not {}", documents.len());
        return Err(Problem::new("", Code::NotOneDocument, reason));
    }
    let mut node = documents.remove(0);
    as_envoy_reads(&mut node, text);
    Ok(node)
}

/// A tree in one syntax.
fn render(node: &Node, syntax: Syntax) -> String {
    match syntax {
        Syntax::Yaml => yaml_out::write(node),
        Syntax::Json => json_out::indented(node),
    }
}

fn refuse_duplicates(node: &Node, address: &mut Address, refuse: &mut dyn FnMut(Problem)) {
    match &node.value {
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                address.path.push(Step::Item(index));
                refuse_duplicates(item, address, refuse);
                address.path.pop();
            }
        }
        Value::Map(entries) => {
            let mut keys: BTreeSet<&str> = BTreeSet::new();
            for entry in entries {
                address.path.push(Step::Key(entry.key.clone()));
                if !keys.insert(&entry.key) {
                    let reason = "is given more than once";
                    let problem = Problem::new(&*address, Code::DuplicateKey, reason);
                    refuse(problem.at(entry.mark));
                }
                refuse_duplicates(&entry.node, address, refuse);
                address.path.pop();
            }
        }
        _ => {}
    }
}

/// A problem with what is at an address.
pub(crate) fn problem_at(
    config: &Config,
    address: &Address,
    code: Code,
    reason: impl Into<String>,
) -> Problem {
    Problem::new(address, code, reason).at(mark_of(config, address))
}

/// The mark of a node, or of what is closest above it.
fn mark_of(config: &Config, address: &Address) -> Mark {
    let mut length = address.path.len();
    loop {
        let above = Address {
            file: address.file,
            path: address.path[..length].to_vec(),
        };
        if let Some(node) = config.at(&above)
            && node.mark.is_known()
        {
            return node.mark;
        }
        if length == 0 {
            return Mark::UNKNOWN;
        }
        length -= 1;
    }
}
