//! The hosts that a redirect may lead to when the policy names none. The redirect then
//! repeats the request's host, which the client chooses.

use btp_policy::scalar::Authority;
use btp_policy::spec::{Instead, Redirect};

use super::{AUTHORITY, Operators, Overrides, RequestSnapshot, Rule, SCHEME};
use crate::action::Action;

impl Overrides {
    /// Whether the rule is a redirect to a host that must not be echoed. It
    /// is counted, and the response stays as it is.
    pub(super) fn refuses_redirect(
        &self,
        rule: &Rule,
        snapshot: &RequestSnapshot,
        out: &mut Vec<Action>,
    ) -> bool {
        let Instead::Redirect(redirect) = &rule.rule.instead else {
            return false;
        };
        let captured_value = |name| {
            let captured_value = self.captured_value(&Operators::header(name), None, snapshot);
            captured_value.value().unwrap_or_default()
        };
        let refuses = redirect.echoes_host()
            && !may_be_echoed(
                redirect,
                &captured_value(AUTHORITY),
                &captured_value(SCHEME),
            );
        if refuses {
            out.push(Action::Count(self.refused_redirects));
        }
        refuses
    }
}

/// Whether this is a host, and one of those that the policy lists, if it does.
fn may_be_echoed(redirect: &Redirect, authority: &[u8], scheme: &[u8]) -> bool {
    let Some(asked) = Authority::parse(authority) else {
        return false;
    };
    let default_port = if scheme == b"https" { 443 } else { 80 };
    let is_it = |listed: &String| {
        let listed = Authority::parse(listed.as_bytes());
        listed.is_some_and(|listed| listed.is_same(&asked, default_port))
    };
    redirect.hosts.is_empty() || redirect.hosts.iter().any(is_it)
}

#[cfg(test)]
mod tests {
    use btp_policy::PluginConfig;

    use crate::plan::Plan;
    use crate::testing::{Message, Proxy, demo_upstream};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Where a client that names `authority` is sent, and how many redirects
    /// were refused.
    fn location(redirect: &str, authority: Option<&str>) -> (Option<String>, Option<u64>) {
        let text = format!(
            r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{{"responseOverride":[
                {{"match":{{"statusCodes":[{{"value":503}}]}},"redirect":{{"mode":"Client",{redirect}}}}}]}}}}]}}"#
        );
        let plan = Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap());
        let mut proxy = Proxy::new(plan);
        let mut request = Message::request("GET", "/status/503");
        request.set(":scheme", "https");
        if let Some(authority) = authority {
            request.set(":authority", authority);
        }
        let outcome = proxy.exchange(None, &request, demo_upstream);
        let location = outcome.response.get("location").map(str::to_owned);
        let status = if location.is_some() { "302" } else { "503" };
        assert_eq!(outcome.response.get(":status"), Some(status));
        (location, proxy.counter("btp.default.p.redirects_refused"))
    }

    #[test]
    fn what_is_no_host_is_never_echoed_and_is_counted() {
        let refused = (None, Some(1));
        for bad in [
            "a@evil.example",
            "u:p@evil.example:1",
            "[::1",
            "a,b",
            "a:0",
            "",
        ] {
            assert_eq!(location(r#""scheme":"http""#, Some(bad)), refused, "{bad}");
            assert_eq!(location(r#""port":8443"#, Some(bad)), refused, "{bad}");
        }
        assert_eq!(location(r#""port":8443"#, None), refused);
        let (echoed, count) = location(r#""port":8443"#, Some("a.example:99"));
        assert_eq!(echoed.as_deref(), Some("https://a.example:8443/status/503"));
        assert_eq!(count, Some(0));
    }

    #[test]
    fn a_redirect_that_names_its_host_or_none_does_not_depend_on_the_request() {
        for (redirect, wanted) in [
            (r#""hostname":"b.example""#, "https://b.example/status/503"),
            (
                r#""path":{"type":"ReplaceFullPath","replaceFullPath":"/x"}"#,
                "/x",
            ),
        ] {
            let (location, count) = location(redirect, Some("a@evil.example"));
            assert_eq!(location.as_deref(), Some(wanted));
            assert_eq!(count, Some(0));
        }
    }

    #[test]
    fn the_default_port_is_that_of_the_request() {
        let listed = r#""port":8443,"hosts":["a.example"]"#;
        assert!(location(listed, Some("a.example:443")).0.is_some());
        assert!(location(listed, Some("a.example:80")).0.is_none());
        assert!(location(listed, Some("b.example")).0.is_none());
    }
}
