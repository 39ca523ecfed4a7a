//! The conditions of a policy, and the values of dynamic metadata in them that a dynamic
//! module cannot read.

use btp_policy::Position;
use btp_policy::spec::{Capability, MetadataCondition, Selector, Spec};

/// A condition on requests.
#[derive(Clone, Debug)]
pub(crate) struct Placed<'a> {
    pub(crate) capability: Capability,
    /// It is asked behind the router, for each try.
    pub(crate) is_behind: bool,
    /// Its field, below `spec`.
    pub(crate) path: String,
    pub(crate) selector: &'a Selector,
}

/// All conditions of a spec.
pub(crate) fn selectors(spec: &Spec) -> Vec<Placed<'_>> {
    let mut found = Found(Vec::new());
    if let Some(fault) = &spec.fault_injection {
        let is_behind = fault.position == Position::Upstream;
        let capability = Capability::FaultInjection;
        found.add(
            capability,
            is_behind,
            &fault.matches,
            "faultInjection.match",
        );
    }
    for (index, rule) in spec.response_override.iter().enumerate() {
        let path = format!("responseOverride[{index}].match.requests");
        let capability = Capability::ResponseOverride;
        found.add(capability, false, &rule.matching.requests, &path);
    }
    let local = spec.rate_limit.as_ref().and_then(|it| it.local.as_ref());
    if let Some(local) = local.filter(|it| !it.disabled) {
        let capability = Capability::RateLimit;
        found.add(capability, false, &local.exempt, "rateLimit.local.exempt");
        found.0.extend(local.rules.iter().map(|rule| Placed {
            capability,
            is_behind: false,
            path: format!("rateLimit.local.rules[{}].clientSelectors", rule.index),
            selector: &rule.selector,
        }));
        for rule in &local.rules {
            let classes = rule.concurrency.iter().flat_map(|it| &it.classes);
            let path = format!("rateLimit.local.rules[{}].concurrency.classes", rule.index);
            found
                .0
                .extend(classes.enumerate().map(|(index, class)| Placed {
                    capability,
                    is_behind: false,
                    path: format!("{path}[{index}].clientSelectors"),
                    selector: &class.selector,
                }));
        }
    }
    if let Some(buffer) = &spec.request_buffer {
        for (index, rule) in buffer.rules.iter().enumerate() {
            let path = format!("requestBuffer.rules[{index}].match");
            found.add(Capability::RequestBuffer, false, &rule.matches, &path);
        }
    }
    found.0
}

struct Found<'a>(Vec<Placed<'a>>);

impl<'a> Found<'a> {
    fn add(
        &mut self,
        capability: Capability,
        is_behind: bool,
        selectors: &'a [Selector],
        path: &str,
    ) {
        let all = selectors.iter().enumerate();
        self.0.extend(all.map(|(index, selector)| Placed {
            capability,
            is_behind,
            path: format!("{path}[{index}]"),
            selector,
        }));
    }
}

/// A value of dynamic metadata that a dynamic module cannot read by itself. A module can
/// read only texts, numbers and booleans directly under a key of a namespace; the value
/// under this key is nested, or may be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Nested {
    namespace: String,
    key: String,
    /// Without it a condition cannot hold; else it is shown in case it is needed.
    pub(crate) is_needed: bool,
}

/// What is between namespace and key in Envoy's operator.
const BETWEEN: char = ':';

impl Nested {
    /// Those that a condition reads.
    pub(crate) fn of(selector: &Selector) -> impl Iterator<Item = Self> {
        selector.metadata.iter().filter_map(|it| {
            let [namespace, key, deeper @ ..] = &it.path[..] else {
                return None;
            };
            let is_needed = !deeper.is_empty();
            // What is counted by its value may as well be a list or an object.
            let is_counted = it.condition.is_distinct();
            (is_needed || is_counted).then(|| Self {
                namespace: namespace.clone(),
                key: key.clone(),
                is_needed,
            })
        })
    }

    /// The part of its place that Envoy's operator cannot say, if there is one.
    pub(crate) fn unsayable(&self) -> Option<&str> {
        let is_odd = |part: &&str| part.contains([BETWEEN, ')', '\n', '\r']);
        [self.namespace.as_str(), &self.key]
            .into_iter()
            .find(is_odd)
    }

    /// The key of the filter state in which the module looks for it.
    pub(crate) fn state_key(&self) -> String {
        MetadataCondition::state_key(&self.namespace, &self.key)
    }

    /// Envoy's operator for it.
    pub(crate) fn operator(&self) -> String {
        format!(
            "%DYNAMIC_METADATA({}{BETWEEN}{})%",
            self.namespace, self.key
        )
    }
}

/// The nested values that what an instance of the filter enforces of these specs
/// reads: with these capabilities, in front of the router or behind it.
pub(crate) fn nested<'a>(
    specs: impl Iterator<Item = &'a Spec>,
    has: impl Fn(Capability) -> bool,
    is_behind: bool,
) -> Vec<Nested> {
    let all = specs.flat_map(selectors);
    let own = all.filter(|it| has(it.capability) && it.is_behind == is_behind);
    let mut found: Vec<Nested> = own.flat_map(|it| Nested::of(it.selector)).collect();
    // Of the same place what is needed comes last, and is kept.
    found.sort();
    found.reverse();
    found.dedup_by(|one, other| one.state_key() == other.state_key());
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use btp_policy::PluginConfig;

    #[test]
    fn what_stands_under_a_key_is_shown_once_and_needed_if_something_is_deeper() {
        let conditions = r#"
            {"namespace":"n","path":["plain"],"value":"x"},
            {"namespace":"n","path":["a"],"type":"Distinct"},
            {"namespace":"n","path":["a","b"],"value":1},
            {"namespace":"n","path":["a","c"],"value":1},
            {"namespace":"n","path":["list"],"type":"Distinct"},
            {"namespace":"n","path":["x:y","b"],"value":1}"#;
        let text = format!(
            r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{{"rateLimit":{{"local":{{"rules":[
            {{"limit":{{"requests":1,"unit":"Hour"}},"clientSelectors":[{{"metadata":[{conditions}]}}]}}]}}}}}}}}]}}"#
        );
        let config = PluginConfig::parse(text.as_bytes()).unwrap();
        let specs = || config.policies.iter().map(|it| &it.spec);
        let found = nested(specs(), |_| true, false);
        let shown: Vec<(String, bool)> = found
            .iter()
            .map(|it| (it.state_key(), it.is_needed))
            .collect();
        assert_eq!(
            shown,
            [
                ("btp.metadata.n:a".to_owned(), true),
                ("btp.metadata.n:list".to_owned(), false),
                ("btp.metadata.n:x:y".to_owned(), true),
            ]
        );
        assert_eq!(found[0].operator(), "%DYNAMIC_METADATA(n:a)%");
        assert_eq!(found[0].unsayable(), None);
        assert_eq!(found[2].unsayable(), Some("x:y"));
        assert_eq!(nested(specs(), |_| true, true), []);
        let none = nested(specs(), |it| it != Capability::RateLimit, false);
        assert_eq!(none, []);
        let classes = r#"{"policies":[{"metadata":{"name":"p"},"spec":{"rateLimit":{"local":{"rules":[
            {"concurrency":{"max":1,"classes":[{"name":"c","clientSelectors":[
                {"metadata":[{"namespace":"n","path":["a","b"],"value":1}]}]}]}}]}}}}]}"#;
        let config = PluginConfig::parse(classes.as_bytes()).unwrap();
        let found = nested(config.policies.iter().map(|it| &it.spec), |_| true, false);
        let shown: Vec<String> = found.iter().map(|it| it.state_key()).collect();
        assert_eq!(shown, ["btp.metadata.n:a"]);
    }
}
