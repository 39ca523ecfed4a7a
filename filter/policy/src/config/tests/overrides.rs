//! responseOverride in the plugin configuration: what is refused, and where
//! bodies come from.

use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// The bodies of the first policy's first override.
fn bodies(config: &PluginConfig) -> Vec<String> {
    let mut rule = config.policies[0].spec.response_override[0].clone();
    let bodies = rule.bodies_mut().into_iter();
    bodies.map(|(_, body)| body.template.to_string()).collect()
}

/// A policy that takes its body from a ConfigMap, and the maps.
fn with_config_maps(maps: &str) -> String {
    format!(
        r#"{{"policies":[{{"metadata":{{"name":"p","namespace":"shop"}},"spec":{{
            "responseOverride":[{{"match":{{"statusCodes":[{{"value":500}}]}},
                "response":{{"body":{{"type":"ValueRef","valueRef":
                    {{"group":"","kind":"ConfigMap","name":"errors"}}}}}}}}]}}}}],
            "configMaps":[{maps}]}}"#
    )
}

#[test]
fn overrides_that_envoy_could_not_send_are_refused() {
    let over = |matching: &str, response: &str| {
        format!(r#"{{"responseOverride":[{{"match":{matching},"response":{response}}}]}}"#)
    };
    let any = r#"{"statusCodes":[{"value":500}]}"#;
    for (spec, reason) in [
        (
            over("{}", "{}"),
            "must have statusCodes, responseHeaders, grpc",
        ),
        (over(r#"{"statusCodes":[]}"#, "{}"), "1 to 50 items"),
        (
            over(
                r#"{"statusCodes":[{"type":"Range","range":{"start":500,"end":400}}]}"#,
                "{}",
            ),
            "must not end before it starts",
        ),
        (
            over(r#"{"statusCodes":[{"type":"Range","value":500}]}"#, "{}"),
            "must not be set beside range",
        ),
        (over(any, r#"{"statusCode":199}"#), "between 200 and 599"),
        (
            over(any, r#"{"statusCode":204,"body":{"inline":"x"}}"#),
            "a 204 response has no body",
        ),
        (
            over(any, r#"{"body":{"inline":"%RESPONSE_KODE%"}}"#),
            "did you mean %RESPONSE_CODE%?",
        ),
        (
            over(any, r#"{"body":{"inline":"%LOCAL_REPLY_BODY%"}}"#),
            "always empty here: leave it out",
        ),
        (
            over(
                any,
                r#"{"contentType":"text/html","body":{"inline":"<a %REQ(x)%>"}}"#,
            ),
            "in a tag outside of quotes",
        ),
        (
            over(
                any,
                r#"{"contentType":"%RESP(a)%","body":{"inline":"%REQ(x)%"}}"#,
            ),
            "write the content type out",
        ),
        (
            over(any, r#"{"keepBody":true,"body":{"inline":"x"}}"#),
            "body: must be left out beside keepBody",
        ),
        (
            over(any, r#"{"keepBody":true,"statusCode":204}"#),
            "a 204 response has no body",
        ),
        (
            over(any, r#"{"header":{"remove":["x"]}}"#),
            "set keepHeaders or keepBody",
        ),
        (
            over(
                any,
                r#"{"variants":[{"contentType":"html","body":{"inline":"x"}}]}"#,
            ),
            "variants[0].contentType: must be a media type",
        ),
        (
            over(
                any,
                r#"{"contentType":"a/b","variants":[{"contentType":"a/b","body":{"inline":""}}]}"#,
            ),
            "variants: set their own content types",
        ),
        (
            over(any, r#"{"body":{"inline":"x","format":"RawTemplat"}}"#),
            "did you mean",
        ),
        (
            over(r#"{"grpcStatus":[17]}"#, "{}"),
            "match.grpcStatus[0]: must be between 0 and 16",
        ),
        (
            over(
                any,
                r#"{"header":{"set":[{"name":"content-length","value":"1"}]}}"#,
            ),
            "written by Envoy itself",
        ),
        (
            over(
                any,
                r#"{"header":{"set":[{"name":"a","value":"1\r\nb: 2"}]}}"#,
            ),
            "control characters",
        ),
    ] {
        let found = refused_spec(&spec);
        assert!(
            found.iter().any(|line| line.contains(reason)),
            "{spec}: {found:?}"
        );
    }
}

#[test]
fn redirects_and_kept_headers_are_checked() {
    let any = r#""match":{"statusCodes":[{"value":500}]}"#;
    let redirect = |it: &str| {
        format!(r#"{{"responseOverride":[{{{any},"redirect":{{"mode":"Client",{it}}}}}]}}"#)
    };
    let path = |it: &str| {
        redirect(&format!(
            r#""path":{{"type":"ReplaceFullPath","replaceFullPath":"{it}"}}"#
        ))
    };
    let keep = |it: &str| {
        format!(r#"{{"responseOverride":[{{{any},"response":{{}},"keepHeaders":{it}}}]}}"#)
    };
    for (spec, reason) in [
        (redirect(r#""statusCode":302"#), "leads the client back"),
        (
            redirect(r#""port":1,"statusCode":304"#),
            "must be 301, 302, 303, 307 or 308",
        ),
        (path("x"), "must begin with one /"),
        (path("//evil.example"), "must begin with one /"),
        (path("/a b"), "must be written in URL characters"),
        (path("/a%20b"), "write %% for a percent sign"),
        (keep(r#""Some""#), "must be one of None, All"),
        (keep("1"), "must be None, All or a list"),
        (keep(r#"["ETag"]"#), "describes the original body"),
        (keep("[]"), "1 to 64 items"),
        (
            format!(
                r#"{{"responseOverride":[{{{any},"keepHeaders":["a"],"response":{{"keepBody":true}}}}]}}"#
            ),
            "which keeps all headers",
        ),
        (
            format!(r#"{{"responseOverride":[{{{any},"redirect":{{"statusCode":307}}}}]}}"#),
            "303, 307 and 308 need mode: Client",
        ),
        (
            format!(r#"{{"responseOverride":[{{{any},"redirect":{{}},"response":{{}}}}]}}"#),
            "exactly one of response and redirect",
        ),
    ] {
        let found = refused_spec(&spec);
        assert!(
            found.iter().any(|line| line.contains(reason)),
            "{spec}: {found:?}"
        );
    }
    let conditional = r#"{"match":{"requests":[{"methods":[{"value":"GET"}]}]},"response":{}}"#;
    let rules = |count| {
        format!(
            r#"{{"responseOverride":[{}]}}"#,
            vec![conditional; count].join(",")
        )
    };
    assert!(refused_spec(&rules(65))[0].contains("in more than 64 rules"));
    let text = format!(
        r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{}}}]}}"#,
        rules(64)
    );
    assert_eq!(config(&text).policies[0].spec.response_override.len(), 64);
}

#[test]
fn percent_signs_are_written_twice() {
    let text = r#"{"policies":[{"metadata":{"name":"p"},"spec":{"responseOverride":[
        {"match":{"statusCodes":[{"value":500}]},"response":{"body":{"inline":"100%%"}}}]}}]}"#;
    let config = PluginConfig::parse(text.as_bytes()).unwrap();
    assert_eq!(bodies(&config), ["100%%"]);
}

#[test]
fn bodies_come_from_config_maps() {
    let map = |data: &str| {
        with_config_maps(&format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap",
                 "metadata":{{"name":"errors","namespace":"shop"}},"data":{data}}}"#
        ))
    };
    for data in [
        r#"{"response.body":"sorry","other":"x"}"#,
        r#"{"page.html":"sorry"}"#,
    ] {
        let config = config(&map(data));
        assert_eq!(bodies(&config), ["sorry"], "{data}");
    }
    for (text, reason) in [
        (
            map(r#"{"a":"x","b":"y"}"#),
            "which has neither key \"response.body\"",
        ),
        (map(r#"{"a":"5 % off"}"#), "has no command operator at"),
        (with_config_maps(""), "which is missing"),
    ] {
        let found = refused(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        let path = "policies[0].spec.responseOverride[0].response.body.valueRef: \
                    refers to ConfigMap shop/errors";
        assert!(
            found[0].starts_with(path) && found[0].contains(reason),
            "{found:?}"
        );
    }
}
