//! Old and loose spellings from public documents, corrected.
//!
//! The filter is strict. The command line tool accepts these spellings, reports the present
//! ones, and passes on the strict form.

use crate::code::Code;
use crate::node::{Entry, Mark, Node, Value};
use crate::path::Path;
use crate::problem::Problems;

/// Puts the spellings in a policy right. Each one is noted as a warning.
pub fn upgrade_spelling(policy: &mut Node, warnings: &mut Problems) {
    let root = Path::Root;
    let path = Path::Field(&root, "spec");
    let Some(spec) = field_mut(policy, "spec") else {
        return;
    };
    upgrade_targets(spec, &path, warnings);
    if let Some(retry) = field_mut(spec, "retry") {
        upgrade_retry(retry, &Path::Field(&path, "retry"), warnings);
    }
    if let Some(breaker) = field_mut(spec, "circuitBreaker") {
        let path = Path::Field(&path, "circuitBreaker");
        rename(
            breaker,
            "maxRequests",
            "maxParallelRequests",
            &path,
            warnings,
        );
    }
    if let Some(health) = field_mut(spec, "healthCheck") {
        upgrade_health(health, &Path::Field(&path, "healthCheck"), warnings);
    }
    if let Some(session) = field_mut(spec, "sessionPersistence") {
        let path = Path::Field(&path, "sessionPersistence");
        upgrade_session(session, &path, warnings);
    }
    if let Some(local) = field_mut(spec, "rateLimit").and_then(|it| field_mut(it, "local")) {
        let path = Path::Field(&path, "rateLimit");
        upgrade_limit(local, &Path::Field(&path, "local"), warnings);
    }
}

fn upgrade_targets(spec: &mut Node, path: &Path<'_>, warnings: &mut Problems) {
    if spec.field("targetRefs").is_none()
        && let Some(entry) = take(spec, "targetRef")
    {
        let reason = "is deprecated: write targetRefs, a list";
        warnings.note(
            &Path::Field(path, "targetRef"),
            entry.mark,
            Code::OldSpelling,
            reason,
        );
        put(
            spec,
            "targetRefs",
            Value::List(vec![entry.node]),
            entry.mark,
        );
    }
    let list = Path::Field(path, "targetRefs");
    if let Some(Value::List(targets)) = field_mut(spec, "targetRefs").map(|it| &mut it.value) {
        for (index, target) in targets.iter_mut().enumerate() {
            if matches!(target.value, Value::Map(_)) && target.field("group").is_none() {
                let group = "gateway.networking.k8s.io";
                let reason = format!("has no group: write group: {group}");
                warnings.note(
                    &Path::Item(&list, index),
                    target.mark,
                    Code::ImpliedField,
                    reason,
                );
                let mark = target.mark;
                take(target, "group");
                put(target, "group", Value::String(group.to_owned()), mark);
            }
        }
    }
}

fn upgrade_retry(retry: &mut Node, path: &Path<'_>, warnings: &mut Problems) {
    if let Some(on) = field_mut(retry, "retryOn")
        && let Some(items) = flat_triggers(on)
    {
        let (codes, triggers): (Vec<Node>, Vec<Node>) = items
            .into_iter()
            .partition(|item| matches!(item.value, Value::Int(_)));
        let mark = on.mark;
        let reason = "is an object today: write triggers and httpStatusCodes in it";
        warnings.note(
            &Path::Field(path, "retryOn"),
            mark,
            Code::OldSpelling,
            reason,
        );
        on.value = Value::Map(Vec::new());
        if !triggers.is_empty() {
            put(on, "triggers", Value::List(triggers), mark);
        }
        if !codes.is_empty() {
            put(on, "httpStatusCodes", Value::List(codes), mark);
        }
    }
    move_into(
        retry,
        "retriableStatusCodes",
        ("retryOn", "httpStatusCodes"),
        path,
        warnings,
    );
    move_into(
        retry,
        "perRetryTimeout",
        ("perRetry", "timeout"),
        path,
        warnings,
    );
}

/// Triggers and status codes in a list, or in one text with commas, as Envoy's
/// own `retry_on` has them.
fn flat_triggers(on: &Node) -> Option<Vec<Node>> {
    match &on.value {
        Value::List(items) => Some(items.clone()),
        Value::String(text) => {
            let parts = text.split(',').map(str::trim);
            let parts = parts.filter(|part| !part.is_empty()).map(|part| Node {
                mark: on.mark,
                value: match part.parse() {
                    Ok(code) => Value::Int(code),
                    Err(_) => Value::String(part.to_owned()),
                },
            });
            Some(parts.collect())
        }
        _ => None,
    }
}

fn upgrade_health(health: &mut Node, path: &Path<'_>, warnings: &mut Problems) {
    if let Some(passive) = field_mut(health, "passive") {
        let path = Path::Field(path, "passive");
        rename(
            passive,
            "consecutive5xxErrors",
            "consecutive5XxErrors",
            &path,
            warnings,
        );
    }
    if let Some(active) = field_mut(health, "active")
        && active.field("type").is_none()
    {
        let kinds = [("http", "HTTP"), ("tcp", "TCP"), ("grpc", "GRPC")];
        let found = kinds
            .iter()
            .find(|(field, _)| active.field(field).is_some());
        if let Some((_, kind)) = found {
            let reason = format!("has no type: write type: {kind}");
            let mark = active.mark;
            warnings.note(
                &Path::Field(path, "active"),
                mark,
                Code::ImpliedField,
                reason,
            );
            take(active, "type");
            put(active, "type", Value::String((*kind).to_owned()), mark);
        }
    }
}

/// As the Gateway API had it until release 1.6.
fn upgrade_session(session: &mut Node, path: &Path<'_>, warnings: &mut Problems) {
    let is_header = session.field("type").and_then(Node::as_str) == Some("Header");
    rename(session, "cookieConfig", "cookie", path, warnings);
    let parent = if is_header { "header" } else { "cookie" };
    move_into(session, "sessionName", (parent, "name"), path, warnings);
}

/// A limit without the rule that it is of.
fn upgrade_limit(local: &mut Node, path: &Path<'_>, warnings: &mut Problems) {
    if local.field("rules").is_some() || local.field("requests").is_none() {
        return;
    }
    let mut limit = Vec::new();
    for name in ["requests", "unit"] {
        limit.extend(take(local, name));
    }
    let Some(mark) = limit.first().map(|it| it.mark) else {
        return;
    };
    let reason = "is in a rule today: write rules, a list, with limit in it";
    warnings.note(
        &Path::Field(path, "requests"),
        mark,
        Code::OldSpelling,
        reason,
    );
    let entry = Entry {
        key: "limit".to_owned(),
        mark,
        node: Node {
            mark,
            value: Value::Map(limit),
        },
    };
    let rule = Node {
        mark,
        value: Value::Map(vec![entry]),
    };
    take(local, "rules");
    put(local, "rules", Value::List(vec![rule]), mark);
}

/// Gives the field `old` the name `new`, unless there is one of that name.
fn rename(object: &mut Node, old: &str, new: &str, path: &Path<'_>, warnings: &mut Problems) {
    if object.field(new).is_some() {
        return;
    }
    if let Some(entry) = take(object, old) {
        let reason = format!("is an old spelling: write {new}");
        warnings.note(
            &Path::Field(path, old),
            entry.mark,
            Code::OldSpelling,
            reason,
        );
        take(object, new);
        put(object, new, entry.node.value, entry.node.mark);
    }
}

/// Moves the field `old` to `parent.field`, unless that has a value.
fn move_into(
    object: &mut Node,
    old: &str,
    (parent, field): (&str, &str),
    path: &Path<'_>,
    warnings: &mut Problems,
) {
    let there = object.field(parent).and_then(|it| it.field(field));
    if there.is_some() {
        return;
    }
    let Some(entry) = take(object, old) else {
        return;
    };
    let reason = format!("is an old spelling: write {parent}.{field}");
    warnings.note(
        &Path::Field(path, old),
        entry.mark,
        Code::OldSpelling,
        reason,
    );
    if object.field(parent).is_none() {
        take(object, parent);
        put(object, parent, Value::Map(Vec::new()), entry.mark);
    }
    if let Some(parent) = field_mut(object, parent) {
        take(parent, field);
        put(parent, field, entry.node.value, entry.node.mark);
    }
}

fn field_mut<'a>(object: &'a mut Node, name: &str) -> Option<&'a mut Node> {
    let Value::Map(entries) = &mut object.value else {
        return None;
    };
    let entry = entries.iter_mut().find(|entry| entry.key == name)?;
    (entry.node.value != Value::Null).then_some(&mut entry.node)
}

/// Takes the field out; one that is null is dropped.
fn take(object: &mut Node, name: &str) -> Option<Entry> {
    let Value::Map(entries) = &mut object.value else {
        return None;
    };
    let index = entries.iter().position(|entry| entry.key == name)?;
    let entry = entries.remove(index);
    (entry.node.value != Value::Null).then_some(entry)
}

fn put(object: &mut Node, name: &str, value: Value, mark: Mark) {
    if let Value::Map(entries) = &mut object.value {
        entries.push(Entry {
            key: name.to_owned(),
            mark,
            node: Node { mark, value },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn upgraded(spec: &str) -> (serde_json::Value, Vec<String>) {
        let mut node = json::parse(format!(r#"{{"spec":{spec}}}"#).as_bytes()).unwrap();
        let mut warnings = Problems::default();
        upgrade_spelling(&mut node, &mut warnings);
        let warnings = warnings.into_vec();
        (
            serde_json::to_value(node.field("spec").unwrap()).unwrap(),
            warnings.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn every_old_spelling_is_put_right() {
        for (old, new, path) in [
            (
                r#"{"targetRef":{"kind":"HTTPRoute","name":"r","group":"g"}}"#,
                r#"{"targetRefs":[{"kind":"HTTPRoute","name":"r","group":"g"}]}"#,
                "spec.targetRef: ",
            ),
            (
                r#"{"targetRefs":[{"kind":"HTTPRoute"}]}"#,
                r#"{"targetRefs":[{"kind":"HTTPRoute","group":"gateway.networking.k8s.io"}]}"#,
                "spec.targetRefs[0]: ",
            ),
            (
                r#"{"retry":{"retryOn":["5xx",503,"reset"]}}"#,
                r#"{"retry":{"retryOn":{"triggers":["5xx","reset"],"httpStatusCodes":[503]}}}"#,
                "spec.retry.retryOn: ",
            ),
            (
                r#"{"retry":{"retryOn":"5xx, reset,503,"}}"#,
                r#"{"retry":{"retryOn":{"triggers":["5xx","reset"],"httpStatusCodes":[503]}}}"#,
                "spec.retry.retryOn: ",
            ),
            (
                r#"{"retry":{"retriableStatusCodes":[503]}}"#,
                r#"{"retry":{"retryOn":{"httpStatusCodes":[503]}}}"#,
                "spec.retry.retriableStatusCodes: ",
            ),
            (
                r#"{"retry":{"perRetryTimeout":"1s","perRetry":{"backOff":{}}}}"#,
                r#"{"retry":{"perRetry":{"backOff":{},"timeout":"1s"}}}"#,
                "spec.retry.perRetryTimeout: ",
            ),
            (
                r#"{"circuitBreaker":{"maxRequests":5}}"#,
                r#"{"circuitBreaker":{"maxParallelRequests":5}}"#,
                "spec.circuitBreaker.maxRequests: ",
            ),
            (
                r#"{"healthCheck":{"passive":{"consecutive5xxErrors":5}}}"#,
                r#"{"healthCheck":{"passive":{"consecutive5XxErrors":5}}}"#,
                "spec.healthCheck.passive.consecutive5xxErrors: ",
            ),
            (
                r#"{"healthCheck":{"active":{"tcp":{}}}}"#,
                r#"{"healthCheck":{"active":{"tcp":{},"type":"TCP"}}}"#,
                "spec.healthCheck.active: ",
            ),
            (
                r#"{"sessionPersistence":{"sessionName":"s","cookie":{}}}"#,
                r#"{"sessionPersistence":{"cookie":{"name":"s"}}}"#,
                "spec.sessionPersistence.sessionName: ",
            ),
            (
                r#"{"sessionPersistence":{"type":"Header","sessionName":"s"}}"#,
                r#"{"sessionPersistence":{"type":"Header","header":{"name":"s"}}}"#,
                "spec.sessionPersistence.sessionName: ",
            ),
            (
                r#"{"sessionPersistence":{"cookieConfig":{"lifetimeType":"Session"}}}"#,
                r#"{"sessionPersistence":{"cookie":{"lifetimeType":"Session"}}}"#,
                "spec.sessionPersistence.cookieConfig: ",
            ),
            (
                r#"{"rateLimit":{"local":{"requests":5,"unit":"Hour"}}}"#,
                r#"{"rateLimit":{"local":{"rules":[{"limit":{"requests":5,"unit":"Hour"}}]}}}"#,
                "spec.rateLimit.local.requests: ",
            ),
        ] {
            let (found, warnings) = upgraded(old);
            assert_eq!(
                found,
                serde_json::from_str::<serde_json::Value>(new).unwrap()
            );
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(warnings[0].starts_with(path), "{warnings:?}");
            assert_eq!(upgraded(new), (found, Vec::new()), "not stable");
        }
    }

    #[test]
    fn the_new_spelling_goes_before_the_old_one() {
        let both = r#"{"circuitBreaker":{"maxRequests":5,"maxParallelRequests":6}}"#;
        let (found, warnings) = upgraded(both);
        assert_eq!(
            found,
            serde_json::from_str::<serde_json::Value>(both).unwrap()
        );
        assert!(warnings.is_empty());
    }
}
