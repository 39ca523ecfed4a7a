//! Whether conditions hold for the request, and the first that does not. The engine is asked
//! about each of them alone.

use btp_engine::holds;
use btp_policy::spec::{
    MetadataMatch, OnMissing, PathPattern, Selector, SourceCondition, ValueCondition,
};

use super::asked::Asked;

/// Whether something is for the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Applies {
    Yes,
    /// Why not.
    No(String),
    /// It depends on what nobody can know here.
    Unknown(String),
}

impl Applies {
    pub(super) fn is_yes(&self) -> bool {
        *self == Self::Yes
    }

    pub(super) fn unknown(&self) -> Option<&str> {
        match self {
            Self::Unknown(why) => Some(why),
            _ => None,
        }
    }
}

/// A condition of its own.
struct Condition {
    selector: Selector,
    /// What is so if it does not hold.
    fails: String,
    /// Why it cannot be told whether it does.
    unknown: Option<String>,
}

/// Whether one of the alternatives is met, or there are none.
pub(super) fn meets_any(selectors: &[Selector], asked: &Asked) -> Applies {
    let mut reasons = Vec::new();
    let mut unknown = None;
    for selector in selectors {
        match meets(selector, asked) {
            Applies::Yes => return Applies::Yes,
            Applies::No(reason) => reasons.push(reason),
            it @ Applies::Unknown(_) => unknown = unknown.or(Some(it)),
        }
    }
    match unknown {
        Some(unknown) => unknown,
        None if reasons.is_empty() => Applies::Yes,
        None => Applies::No(reasons.join("; ")),
    }
}

/// Whether all conditions are met.
pub(super) fn meets(selector: &Selector, asked: &Asked) -> Applies {
    let headers = asked.headers();
    let mut unknown = None;
    for condition in conditions(selector, asked) {
        match condition.unknown {
            Some(why) => unknown = unknown.or(Some(why)),
            None if holds(&headers, asked.source, &condition.selector) => {}
            None => return Applies::No(condition.fails),
        }
    }
    unknown.map_or(Applies::Yes, Applies::Unknown)
}

/// What the request is counted by, for each `Distinct` value.
pub(super) fn keys(selector: &Selector, asked: &Asked) -> Vec<String> {
    let is_distinct = |it: &ValueCondition| matches!(it, ValueCondition::Distinct(_));
    let headers = selector
        .headers
        .iter()
        .filter(|it| is_distinct(&it.condition));
    let missing = |it: &ValueCondition| match it {
        ValueCondition::Distinct(OnMissing::Limit) => ": all of these share one bucket",
        ValueCondition::Distinct(OnMissing::Refuse) => ": these are refused",
        _ => "",
    };
    let shown = |value: Option<String>, condition| match value {
        Some(value) => format!("{value:?}"),
        None => format!("absent{}", missing(condition)),
    };
    let headers = headers.map(|it| {
        let name = it.name.as_str();
        let value = shown(header(asked, name), &it.condition);
        format!("header {name} ({value})")
    });
    let params = selector
        .query_params
        .iter()
        .filter(|it| is_distinct(&it.condition));
    let params = params.map(|it| {
        let name = &it.name;
        format!(
            "query parameter {name} ({})",
            shown(asked.param(name), &it.condition)
        )
    });
    let metadata = selector
        .metadata
        .iter()
        .filter(|it| it.condition.is_distinct());
    let metadata = metadata.map(|it| format!("metadata {}", it.path.join(":")));
    let mut keys: Vec<String> = headers.chain(params).chain(metadata).collect();
    let prefixes = selector.sources.iter().filter_map(|it| it.distinct);
    if let Some(prefix) = prefixes.max() {
        let source = asked
            .source
            .map_or("unknown".to_owned(), |it| it.to_string());
        keys.push(match prefix {
            btp_policy::spec::WHOLE_ADDRESS => format!("client address ({source})"),
            bits => format!("first {bits} bits of the client address ({source})"),
        });
    }
    keys
}

fn conditions(selector: &Selector, asked: &Asked) -> Vec<Condition> {
    let mut found = Vec::new();
    for it in &selector.headers {
        let name = it.name.as_str();
        found.push(Condition {
            selector: Selector {
                headers: vec![it.clone()],
                ..Selector::default()
            },
            fails: fails_value(
                &format!("header {name}"),
                header(asked, name),
                &it.condition,
            ),
            unknown: None,
        });
    }
    for it in &selector.methods {
        let method = asked.request.method();
        let excluded = it.none_of.iter().any(|other| other == method);
        found.push(Condition {
            selector: Selector {
                methods: vec![it.clone()],
                ..Selector::default()
            },
            fails: match excluded {
                true => format!("method {method} is excluded"),
                false => format!("method {method} is not {}", it.any_of.join(" or ")),
            },
            unknown: None,
        });
    }
    for it in &selector.paths {
        let path = asked.request.path();
        let not = if it.invert { "" } else { "not " };
        found.push(Condition {
            selector: Selector {
                paths: vec![it.clone()],
                ..Selector::default()
            },
            fails: match &it.pattern {
                PathPattern::Exact(wanted) => format!("path {path} is {not}{wanted}"),
                PathPattern::Prefix(prefix) => {
                    format!("path {path} is {not}{prefix} or below it")
                }
                PathPattern::Regex(regex) => {
                    format!("path {path} is {not}matched by {}", regex.pattern())
                }
            },
            unknown: None,
        });
    }
    for it in &selector.query_params {
        let text = format!("query parameter {}", it.name);
        let value = asked.param(&it.name);
        found.push(Condition {
            selector: Selector {
                query_params: vec![it.clone()],
                ..Selector::default()
            },
            fails: fails_value(&text, value, &it.condition),
            unknown: None,
        });
    }
    found.extend(selector.sources.iter().map(|it| source(*it, asked)));
    for it in &selector.metadata {
        let is_needed = !matches!(
            it.condition,
            MetadataMatch::Distinct(on) if on != OnMissing::Exempt
        );
        let why = format!("metadata {} is set by other filters", it.path.join(":"));
        found.push(Condition {
            selector: Selector {
                metadata: vec![it.clone()],
                ..Selector::default()
            },
            fails: why.clone(),
            unknown: is_needed.then_some(why),
        });
    }
    found
}

fn source(it: SourceCondition, asked: &Asked) -> Condition {
    let range = it.range;
    let place = if it.invert { "inside" } else { "outside" };
    let client = asked.source.map_or_else(String::new, |it| it.to_string());
    Condition {
        selector: Selector {
            sources: vec![it],
            ..Selector::default()
        },
        fails: format!("client {client} is {place} of {range}"),
        unknown: asked
            .source
            .is_none()
            .then(|| format!("whether the client is in {range}: give --source-ip")),
    }
}

fn fails_value(what: &str, value: Option<String>, condition: &ValueCondition) -> String {
    let Some(value) = value else {
        return format!("{what} is absent");
    };
    let is = format!("{what} is {value:?}");
    match condition {
        ValueCondition::Exact { invert: true, .. } => format!("{is}, which is excluded"),
        ValueCondition::Exact { value, .. } => format!("{is}, not {value:?}"),
        ValueCondition::Regex { regex, invert } => {
            let matches = if *invert { "matches" } else { "does not match" };
            format!("{is}, which {} {matches}", regex.pattern())
        }
        ValueCondition::Distinct(_) => is,
    }
}

fn header(asked: &Asked, name: &str) -> Option<String> {
    asked.request.header(name)
}

impl Asked {
    /// A query parameter, as the request spells it.
    fn param(&self, name: &str) -> Option<String> {
        let target = self.request.target();
        let (_, query) = target.split_once('?')?;
        let mut pairs = query
            .split('&')
            .map(|it| it.split_once('=').unwrap_or((it, "")));
        pairs
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use btp_policy::PluginConfig;

    use super::super::asked::Known;
    use super::*;
    use crate::envoy::route_match::Request;

    const SELECTORS: [&str; 14] = [
        r#"{"headers": [{"name": "x-user", "value": "alice"}]}"#,
        r#"{"headers": [{"name": "x-user", "value": "alice", "invert": true}]}"#,
        r#"{"headers": [{"name": "x-user", "type": "RegularExpression", "value": "a.*"}]}"#,
        r#"{"headers": [{"name": "x-user", "type": "RegularExpression", "value": "a.*",
            "invert": true}]}"#,
        r#"{"headers": [{"name": "x-user", "type": "Distinct"}]}"#,
        r#"{"headers": [{"name": "x-user", "type": "Distinct", "onMissing": "Limit"}]}"#,
        r#"{"methods": [{"value": "GET"}, {"value": "PUT"}]}"#,
        r#"{"methods": [{"value": "GET", "invert": true}]}"#,
        r#"{"path": {"value": "/a"}}"#,
        r#"{"path": {"type": "Exact", "value": "/a", "invert": true}}"#,
        r#"{"queryParams": [{"name": "q", "value": "1 2"}]}"#,
        r#"{"sourceCIDR": {"value": "10.0.0.0/8"}}"#,
        r#"{"sourceCIDR": {"value": "10.0.0.0/8", "invert": true}}"#,
        r#"{"path": {"value": "/a"}, "headers": [{"name": "x-user", "value": "alice"}]}"#,
    ];

    fn selector(text: &str) -> Selector {
        let text = format!(
            r#"{{"policies": [{{"metadata": {{"name": "p"}}, "spec": {{"rateLimit": {{"local": {{
            "rules": [{{"limit": {{"requests": 1, "unit": "Hour"}},
            "clientSelectors": [{text}]}}]}}}}}}}}]}}"#
        );
        let mut config = PluginConfig::parse(text.as_bytes()).expect("is valid");
        let policy = config.policies.remove(0);
        let mut local = policy
            .spec
            .rate_limit
            .and_then(|it| it.local)
            .expect("is there");
        local.rules.remove(0).selector
    }

    fn asked(line: &str, user: Option<&str>, source: Option<&str>) -> Asked {
        let known = Known {
            headers: Vec::new(),
            source: source.map(|it| it.parse().expect("an address")),
            body: None,
        };
        let headers = user.map(|user| ("x-user".to_owned(), user.to_owned()));
        let request = Request::parse(line).expect("a request");
        Asked::new(request.with_headers(headers.into_iter().collect()), &known)
    }

    /// One by one they come to what they come to together.
    #[test]
    fn conditions_alone_are_as_all_of_them() {
        let mut seen = [0, 0];
        for text in SELECTORS {
            let selector = selector(text);
            for line in ["GET /a/b?q=1%202", "PUT /a", "POST /ab?q=1"] {
                for user in [None, Some("alice"), Some("bob")] {
                    for source in ["10.1.2.3", "192.0.2.1"] {
                        let asked = asked(line, user, Some(source));
                        let whole = holds(&asked.headers(), asked.source, &selector);
                        let applies = meets(&selector, &asked);
                        assert_eq!(
                            applies.is_yes(),
                            whole,
                            "{text} {line} {user:?} {applies:?}"
                        );
                        assert_eq!(applies.unknown(), None);
                        seen[usize::from(whole)] += 1;
                    }
                }
            }
        }
        assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
    }

    #[test]
    fn what_nobody_has_said_is_unknown_unless_another_condition_fails() {
        let unknown = |text: &str, line: &str| {
            let asked = asked(line, None, None);
            let applies = meets(&selector(text), &asked);
            applies.unknown().map(str::to_owned)
        };
        let source = r#"{"path": {"value": "/a"}, "sourceCIDR": {"value": "10.0.0.0/8"}}"#;
        assert!(unknown(source, "/a").is_some_and(|it| it.contains("--source-ip")));
        assert_eq!(unknown(source, "/b"), None);
        let claim = r#"{"metadata": [{"namespace": "jwt", "path": ["plan"], "value": "gold"}]}"#;
        assert!(unknown(claim, "/a").is_some_and(|it| it.contains("jwt:plan")));
    }
}
