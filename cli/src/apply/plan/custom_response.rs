//! `responseOverride[].redirect` without a mode: Envoy's internal redirect, which only its
//! own `custom_response` filter can perform.

use btp_policy::Code;
use btp_policy::node::{Node, Value};
use btp_policy::path::FieldPath;

use super::Scene;
use super::draft::Draft;
use super::errors::Errors;
use super::perform::{Changed, perform};
use crate::apply::effective::Effective;
use crate::apply::redirects::{
    by_status, codes, is_internal_redirect, keeps_status, meeting, whole,
};
use crate::documents::Input;
use crate::envoy::json::{list, node, put};
use crate::envoy::tree::{EMPTY, find, items, list_mut, text, unplaced};
use crate::translate::{Change, Operation, Path, Step, Target};

/// The filter, and its settings on a route.
const NAME: &str = "btp.custom_response";
const TYPE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.custom_response.v3.CustomResponse";

const FIELD: &str = "spec.responseOverride";

/// Puts internal redirects into force.
pub(super) fn apply(
    scene: Scene<'_>,
    draft: &mut Draft<'_>,
    effective: &mut [Effective],
    errors: &mut Errors<'_>,
) {
    let mut managers = Vec::new();
    for it in effective {
        let Some(matcher) = redirects_of(it, scene.input, errors) else {
            continue;
        };
        let settings = Path::new("typed_per_filter_config");
        let change = Change {
            field: FIELD.to_owned(),
            also: Vec::new(),
            target: Target::Route,
            path: settings.then(Step::Field(NAME.to_owned())),
            operation: Operation::Set(matcher),
        };
        for (manager, id) in it.routes.clone() {
            perform(
                scene,
                draft,
                it,
                &change,
                &Changed::route(scene, id),
                errors,
            );
            if !managers.contains(&manager) {
                managers.push(manager);
            }
        }
    }
    for manager in managers {
        let manager = &scene.model.managers[manager];
        if let Some(hcm) = draft.change_in(&manager.listener, &manager.address) {
            let filter = node!({ "name": NAME, "typed_config": { "@type": TYPE } });
            match list_mut(hcm, "http_filters") {
                Ok(filters) => filters.insert(0, filter),
                Err(wrong) => errors.wrong_kind(draft.config(), &manager.address, &wrong),
            }
        }
    }
}

/// The settings of a route for the internal redirects of a spec.
fn redirects_of(it: &Effective, input: &Input, errors: &mut Errors<'_>) -> Option<Node> {
    let rules = it.spec.field("responseOverride")?;
    let Value::List(rules) = &rules.value else {
        return None;
    };
    if !rules.iter().any(is_internal_redirect) {
        return None;
    }
    let above = it.parents.first();
    let above = above.map(|parent| &input.policies[*parent].node);
    let inherits = above.is_some_and(|it| find(it, &["spec", "responseOverride"]).is_some());
    if let Some((redirect, other, status)) = meeting(rules) {
        let reason = format!(
            "is a redirect without a mode, which Envoy itself does, and rule {other} also matches \
             status {status}: Envoy sees the response after the filter, so the first rule would \
             not win; use different statuses, set mode: Client, or move the redirect to its own \
             policy"
        );
        errors.refuse_field(
            it.policy,
            FieldPath::written(&format!("{FIELD}[{redirect}]")),
            Code::RedirectMeets,
            reason,
        );
        return None;
    }
    if inherits {
        let reason = "replaces the rules of the policy it merges with by redirects without a \
            mode, which Envoy itself does: leave mergeType out";
        errors.refuse_field(
            it.policy,
            FieldPath::written(FIELD),
            Code::RedirectsMerged,
            reason,
        );
        return None;
    }
    let mut matchers = Vec::new();
    for (place, rule) in rules.iter().enumerate() {
        if !is_internal_redirect(rule) {
            continue;
        }
        match matchers_of(rule) {
            Ok(of_rule) => matchers.extend(of_rule),
            Err(unknown) => {
                let reason = format!(
                    "has the condition {}, which Envoy's internal redirect does not support",
                    unknown.0
                );
                errors.refuse_field(
                    it.policy,
                    FieldPath::written(&format!("{FIELD}[{place}]")),
                    Code::UnknownCondition,
                    reason,
                );
            }
        }
    }
    Some(node!({
        "@type": TYPE,
        "custom_response_matcher": { "matcher_list": { "matchers": (list(matchers)) } },
    }))
}

/// A condition that Envoy's internal redirect does not know.
struct UnknownCondition(String);

/// What Envoy does by a rule. It writes one status, so a rule that keeps the original one
/// is one for each.
fn matchers_of(rule: &Node) -> Result<Vec<Node>, UnknownCondition> {
    let matcher = |rule: &Node, status: i64| {
        Ok(node!({
            "on_match": { "action": (action(rule, status)) },
            "predicate": (predicate(rule)?),
        }))
    };
    if keeps_status(rule) {
        let each = by_status(rule);
        return each.map(|(status, rule)| matcher(&rule, status)).collect();
    }
    let status = find(rule, &["redirect", "statusCode"]).and_then(whole);
    Ok(vec![matcher(rule, status.unwrap_or(302))?])
}

/// When a rule applies: all of its conditions.
fn predicate(rule: &Node) -> Result<Node, UnknownCondition> {
    let conditions = rule.field("match");
    if let Some(Value::Map(entries)) = conditions.map(|it| &it.value) {
        let is_unknown = |key: &str| !matches!(key, "statusCodes" | "responseHeaders");
        if let Some(entry) = entries.iter().find(|it| is_unknown(&it.key)) {
            return Err(UnknownCondition(entry.key.clone()));
        }
    }
    let of_kind = |name: &str| conditions.map_or(&[][..], |it| items(it, name));
    let mut all = Vec::new();
    let codes = of_kind("statusCodes").iter().flat_map(codes);
    let codes: Vec<String> = codes.map(|code| code.to_string()).collect();
    if !codes.is_empty() {
        all.push(single(STATUS, None, regex(node!(codes.join("|")))));
    }
    for header in of_kind("responseHeaders") {
        let value = find(header, &["value", "value"]).map_or(EMPTY, unplaced);
        let kind = find(header, &["value", "type"]).and_then(Node::as_str);
        let value = match kind.unwrap_or("Exact") {
            "Prefix" => node!({ "prefix": (value) }),
            "Suffix" => node!({ "suffix": (value) }),
            "RegularExpression" => regex(value),
            _ => node!({ "exact": (value) }),
        };
        all.push(single(HEADER, text(header, "name"), value));
    }
    match text(rule, "source") {
        Some("Local") => all.push(single(LOCAL, None, node!({ "exact": "true" }))),
        Some("Backend") => all.push(single(LOCAL, None, node!({ "exact": "false" }))),
        _ => {}
    }
    Ok(match all.len() {
        1 => all.remove(0),
        _ => node!({ "and_matcher": { "predicate": (list(all)) } }),
    })
}

/// What is looked at.
const STATUS: &str = "HttpResponseStatusCodeMatchInput";
const HEADER: &str = "HttpResponseHeaderMatchInput";
const LOCAL: &str = "HttpResponseLocalReplyMatchInput";

fn single(input: &str, header: Option<&str>, value: Node) -> Node {
    let kind = format!("type.googleapis.com/envoy.type.matcher.v3.{input}");
    let mut config = node!({ "@type": kind });
    put(&mut config, "header_name", header);
    node!({
        "single_predicate": {
            "input": { "name": input, "typed_config": (config) },
            "value_match": (value),
        }
    })
}

fn regex(pattern: Node) -> Node {
    node!({ "safe_regex": { "google_re2": {}, "regex": (pattern) } })
}

/// What is done: the request runs again, and its answer is given.
fn action(rule: &Node, status: i64) -> Node {
    let mut to = EMPTY;
    for (name, path) in [
        ("host_redirect", &["redirect", "hostname"][..]),
        ("path_redirect", &["redirect", "path", "replaceFullPath"]),
        ("port_redirect", &["redirect", "port"]),
        ("scheme_redirect", &["redirect", "scheme"]),
    ] {
        put(&mut to, name, find(rule, path).map(unplaced));
    }
    node!({
        "name": "redirect",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.http.custom_response.redirect_policy.v3.RedirectPolicy",
            "redirect_action": (to),
            "status_code": (status),
        }
    })
}
