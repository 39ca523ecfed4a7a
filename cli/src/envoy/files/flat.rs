//! A configuration in several files as one: what `envoy --mode validate`
//! checks, as it looks into no other file than the bootstrap.

use btp_policy::Code;
use btp_policy::node::{Node, Value};
use btp_policy::path::FieldPath;
use btp_policy::problem::Problem;

use super::{Config, Kind, Syntax, parse, path_of};
use crate::envoy::address::at_mut;
use crate::envoy::listener::connection_managers;
use crate::envoy::tree::{
    WrongKind, field, field_mut, items, list_mut, object_mut, remove, set, text,
};

/// Which field of the bootstrap names a file, and the list that takes its
/// place.
const LISTS: [(&str, &str, Kind); 2] = [
    ("lds_config", "listeners", Kind::Listeners),
    ("cds_config", "clusters", Kind::Clusters),
];

impl Config {
    /// The bootstrap, with the resources of all files in it.
    pub(crate) fn flat(&self) -> Result<Node, Problem> {
        let mut files = Vec::new();
        for (index, file) in self.files.iter().enumerate() {
            let text = self.text(index, file.syntax);
            files.push(parse(&text, file.syntax)?);
        }
        let Some(mut root) = files.first().cloned() else {
            return Err(Problem::new("", Code::NoBootstrap, "there is no bootstrap"));
        };
        for (name, list, kind) in LISTS {
            let Some(index) = self.files.iter().position(|it| it.kind == kind) else {
                continue;
            };
            let wrong = |it: WrongKind| {
                Problem::new(
                    FieldPath::written(&it.field),
                    Code::WrongShape,
                    it.to_string(),
                )
            };
            remove(
                object_mut(&mut root, "dynamic_resources").map_err(wrong)?,
                name,
            );
            let resources = items(&files[index], "resources").iter();
            let resources = resources.map(|it| untyped(it.clone()));
            let statics = object_mut(&mut root, "static_resources").map_err(wrong)?;
            list_mut(statics, list).map_err(wrong)?.extend(resources);
        }
        if field(&root, "dynamic_resources").is_some_and(|it| it.value == Value::Map(Vec::new())) {
            remove(&mut root, "dynamic_resources");
        }
        let statics = field_mut(&mut root, "static_resources");
        let listeners = statics.and_then(|it| field_mut(it, "listeners"));
        if let Some(Value::List(listeners)) = listeners.map(|it| &mut it.value) {
            for listener in listeners {
                self.put_routes_into(listener, &files);
            }
        }
        Ok(root)
    }

    /// The text of [`Self::flat`].
    pub(crate) fn flat_text(&self, syntax: Syntax) -> Result<String, Problem> {
        Ok(super::render(&self.flat()?, syntax))
    }

    /// Has the connection managers of a listener hold their routes.
    fn put_routes_into(&self, listener: &mut Node, files: &[Node]) {
        let managers = connection_managers(listener);
        let ways: Vec<_> = managers.into_iter().map(|(way, _, _)| way).collect();
        for way in ways {
            let Some(hcm) = at_mut(listener, &way) else {
                continue;
            };
            let Some(rds) = field(hcm, "rds") else {
                continue;
            };
            let source = field(rds, "config_source").filter(|it| path_of(it).is_some());
            let file = source.and_then(|it| self.file_of(it));
            let name = text(rds, "route_config_name").unwrap_or_default();
            let tables = file.map_or(&[][..], |it| items(&files[it], "resources"));
            let table = tables.iter().find(|it| text(it, "name") == Some(name));
            if let Some(table) = table.cloned() {
                remove(hcm, "rds");
                set(hcm, "route_config", untyped(table));
            }
        }
    }
}

/// A resource as a field has it, whose type is known.
fn untyped(mut resource: Node) -> Node {
    remove(&mut resource, "@type");
    resource
}
