//! `responseOverride[].redirect` without a mode: Envoy's internal redirect,
//! which its own `custom_response` filter does and no other filter can.

use btp_policy::json;
use btp_policy::node::{Node, Value};
use serde_json::{Value as Json, json as object};

use super::Applier;
use crate::apply::filter::is_internal_redirect;
use crate::apply::govern::sites_of;
use crate::apply::placement::Destination;
use crate::envoy::json::string;
use crate::envoy::tree::{list_mut, object_mut, set};

/// The filter, and its settings on a route.
const NAME: &str = "btp.custom_response";
const TYPE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.custom_response.v3.CustomResponse";

impl Applier<'_> {
    /// Puts internal redirects into force.
    pub(super) fn apply_redirects(&mut self) {
        let model = self.model;
        let mut managers = Vec::new();
        for index in 0..self.effective.len() {
            let Some(matcher) = self.redirects_of(index) else {
                continue;
            };
            for (manager, place) in self.effective[index].sites.clone() {
                let site = &sites_of(model, &model.managers[manager])[place];
                let config = match json::parse(matcher.to_string().as_bytes()) {
                    Ok(config) => config,
                    Err(problem) => return self.refuse(&site.address, problem.to_string()),
                };
                if let Some(route) = self.change(&site.address) {
                    set(object_mut(route, "typed_per_filter_config"), NAME, config);
                }
                if !managers.contains(&manager) {
                    managers.push(manager);
                }
            }
            let part = format!("typed_per_filter_config[{NAME}]");
            let native = &mut self.effective[index].native;
            native.add("responseOverride", Destination::Routes(part));
        }
        for manager in managers {
            let manager = &model.managers[manager];
            self.change(&manager.listener);
            if let Some(hcm) = self.config.at_mut(&manager.address) {
                let mut filter = Node::unplaced(Value::Map(Vec::new()));
                set(&mut filter, "name", string(NAME));
                set(
                    object_mut(&mut filter, "typed_config"),
                    "@type",
                    string(TYPE),
                );
                list_mut(hcm, "http_filters").insert(0, filter);
            }
        }
    }

    /// The settings of a route for the internal redirects of a spec.
    fn redirects_of(&mut self, index: usize) -> Option<Json> {
        let it = &self.effective[index];
        let rules = it.spec.field("responseOverride")?;
        let Value::List(rules) = &rules.value else {
            return None;
        };
        let count = rules.iter().filter(|it| is_internal_redirect(it)).count();
        if count == 0 {
            return None;
        }
        let (policy, parent) = (it.policy, it.parent);
        let above = parent.and_then(|parent| self.input.policies[parent].node.field("spec"));
        let inherits = above.is_some_and(|spec| spec.field("responseOverride").is_some());
        if count < rules.len() {
            let reason = "has redirects without a mode beside other rules: those are Envoy's own \
                          to do, and the first rule that matches could be of either; give them \
                          mode: Client, or a policy of their own";
            self.refuse_field(policy, "spec.responseOverride", reason.to_owned());
            return None;
        }
        if inherits {
            let reason = "replaces the rules of the policy it merges with by redirects without a \
                          mode, which are Envoy's own to do: leave mergeType out";
            self.refuse_field(policy, "spec.responseOverride", reason.to_owned());
            return None;
        }
        let mut matchers = Vec::new();
        let mut wrong = Vec::new();
        for (place, rule) in rules.iter().enumerate() {
            let path = format!("spec.responseOverride[{place}]");
            let rule = serde_json::to_value(rule).unwrap_or_default();
            match predicate(&rule) {
                Ok(predicate) => matchers.push(object!({
                    "predicate": predicate,
                    "on_match": {"action": action(&rule["redirect"])},
                })),
                Err(reason) => wrong.push((path, reason)),
            }
        }
        for (path, reason) in wrong {
            self.refuse_field(policy, &path, reason);
        }
        Some(object!({
            "@type": TYPE,
            "custom_response_matcher": {"matcher_list": {"matchers": matchers}},
        }))
    }
}

/// When a rule applies: all of its conditions.
fn predicate(rule: &Json) -> Result<Json, String> {
    let conditions = rule["match"].as_object();
    for key in conditions.into_iter().flat_map(|it| it.keys()) {
        if !matches!(key.as_str(), "statusCodes" | "responseHeaders") {
            return Err(format!(
                "has the condition {key}, which Envoy's internal redirect does not know"
            ));
        }
    }
    let mut all = Vec::new();
    let codes: Vec<String> = items(&rule["match"]["statusCodes"])
        .flat_map(codes)
        .collect();
    if !codes.is_empty() {
        let value = object!({"safe_regex": {"google_re2": {}, "regex": codes.join("|")}});
        all.push(single(
            "HttpResponseStatusCodeMatchInput",
            Json::Null,
            value,
        ));
    }
    for header in items(&rule["match"]["responseHeaders"]) {
        let (kind, value) = (header["value"]["type"].as_str(), &header["value"]["value"]);
        let value = match kind.unwrap_or("Exact") {
            "Prefix" => object!({"prefix": value}),
            "Suffix" => object!({"suffix": value}),
            "RegularExpression" => object!({"safe_regex": {"google_re2": {}, "regex": value}}),
            _ => object!({"exact": value}),
        };
        all.push(single(
            "HttpResponseHeaderMatchInput",
            header["name"].clone(),
            value,
        ));
    }
    match rule["source"].as_str() {
        Some("Local") => all.push(single(LOCAL, Json::Null, object!({"exact": "true"}))),
        Some("Backend") => all.push(single(LOCAL, Json::Null, object!({"exact": "false"}))),
        _ => {}
    }
    Ok(match all.len() {
        1 => all.remove(0),
        _ => object!({"and_matcher": {"predicate": all}}),
    })
}

const LOCAL: &str = "HttpResponseLocalReplyMatchInput";

fn single(input: &str, header: Json, value: Json) -> Json {
    let mut config =
        object!({"@type": format!("type.googleapis.com/envoy.type.matcher.v3.{input}")});
    if !header.is_null() {
        config["header_name"] = header;
    }
    object!({"single_predicate": {
        "input": {"name": input, "typed_config": config},
        "value_match": value,
    }})
}

/// The codes of one condition.
fn codes(condition: &Json) -> Vec<String> {
    let range = &condition["range"];
    match (range["start"].as_u64(), range["end"].as_u64()) {
        (Some(start), Some(end)) => (start..=end.min(999)).map(|it| it.to_string()).collect(),
        _ => condition["value"]
            .as_u64()
            .map(|it| it.to_string())
            .into_iter()
            .collect(),
    }
}

/// What is done: the request runs again, and its answer is given.
fn action(redirect: &Json) -> Json {
    let mut to = object!({});
    let fields = [
        ("scheme_redirect", &redirect["scheme"]),
        ("host_redirect", &redirect["hostname"]),
        ("port_redirect", &redirect["port"]),
        ("path_redirect", &redirect["path"]["replaceFullPath"]),
    ];
    for (name, value) in fields {
        if !value.is_null() {
            to[name] = value.clone();
        }
    }
    let status = redirect["statusCode"].as_u64().unwrap_or(302);
    object!({"name": "redirect", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.http.custom_response.redirect_policy.v3.RedirectPolicy",
        "redirect_action": to,
        "status_code": status,
    }})
}

fn items(value: &Json) -> impl Iterator<Item = &Json> {
    value.as_array().into_iter().flatten()
}
