//! Which rules count a given request, outside of any exchange.

use std::net::IpAddr;

use btp_policy::spec::LocalRateLimit;

use super::LimitsCompiler;
use super::compile::in_order;
use crate::definitions::Definitions;
use crate::host::headers::HeaderView;
use crate::request::Request;

/// The places in the policy's list of the rules that count a request of which this is known,
/// and no metadata.
#[must_use]
pub fn counting_rules(
    local: &LocalRateLimit,
    headers: &dyn HeaderView,
    source: Option<IpAddr>,
) -> Vec<usize> {
    let mut compiler = LimitsCompiler::new(1);
    let Some(limits) = compiler.compile(local, &mut Definitions::new(usize::MAX)) else {
        return Vec::new();
    };
    let mut matched = Vec::new();
    limits.match_rules(&Request::new(headers, source), [0; 2], 0, &mut matched);
    let places: Vec<usize> = in_order(local).map(|(place, _)| place).collect();
    let place = |rule: usize| places.get(rule).copied();
    matched.iter().filter_map(|it| place(it.rule)).collect()
}

#[cfg(test)]
mod tests {
    use btp_policy::PluginConfig;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn rules_are_named_by_their_places_in_the_list() {
        let rules = r#"[
            {"limit": {"requests": 1, "unit": "Hour"}},
            {"limit": {"requests": 1, "unit": "Hour"}, "clientSelectors": [{"path": {"value": "/a"}}]},
            {"limit": {"requests": 1, "unit": "Hour"}, "clientSelectors": [{"path": {"value": "/a/b"}}]}
        ]"#;
        let counting = |mode: &str, path: &str| {
            let text = format!(
                r#"{{"policies": [{{"metadata": {{"name": "p"}}, "spec": {{"rateLimit": {{"local":
                {{"mode": "{mode}", "exempt": [{{"path": {{"value": "/free"}}}}],
                "rules": {rules}}}}}}}}}]}}"#
            );
            let config = PluginConfig::parse(text.as_bytes()).expect("is valid");
            let policy = config.policies.first().expect("has one");
            let limits = policy.spec.rate_limit.as_ref().expect("has limits");
            let headers = vec![(":path", path.as_bytes())];
            counting_rules(limits.local.as_ref().expect("local ones"), &headers, None)
        };
        assert_eq!(counting("AllMatching", "/a/b"), [1, 2]);
        assert_eq!(counting("FirstMatch", "/a/b"), [1]);
        assert_eq!(counting("AllMatching", "/c"), [0]);
        assert_eq!(counting("AllMatching", "/free"), [0; 0]);
    }
}
