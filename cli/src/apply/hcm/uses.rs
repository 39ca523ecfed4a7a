//! Which settings of the connection manager a policy depends on.

use btp_policy::spec::{
    FaultInjection, Instead, LocalRateLimit, Sampling, SamplingKey, Selector, Spec,
};

/// Something that holds only if Envoy is set up for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    /// The client's address.
    Address,
    /// The path.
    Path,
    /// Places that requests in flight hold.
    Places,
    /// A redirect to the host that the request names, whichever that is.
    Echo,
}

/// The settings that `spec` depends on, each with the first field that does; every
/// redirect.
pub(super) fn uses(spec: &Spec) -> Vec<(Use, String)> {
    let mut found = Found(Vec::new());
    if let Some(fault) = &spec.fault_injection {
        found.in_fault(fault);
    }
    if let Some(local) = spec.rate_limit.as_ref().and_then(|it| it.local.as_ref()) {
        found.in_limits(local);
    }
    if let Some(buffer) = &spec.request_buffer {
        for (index, rule) in buffer.rules.iter().enumerate() {
            found.in_any(
                &rule.matches,
                &format!("requestBuffer.rules[{index}].match"),
            );
        }
    }
    for (index, rule) in spec.response_override.iter().enumerate() {
        let path = format!("responseOverride[{index}]");
        found.in_any(&rule.matching.requests, &format!("{path}.match.requests"));
        if let Instead::Redirect(redirect) = &rule.instead
            && redirect.echoes_host()
            && redirect.hosts.is_empty()
        {
            found.0.push((Use::Echo, format!("spec.{path}.redirect")));
        }
    }
    found.0
}

struct Found(Vec<(Use, String)>);

impl Found {
    fn add(&mut self, kind: Use, path: &str) {
        if !self.0.iter().any(|(other, _)| *other == kind) {
            self.0.push((kind, format!("spec.{path}")));
        }
    }

    fn in_fault(&mut self, fault: &FaultInjection) {
        self.in_any(&fault.matches, "faultInjection.match");
        if let Sampling::Sticky {
            key: SamplingKey::SourceIp,
            ..
        } = fault.sampling
        {
            self.add(Use::Address, "faultInjection.sampling");
        }
    }

    fn in_limits(&mut self, local: &LocalRateLimit) {
        if local.disabled {
            return;
        }
        self.in_any(&local.exempt, "rateLimit.local.exempt");
        for rule in &local.rules {
            let path = format!("rateLimit.local.rules[{}]", rule.index);
            self.in_selector(&rule.selector, &format!("{path}.clientSelectors"));
            if let Some(concurrency) = &rule.concurrency {
                self.add(Use::Places, &format!("{path}.concurrency"));
                for (index, class) in concurrency.classes.iter().enumerate() {
                    let path = format!("{path}.concurrency.classes[{index}].clientSelectors");
                    self.in_selector(&class.selector, &path);
                }
            }
        }
    }

    fn in_any(&mut self, selectors: &[Selector], path: &str) {
        for (index, selector) in selectors.iter().enumerate() {
            self.in_selector(selector, &format!("{path}[{index}]"));
        }
    }

    fn in_selector(&mut self, selector: &Selector, path: &str) {
        if !selector.sources.is_empty() {
            self.add(Use::Address, path);
        }
        if !selector.paths.is_empty() {
            self.add(Use::Path, path);
        }
    }
}

#[cfg(test)]
mod tests {
    use btp_policy::PluginConfig;

    use super::{Use, uses};

    fn of(spec: &str) -> Vec<(Use, String)> {
        let text = format!(
            r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{spec}}}],
            "allowOnHeadersStopIteration":true}}"#
        );
        let config = PluginConfig::parse(text.as_bytes()).expect("is accepted");
        uses(&config.policies[0].spec)
    }

    #[test]
    fn conditions_are_found_wherever_they_stand() {
        const SOURCE: &str = r#"{"sourceCIDR":{"value":"10.0.0.0/8"}}"#;
        const PATH: &str = r#"{"path":{"value":"/a"}}"#;
        for (kind, condition) in [(Use::Address, SOURCE), (Use::Path, PATH)] {
            for (spec, place) in [
                (
                    format!(
                        r#"{{"faultInjection":{{"abort":{{"httpStatus":500}},"match":[{condition}]}}}}"#
                    ),
                    "spec.faultInjection.match[0]",
                ),
                (
                    format!(
                        r#"{{"requestBuffer":{{"limit":1,"rules":[{{"match":[{condition}],"limit":2}}]}}}}"#
                    ),
                    "spec.requestBuffer.rules[0].match[0]",
                ),
                (
                    format!(
                        r#"{{"responseOverride":[{{"match":{{"requests":[{{"methods":[{{"value":"GET"}}]}},{condition}]}},
                            "response":{{}}}}]}}"#
                    ),
                    "spec.responseOverride[0].match.requests[1]",
                ),
                (
                    format!(
                        r#"{{"rateLimit":{{"local":{{"exempt":[{condition}],
                            "rules":[{{"limit":{{"requests":1,"unit":"Hour"}}}}]}}}}}}"#
                    ),
                    "spec.rateLimit.local.exempt[0]",
                ),
                (
                    format!(
                        r#"{{"rateLimit":{{"local":{{"rules":[{{"clientSelectors":[{condition}],
                            "limit":{{"requests":1,"unit":"Hour"}}}}]}}}}}}"#
                    ),
                    "spec.rateLimit.local.rules[0].clientSelectors",
                ),
            ] {
                assert_eq!(of(&spec), [(kind, place.to_owned())], "{spec}");
            }
        }
    }

    #[test]
    fn sticky_samples_places_and_echoes_are_found() {
        let sampled =
            r#"{"faultInjection":{"abort":{"httpStatus":500},"sampling":{"key":"SourceIP"}}}"#;
        assert_eq!(
            of(sampled),
            [(Use::Address, "spec.faultInjection.sampling".to_owned())]
        );
        let places = r#"{"rateLimit":{"local":{"rules":[{"concurrency":{"max":1}}]}}}"#;
        let place = "spec.rateLimit.local.rules[0].concurrency";
        assert_eq!(of(places), [(Use::Places, place.to_owned())]);
        let classes = r#"{"rateLimit":{"local":{"rules":[{"concurrency":{"max":1,"classes":[
            {"name":"a","clientSelectors":[{"path":{"value":"/a"}}]},
            {"name":"b","clientSelectors":[{"sourceCIDR":{"value":"10.0.0.0/8"}}]}]}}]}}}"#;
        let of_class = |index| format!("{place}.classes[{index}].clientSelectors");
        assert_eq!(
            of(classes),
            [
                (Use::Places, place.to_owned()),
                (Use::Path, of_class(0)),
                (Use::Address, of_class(1)),
            ]
        );
        let redirects = |redirect: &str| {
            let rule = format!(
                r#"{{"match":{{"statusCodes":[{{"value":502}}]}},"redirect":{{"mode":"Client",{redirect}}}}}"#
            );
            of(&format!(r#"{{"responseOverride":[{rule},{rule}]}}"#)).len()
        };
        assert_eq!(
            redirects(r#""scheme":"https""#),
            2,
            "each redirect is named"
        );
        assert_eq!(redirects(r#""scheme":"https","hosts":["a.b"]"#), 0);
        assert_eq!(redirects(r#""scheme":"https","hostname":"a.b""#), 0);
        assert_eq!(of("{}"), []);
    }
}
