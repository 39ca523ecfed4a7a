//! The files that a configuration names, and those in which filters are
//! discovered: found, and read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use btp_policy::Code;
use btp_policy::node::{Node, Value};
use btp_policy::problem::Problem;

use super::{Config, Kind};
use crate::envoy::listener::connection_managers;
use crate::envoy::tree::{field, find};
use crate::file_error::FileError;

impl Config {
    /// Reads the files that a bootstrap takes listeners, clusters and routes from.
    pub(super) fn follow_all(&mut self) -> Result<(), FileError> {
        for (name, kind) in [
            ("lds_config", Kind::Listeners),
            ("cds_config", Kind::Clusters),
        ] {
            self.follow(&["dynamic_resources", name], kind)?;
        }
        self.follow_routes()
    }

    fn follow(&mut self, way: &[&str], kind: Kind) -> Result<(), FileError> {
        let Some(path) = find(&self.files[0].node, way).and_then(path_of) else {
            return Ok(());
        };
        self.open(&path, kind)
    }

    fn follow_routes(&mut self) -> Result<(), FileError> {
        let mut paths = BTreeSet::new();
        for listener in self.listeners() {
            if let Some(listener) = self.at(&listener) {
                rds_paths(listener, &mut paths);
            }
        }
        for path in paths {
            self.open(&path, Kind::Routes)?;
        }
        Ok(())
    }

    /// Reads the files in which filters will be discovered, if they exist.
    pub(crate) fn follow_extensions(&mut self) -> Result<(), FileError> {
        let mut paths = BTreeSet::new();
        for file in &self.files {
            discovery_paths(&file.node, &mut paths);
        }
        for path in paths {
            if self.locate(&path).is_file() {
                self.open(&path, Kind::Extension)?;
            }
        }
        Ok(())
    }

    fn open(&mut self, path: &str, kind: Kind) -> Result<(), FileError> {
        let place = self.locate(path);
        match self.files.iter().position(|file| file.name == place) {
            Some(file) if self.files[file].kind != kind => {
                let reason = "is named for resources of two kinds: Envoy reads one kind from a \
                    file, so give each kind its own file";
                self.problems
                    .push((file, Problem::new("", Code::FileOfTwoKinds, reason)));
                Ok(())
            }
            Some(_) => Ok(()),
            None => self.add(place, kind),
        }
    }

    /// Where a file that the bootstrap names is here: where it says, or beside
    /// it.
    pub(super) fn locate(&self, path: &str) -> PathBuf {
        let folder = self.files.first().and_then(|it| it.name.parent());
        let folder = folder.unwrap_or(Path::new(""));
        let said = Path::new(path);
        let beside = folder.join(said.file_name().unwrap_or_default());
        let below = folder.join(path.trim_start_matches("./"));
        let is_result = |said: &Path| {
            let home = said.parent().and_then(|it| it.canonicalize().ok());
            home.is_some() && home == self.out_dir
        };
        if said.is_file() && !(is_result(said) && beside.is_file()) {
            return said.to_owned();
        }
        if said.is_relative() && below.is_file() {
            return below;
        }
        beside
    }
}

/// The path of a `ConfigSource` that is a file.
pub(crate) fn path_of(source: &Node) -> Option<String> {
    let path = find(source, &["path_config_source", "path"]).or_else(|| field(source, "path"))?;
    path.as_str().map(str::to_owned)
}

fn rds_paths(listener: &Node, paths: &mut BTreeSet<String>) {
    for (_, _, hcm) in connection_managers(listener) {
        if let Some(path) = find(hcm, &["rds", "config_source"]).and_then(path_of) {
            paths.insert(path);
        }
    }
}

/// Adds the paths of the files that filters are discovered in.
pub(crate) fn discovery_paths(node: &Node, paths: &mut BTreeSet<String>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|it| discovery_paths(it, paths)),
        Value::Map(entries) => {
            let source = find(node, &["config_discovery", "config_source"]);
            paths.extend(source.and_then(path_of));
            entries
                .iter()
                .for_each(|it| discovery_paths(&it.node, paths));
        }
        _ => {}
    }
}
