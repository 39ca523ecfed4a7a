//! What is found of native fields, before Envoy Gateway or Envoy find it.

use super::*;
use crate::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn found(spec: &str) -> Vec<String> {
    let node = json::parse(spec.as_bytes()).unwrap();
    let mut problems = Problems::default();
    check_native(Cursor::root(&node), &mut problems);
    let found = problems.into_vec();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn what_envoy_gateway_finds_later_is_found_at_once() {
    for (spec, line) in [
        (
            r#"{"loadBalancer":{"type":"ConsistentHash",
                "consistentHash":{"type":"SourceIP","tableSize":65536}}}"#,
            "loadBalancer.consistentHash.tableSize: must be a prime number: \
             2 divides it (got 65536)",
        ),
        (
            r#"{"http2":{"initialStreamWindowSize":"1Ki"}}"#,
            "http2.initialStreamWindowSize: must be between 65535 and 2147483647 \
             (got \"1Ki\")",
        ),
        (
            r#"{"bandwidthLimit":{"request":{"limit":{"value":"1k","unit":"Second"}}}}"#,
            "bandwidthLimit.request.limit.value: must be at least 1 KiB per second, Envoy's unit \
             (got \"1k\")",
        ),
        (
            r#"{"tcpKeepalive":{"idleTime":"500ms"}}"#,
            "tcpKeepalive.idleTime: must be whole seconds, the operating system's unit (got \
             \"500ms\")",
        ),
        (
            r#"{"routingType":"service"}"#,
            "routingType: must be one of Service, Endpoint; did you mean \"Service\"? \
             (got \"service\")",
        ),
        (
            r#"{"telemetry":{"metrics":{"routeStatName":"%ROUTE_NAME%_%FOO%"}}}"#,
            "telemetry.metrics.routeStatName: must have no operators but %ROUTE_NAME%, \
             %ROUTE_NAMESPACE%, %ROUTE_KIND%, %ROUTE_RULE_NAME% (got \"%ROUTE_NAME%_%FOO%\")",
        ),
        (
            r#"{"rateLimit":{"global":{"rules":[{"limit":{"requests":1,"unit":"Day"},
                "clientSelectors":[{"sourceCIDR":{"value":"nowhere"}}]}]}}}"#,
            "rateLimit.global.rules[0].clientSelectors[0].sourceCIDR.value: must be an \
             address range such as 10.0.0.0/8, 10.0.0.1/32 or 2001:db8::/32 (got \"nowhere\")",
        ),
        (
            r#"{"rateLimit":{"global":{"rules":[{"limit":{"requests":1,"unit":"Day"},
                "clientSelectors":[{"metadata":[{"type":"Distinct","namespace":"a","path":["b"]}]}]}]}}}"#,
            "rateLimit.global.rules[0].clientSelectors: must not have metadata: only \
             rateLimit.local supports conditions on it. Have the filter that writes the metadata \
             also write a header, and use that (got a list of 1)",
        ),
        (
            r#"{"rateLimit":{"global":{"rules":[{"limit":{"requests":1,"unit":"Day"},
                "cost":{"request":{"from":"Metadata","number":1}}}]}}}"#,
            "rateLimit.global.rules[0].cost.request.number: must be left out: from selects the \
             other one (got 1)",
        ),
        (
            r#"{"rateLimit":{"global":{"rules":[{"limit":{"requests":1,"unit":"Day"},
                "cost":{"response":{"from":"Number","number":-1}}}]}}}"#,
            "rateLimit.global.rules[0].cost.response.number: must be between 0 and \
             1000000000 (got -1)",
        ),
        (
            r#"{"rateLimit":{"global":{"rules":[{"limit":{"requests":1,"unit":"Day"},
                "cost":{"request":{"from":"Metadata","metadata":{"namespace":"a","key":"b)"}}}}]}}}"#,
            "rateLimit.global.rules[0].cost.request.metadata.key: must have no :, ), % or control \
             characters, which Envoy does not allow here: have the filter that writes the cost use \
             another name (got \"b)\")",
        ),
        (
            r#"{"compressor":[{"type":"Gzip","minContentLength":"8Gi"}]}"#,
            "compressor[0].minContentLength: must be between 0 and 4294967295 \
             (got \"8Gi\")",
        ),
    ] {
        assert_eq!(found(spec), [line]);
    }
}

#[test]
fn one_mistake_is_one_problem() {
    assert_eq!(found(r#"{"tcpKeepalive":{"idleTime":5}}"#).len(), 1);
    assert_eq!(
        found(r#"{"timeout":{"http":{"requesTimeout":"5s"}}}"#).len(),
        1
    );
}

#[test]
fn what_the_filter_enforces_is_not_looked_into() {
    assert!(found(r#"{"faultInjection":5,"rateLimit":{"local":7}}"#).is_empty());
}

fn hashed(hash: &str) -> String {
    format!(r#"{{"loadBalancer":{{"type":"ConsistentHash","consistentHash":{hash}}}}}"#)
}

fn probed(http: &str) -> String {
    format!(r#"{{"healthCheck":{{"active":{{"type":"HTTP","http":{http}}}}}}}"#)
}

#[test]
fn what_envoy_refuses_is_refused_before() {
    const HASH: &str = "loadBalancer.consistentHash";
    const HTTP: &str = "healthCheck.active.http";
    for (spec, start) in [
        (
            hashed(r#"{"type":"Headers","headers":[{"name":"a b"}]}"#),
            format!("{HASH}.headers[0].name: must be a header name"),
        ),
        (
            hashed(r#"{"type":"Header","header":{"name":""}}"#),
            format!("{HASH}.header.name: must be a header name"),
        ),
        (
            hashed(r#"{"type":"QueryParams","queryParams":[{"name":""}]}"#),
            format!("{HASH}.queryParams[0].name: must be 1 to 1024 bytes long"),
        ),
        (
            hashed(r#"{"type":"Cookie","cookie":{"name":"a;b"}}"#),
            format!("{HASH}.cookie.name: must be a cookie name"),
        ),
        (
            hashed(r#"{"type":"Cookie","cookie":{"name":"a","attributes":{"Path":"/;x"}}}"#),
            format!("{HASH}.cookie.attributes.Path: must not contain control"),
        ),
        (
            hashed(r#"{"type":"Cookie","cookie":{"name":"a","attributes":{"":"x"}}}"#),
            format!("{HASH}.cookie.attributes.: must have a name of"),
        ),
        (
            probed(r#"{"path":"up"}"#),
            format!("{HTTP}.path: must begin with /"),
        ),
        (
            probed(r#"{"path":"/up","method":"CONNECT"}"#),
            format!("{HTTP}.method: must be one of GET, HEAD"),
        ),
        (
            probed(r#"{"path":"/up","expectedResponse":{"type":"Text","text":""}}"#),
            format!("{HTTP}.expectedResponse.text: must not be empty"),
        ),
        (
            r#"{"loadBalancer":{"type":"Random","zoneAware":{"weightedZones":[
                {"zone":"a","weight":4294967295},{"zone":"b","weight":1}]}}}"#
                .to_owned(),
            "loadBalancer.zoneAware.weightedZones: must have weights that".to_owned(),
        ),
        (
            r#"{"http2":{"connectionKeepalive":{"interval":"1s"}}}"#.to_owned(),
            "http2.connectionKeepalive: must have a timeout: how".to_owned(),
        ),
        (
            r#"{"http2":{"connectionKeepalive":{"timeout":"1s"}}}"#.to_owned(),
            "http2.connectionKeepalive: must have an interval".to_owned(),
        ),
        (
            r#"{"http2":{"connectionKeepalive":{"timeout":"1s","idleInterval":"0s"}}}"#.to_owned(),
            "http2.connectionKeepalive.idleInterval: must be longer than zero".to_owned(),
        ),
        (
            r#"{"loadBalancer":{"type":"Random"},
                "connection":{"preconnect":{"predictivePercent":301}}}"#
                .to_owned(),
            "connection.preconnect.predictivePercent: must be between 100 and 300".to_owned(),
        ),
        (
            r#"{"dns":{"dnsRefreshRate":"1ms"}}"#.to_owned(),
            "dns.dnsRefreshRate: must be longer than 1ms".to_owned(),
        ),
        (
            r#"{"compressor":[{"type":"Gzip"},{"type":"Brotli"},{"type":"Gzip"}]}"#.to_owned(),
            "compressor[2].type: is listed twice".to_owned(),
        ),
        (
            r#"{"httpUpgrade":[{"type":"websocket"},{"type":"WebSocket"}]}"#.to_owned(),
            "httpUpgrade[1].type: is listed twice".to_owned(),
        ),
        (
            r#"{"httpUpgrade":[{"type":"a b"}]}"#.to_owned(),
            "httpUpgrade[0].type: must be a protocol".to_owned(),
        ),
    ] {
        let found = found(&spec);
        assert_eq!(found.len(), 1, "{spec}: {found:?}");
        assert!(found[0].starts_with(&start), "{found:?}");
    }
}

#[test]
fn what_envoy_takes_is_taken() {
    for spec in [
        probed(r#"{"path":"/up?x=y","method":"post","requestBody":{"type":"Text","text":"x"}}"#),
        hashed(r#"{"type":"Cookie","cookie":{"name":"a","attributes":{"SameSite":""}}}"#),
        r#"{"httpUpgrade":[{"type":"spdy/3.1"},{"type":"CONNECT"}]}"#.to_owned(),
        r#"{"http2":{"connectionKeepalive":{"timeout":"1s","idleInterval":"2s"}}}"#.to_owned(),
    ] {
        assert_eq!(found(&spec), Vec::<String>::new(), "{spec}");
    }
}
