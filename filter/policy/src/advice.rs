//! What is right as the API sees it, and yet probably not what is wanted.

mod global_limits;
mod native;
mod own;
mod retries;

use crate::code::Code;
use crate::node::{Mark, Node, Value};
use crate::path::Path;
use crate::problem::Problems;
use crate::read::At;
use crate::scalar::Duration;

/// Notes advice on a `spec` in which nothing is wrong.
pub fn advise(spec: At<'_>, warnings: &mut Problems) {
    let mut advice = Advice { spec, warnings };
    advice.on_fields_by_hand();
    advice.on_retries();
    advice.on_retry_constraint();
    advice.on_timeouts();
    advice.on_health();
    advice.on_circuit_breaker();
    advice.on_faults();
    advice.on_overrides();
    advice.on_distinct_limits();
    advice.on_global_limits();
    advice.on_buffers();
    advice.on_old_fields();
    advice.on_ignored_fields();
    advice.on_compressors();
    advice.on_fields_beside_others();
}

/// Notes advice that holds for a filter that is set up by hand alone: what
/// `btp apply` sees to by itself.
pub fn advise_by_hand(spec: At<'_>, warnings: &mut Problems) {
    Advice { spec, warnings }.on_retry_constraint_by_hand();
}

struct Advice<'a, 'b> {
    spec: At<'a>,
    warnings: &'b mut Problems,
}

impl Advice<'_, '_> {
    fn get(&self, path: &[&str]) -> Option<&Node> {
        path.iter()
            .try_fold(self.spec.node, |node, name| node.field(name))
    }

    fn duration(&self, path: &[&str]) -> Option<Duration> {
        Duration::parse(self.get(path)?.as_str()?)
    }

    fn text(&self, path: &[&str]) -> &str {
        self.get(path).and_then(Node::as_str).unwrap_or("")
    }

    fn items(&self, path: &[&str]) -> &[Node] {
        match self.get(path).map(|node| &node.value) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    /// Advises on what stands at `path`.
    fn say(&mut self, path: &[&str], code: Code, advice: impl Into<String>) {
        let mark = self.get(path).unwrap_or(self.spec.node).mark;
        say_at(
            &self.spec.path,
            path,
            mark,
            (code, &advice.into()),
            self.warnings,
        );
    }

    fn on_old_fields(&mut self) {
        for (path, new) in [
            (&["compression"][..], "compressor"),
            (
                &["loadBalancer", "consistentHash", "header"],
                "headers, with type Headers",
            ),
        ] {
            if self.get(path).is_some() {
                self.say(
                    path,
                    Code::DeprecatedField,
                    format!("is deprecated: write {new}"),
                );
            }
        }
        if self.get(&["rateLimit", "type"]).is_some() {
            let message = "is deprecated: local and global speak for themselves";
            self.say(&["rateLimit", "type"], Code::DeprecatedField, message);
        }
    }

    fn on_ignored_fields(&mut self) {
        for path in [
            &["connection", "socketBufferLimit"][..],
            &["loadBalancer", "dynamicModule"],
        ] {
            if self.get(path).is_some() {
                self.say(
                    path,
                    Code::IneffectiveField,
                    "is accepted by Envoy Gateway and has no effect",
                );
            }
        }
        let unused = match self.text(&["rateLimit", "type"]) {
            "Local" => "global",
            "Global" => "local",
            _ => return,
        };
        if self.get(&["rateLimit", unused]).is_some() {
            let message = "has no effect: rateLimit.type says otherwise";
            self.say(&["rateLimit", unused], Code::OtherRateLimitType, message);
        }
    }
}

fn say_at(
    path: &Path<'_>,
    below: &[&str],
    mark: Mark,
    said: (Code, &str),
    warnings: &mut Problems,
) {
    match below {
        [] => warnings.note(path, mark, said.0, said.1),
        [name, rest @ ..] => say_at(&Path::Field(path, name), rest, mark, said, warnings),
    }
}

#[cfg(test)]
mod tests;
