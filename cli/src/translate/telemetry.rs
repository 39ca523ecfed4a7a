//! `telemetry`: the route's `stat_prefix` and `tracing`.
//!
//! Nothing is traced unless the connection manager has a `tracing.provider`: `btp apply` and
//! `btp lint --bootstrap` say so.

use btp_policy::attach::named_object;
use btp_policy::native::{CustomTag, CustomTagType, Fraction, NamedTag, Telemetry, Tracing};
use btp_policy::node::Node;
use btp_policy::policy::{DEFAULT_NAMESPACE, TargetKind};

use super::Context;
use super::change::{Changes, Operation, StatName, Target};
use crate::envoy::json::{list, node, put};
use crate::envoy::route_metadata::{Form, RouteMetadata};
use crate::envoy::tree::text;

pub(super) fn translate(telemetry: &Telemetry, context: &Context<'_>, out: &mut Changes) {
    let metrics = telemetry.metrics.as_ref();
    if let Some(template) = metrics.and_then(|it| it.route_stat_name.as_ref())
        && !template.is_empty()
    {
        let name = StatName {
            template: template.clone(),
            namespace: context.namespace.unwrap_or(DEFAULT_NAMESPACE).to_owned(),
            targets: context.targets.to_vec(),
        };
        out.add(
            "telemetry.metrics.routeStatName",
            Target::Route,
            "stat_prefix",
            Operation::RouteStatName(name),
        );
    }
    if let Some(tracing) = &telemetry.tracing {
        let operation = Operation::Set(settings(tracing));
        out.add("telemetry.tracing", Target::Route, "tracing", operation);
    }
}

/// A route without `client_sampling` would trace every request whose client requests it.
fn settings(tracing: &Tracing) -> Node {
    const NONE: Fraction = Fraction {
        numerator: 0,
        denominator: 100,
    };
    let client = tracing.client_sampling_fraction.unwrap_or(NONE);
    let mut settings = node!({ "client_sampling": (percentage(client)) });
    for (name, fraction) in [
        ("random_sampling", tracing.sampling_fraction),
        ("overall_sampling", tracing.overall_sampling_fraction),
    ] {
        put(&mut settings, name, fraction.map(percentage));
    }
    let tags = tags(tracing);
    put(
        &mut settings,
        "custom_tags",
        (!tags.is_empty()).then(|| list(tags)),
    );
    if let Some(names) = &tracing.span_name {
        put(&mut settings, "operation", Some(&names.client));
        put(&mut settings, "upstream_operation", Some(&names.server));
    }
    settings
}

/// In the smallest of Envoy's denominators that has it exactly; else in the largest, rounded
/// down to a millionth.
fn percentage(fraction: Fraction) -> Node {
    const LARGEST: (u64, &str) = (1_000_000, "MILLION");
    let denominators = [(100, "HUNDRED"), (10_000, "TEN_THOUSAND"), LARGEST];
    let part = u128::from(fraction.numerator);
    let of = |parts: u64| part * u128::from(parts);
    let whole = u128::from(fraction.denominator.max(1));
    let exact = denominators
        .into_iter()
        .find(|(parts, _)| of(*parts) % whole == 0);
    let (parts, name) = exact.unwrap_or(LARGEST);
    let numerator = u32::try_from(of(parts) / whole).unwrap_or(u32::MAX);
    node!({ "numerator": numerator, "denominator": name })
}

/// Sorted by name. Where both lists have one, `tags` counts, as in Envoy Gateway.
fn tags(tracing: &Tracing) -> Vec<Node> {
    let custom = tracing.custom_tags.iter();
    let custom = custom.filter(|(name, _)| !tracing.tags.contains_key(*name));
    let mut tags: Vec<(&String, Node)> = custom
        .filter_map(|(name, tag)| Some((name, custom_tag(name, tag)?)))
        .collect();
    let formats = tracing.tags.iter();
    tags.extend(formats.map(|(name, value)| {
        let tag = node!({ "tag": (name.as_str()), "value": (value.as_str()) });
        (name, tag)
    }));
    tags.sort_by_key(|(name, _)| *name);
    tags.into_iter().map(|(_, tag)| tag).collect()
}

/// What is left out has been refused.
fn custom_tag(name: &str, tag: &CustomTag) -> Option<Node> {
    let named = |it: &NamedTag| {
        let mut source = node!({ "name": (it.name.as_str()) });
        put(&mut source, "default_value", it.default_value.as_deref());
        source
    };
    let (kind, source) = match tag.kind {
        CustomTagType::Literal => {
            let value = tag.literal.as_ref()?.value.as_str();
            ("literal", node!({ "value": value }))
        }
        CustomTagType::Environment => ("environment", named(tag.environment.as_ref()?)),
        CustomTagType::RequestHeader => ("request_header", named(tag.request_header.as_ref()?)),
    };
    Some(node!({ "tag": name, (kind): (source) }))
}

/// Why a route has no name for its statistics.
pub(super) const UNKNOWN_ROUTE: &str =
    "neither its metadata nor its name identifies the route object";

/// The name under which a route is counted; `None`: it takes what nobody knows of the route.
/// What has no name is `-`, as in Envoy Gateway.
pub(super) fn stat_name(route: &Node, name: &StatName) -> Option<String> {
    let template = &name.template;
    if !template.contains('%') {
        return Some(template.clone());
    }
    let [kind, namespace, name, rule] = object_of(route, name)?;
    let filled = template
        .replace("%ROUTE_NAME%", &name)
        .replace("%ROUTE_NAMESPACE%", &namespace)
        .replace("%ROUTE_KIND%", &kind)
        .replace(
            "%ROUTE_RULE_NAME%",
            if rule.is_empty() { "-" } else { &rule },
        );
    Some(filled)
}

/// Kind, namespace, name and rule of the object that a route is made of: by its metadata,
/// else by its name.
fn object_of(route: &Node, stat: &StatName) -> Option<[String; 4]> {
    let metadata = RouteMetadata::of(route);
    let said = metadata.resources(Form::Completed).iter().find(|it| {
        let kind = it[0].as_deref().and_then(TargetKind::from_name);
        kind.is_some_and(TargetKind::is_route)
    });
    if let Some(said) = said {
        return Some(said.clone().map(Option::unwrap_or_default));
    }
    let is_target = |object: &str| stat.targets.iter().any(|it| it == object);
    let object = named_object(text(route, "name")?.as_bytes(), &stat.namespace, is_target)?;
    // A rule that is known by its number has no name.
    let rule = object.section.filter(|it| it.parse::<u32>().is_err());
    Some([
        object.kind.as_str().to_owned(),
        object.namespace,
        object.name,
        rule.unwrap_or_default().to_owned(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use btp_policy::json;

    fn name(route: &str) -> Option<String> {
        let name = StatName {
            template: "%ROUTE_KIND%/%ROUTE_NAMESPACE%/%ROUTE_NAME%/%ROUTE_RULE_NAME%".to_owned(),
            namespace: "here".to_owned(),
            targets: vec!["here/cart".to_owned()],
        };
        stat_name(&json::parse(route.as_bytes()).unwrap(), &name)
    }

    #[test]
    fn a_route_is_called_by_its_metadata_and_else_by_its_name() {
        for (route, expected) in [
            (r#"{"name":"shop"}"#, "HTTPRoute/here/shop/-"),
            (r#"{"name":"team/shop"}"#, "HTTPRoute/team/shop/-"),
            (r#"{"name":"cart/pay"}"#, "HTTPRoute/here/cart/pay"),
            (r#"{"name":"team/shop/pay"}"#, "HTTPRoute/team/shop/pay"),
            (
                r#"{"name":"grpcroute/team/shop/rule/2/match/0/x"}"#,
                "GRPCRoute/team/shop/-",
            ),
            (
                r#"{"name":"x","metadata":{"filter_metadata":{"envoy-gateway":{"resources":[
                    {"kind":"Gateway","namespace":"a","name":"b"},
                    {"kind":"GRPCRoute","namespace":"c","name":"d","sectionName":"e"}]}}}}"#,
                "GRPCRoute/c/d/e",
            ),
            (
                r#"{"metadata":{"filter_metadata":{"btp":{"resources":["HTTPRoute/c/d"]}}}}"#,
                "HTTPRoute/c/d/-",
            ),
        ] {
            assert_eq!(name(route).as_deref(), Some(expected), "{route}");
        }
        for nameless in ["{}", r#"{"name":"a/b/c/d"}"#] {
            assert_eq!(name(nameless), None, "{nameless}");
        }
        let plain = StatName {
            template: "plain".to_owned(),
            namespace: "here".to_owned(),
            targets: Vec::new(),
        };
        let found = stat_name(&json::parse(b"{}").unwrap(), &plain);
        assert_eq!(found.as_deref(), Some("plain"));
    }

    #[test]
    fn fractions_keep_to_envoys_denominators() {
        for (numerator, denominator, expected) in [
            (1, 100, r#"{"numerator":1,"denominator":"HUNDRED"}"#),
            (5, 10, r#"{"numerator":50,"denominator":"HUNDRED"}"#),
            (5, 1000, r#"{"numerator":50,"denominator":"TEN_THOUSAND"}"#),
            (7, 100_000, r#"{"numerator":70,"denominator":"MILLION"}"#),
            (1, 3, r#"{"numerator":333333,"denominator":"MILLION"}"#),
            (
                u64::MAX,
                u64::MAX,
                r#"{"numerator":100,"denominator":"HUNDRED"}"#,
            ),
        ] {
            let fraction = Fraction {
                numerator,
                denominator,
            };
            let found = serde_json::to_string(&percentage(fraction)).unwrap();
            assert_eq!(found, expected);
        }
    }
}
