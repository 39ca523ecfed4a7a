//! What the API lets through and Envoy refuses, tried on Envoy 1.40: texts
//! that go on the wire, lists with doubles, keepalives without a timeout.

use crate::code::Code;
use crate::node::{Node, Value};
use crate::path::Path;
use crate::problem::Problems;
use crate::read::At;
use crate::scalar::{Duration, HeaderName};

use super::Check;

/// What is checked where; `*` is any item of a list.
pub(super) const CHECKS: &[(&[&str], Check)] = &[
    (
        &["loadBalancer", "consistentHash", "header", "name"],
        header_name,
    ),
    (
        &["loadBalancer", "consistentHash", "headers", "*", "name"],
        header_name,
    ),
    (
        &["loadBalancer", "consistentHash", "queryParams", "*", "name"],
        |at, problems| {
            at.string_of(1..=1024, problems);
        },
    ),
    (
        &["loadBalancer", "consistentHash", "cookie", "name"],
        cookie_name,
    ),
    (
        &["loadBalancer", "consistentHash", "cookie", "attributes"],
        cookie_attributes,
    ),
    (
        &[
            "loadBalancer",
            "endpointOverride",
            "extractFrom",
            "*",
            "header",
        ],
        header_name,
    ),
    (
        &["loadBalancer", "zoneAware", "weightedZones"],
        sum_of_weights,
    ),
    (&["healthCheck", "active", "http", "path"], path),
    (&["healthCheck", "active", "http", "method"], method),
    (
        &["healthCheck", "active", "http", "requestBody", "text"],
        payload,
    ),
    (
        &["healthCheck", "active", "http", "expectedResponse", "text"],
        payload,
    ),
    (&["healthCheck", "active", "tcp", "send", "text"], payload),
    (
        &["healthCheck", "active", "tcp", "receive", "text"],
        payload,
    ),
    (&["http2", "connectionKeepalive"], keepalive),
    (
        &["connection", "preconnect", "predictivePercent"],
        |at, problems| {
            at.integer(100..=300, problems);
        },
    ),
    (&["dns", "dnsRefreshRate"], |at, problems| {
        if Duration::read(at, problems) == Some(Duration::from_millis(1)) {
            at.refuse(
                problems,
                Code::DurationOutOfBounds,
                "must be longer than 1ms",
            );
        }
    }),
    (&["compression"], no_double_type),
    (&["compressor"], no_double_type),
    (&["httpUpgrade"], no_double_type),
    (&["httpUpgrade", "*", "type"], upgrade),
];

fn header_name(at: At<'_>, problems: &mut Problems) {
    HeaderName::read(at, problems);
}

fn cookie_name(at: At<'_>, problems: &mut Problems) {
    if at
        .string(problems)
        .is_some_and(|name| HeaderName::new(name).is_none())
    {
        at.refuse(
            problems,
            Code::MalformedCookie,
            "must be a cookie name: 1 to 256 token characters",
        );
    }
}

/// Each is written into `Set-Cookie` as it stands.
fn cookie_attributes(at: At<'_>, problems: &mut Problems) {
    let Value::Map(entries) = &at.node.value else {
        return;
    };
    for entry in entries {
        let path = Path::Field(&at.path, &entry.key);
        let at = At {
            node: &entry.node,
            path,
        };
        let breaks = |text: &str| text.contains(|it: char| it.is_control() || it == ';');
        if HeaderName::new(&entry.key).is_none() {
            at.refuse(
                problems,
                Code::MalformedCookie,
                "must be named by 1 to 256 token characters",
            );
        } else if at.string(problems).is_some_and(breaks) {
            at.refuse(
                problems,
                Code::MalformedCookie,
                "must not contain control characters and semicolons",
            );
        }
    }
}

/// The weights of one priority are added in 32 bits.
fn sum_of_weights(at: At<'_>, problems: &mut Problems) {
    let weights = items(at).iter().map(|item| match item.field("weight") {
        Some(Node {
            value: Value::Int(weight),
            ..
        }) => *weight,
        _ => 0,
    });
    let sum = weights.fold(0_i64, i64::saturating_add);
    if sum > i64::from(u32::MAX) {
        at.refuse(
            problems,
            Code::WeightsTooLarge,
            "must have weights of 4294967295 in all at most",
        );
    }
}

fn path(at: At<'_>, problems: &mut Problems) {
    let fine =
        |text: &str| text.starts_with('/') && text.bytes().all(|it| (0x21..0x7f).contains(&it));
    if at.string(problems).is_some_and(|text| !fine(text)) {
        at.refuse(
            problems,
            Code::MalformedPath,
            "must begin with / and have printable ASCII characters only, no spaces",
        );
    }
}

fn method(at: At<'_>, problems: &mut Problems) {
    const METHODS: [&str; 8] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH",
    ];
    let known = |method: &str| {
        let is_it = |name: &&str| name.eq_ignore_ascii_case(method);
        method.is_empty() || METHODS.iter().any(is_it)
    };
    if at.string(problems).is_some_and(|method| !known(method)) {
        at.refuse(
            problems,
            Code::MalformedMethod,
            format!("must be one of {}", METHODS.join(", ")),
        );
    }
}

fn payload(at: At<'_>, problems: &mut Problems) {
    if at.string(problems) == Some("") {
        at.refuse(problems, Code::TextLength, "must not be empty");
    }
}

fn keepalive(at: At<'_>, problems: &mut Problems) {
    let times = ["timeout", "interval", "idleInterval"].map(|name| {
        let node = at.node.field(name)?;
        let path = Path::Field(&at.path, name);
        Duration::read_positive(At { node, path }, problems);
        Some(node)
    });
    let [timeout, interval, idle_interval] = times;
    if timeout.is_none() {
        at.refuse(
            problems,
            Code::MissingField,
            "must have a timeout: how long Envoy waits for the answer to a ping",
        );
    }
    if interval.is_none() && idle_interval.is_none() {
        at.refuse(
            problems,
            Code::NoneOfFields,
            "must have an interval or an idleInterval",
        );
    }
}

fn upgrade(at: At<'_>, problems: &mut Problems) {
    let is_token = |text: &str| HeaderName::new(text).is_some();
    let fine = |text: &str| text.split('/').all(is_token) && text.split('/').count() <= 2;
    if at.string(problems).is_some_and(|text| !fine(text)) {
        at.refuse(
            problems,
            Code::MalformedProtocol,
            "must be a protocol such as websocket or spdy/3.1",
        );
    }
}

fn no_double_type(at: At<'_>, problems: &mut Problems) {
    let mut seen: Vec<String> = Vec::new();
    for (index, item) in items(at).iter().enumerate() {
        let Some(node) = item.field("type") else {
            continue;
        };
        let kind = node.as_str().unwrap_or_default().to_ascii_lowercase();
        if seen.contains(&kind) {
            let item = Path::Item(&at.path, index);
            let path = Path::Field(&item, "type");
            At { node, path }.refuse(problems, Code::ListedTwice, "is listed twice");
        }
        seen.push(kind);
    }
}

fn items<'a>(at: At<'a>) -> &'a [Node] {
    match &at.node.value {
        Value::List(items) => items,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use crate::json;
    use crate::problem::Problems;
    use crate::read::At;
    use crate::schema::check_native;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn found(spec: &str) -> Vec<String> {
        let node = json::parse(spec.as_bytes()).unwrap();
        let mut problems = Problems::default();
        check_native(At::root(&node), &mut problems);
        let found = problems.into_vec();
        found.iter().map(ToString::to_string).collect()
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
                format!("{HASH}.cookie.attributes.: must be named"),
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
                "loadBalancer.zoneAware.weightedZones: must have weights of".to_owned(),
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
                r#"{"http2":{"connectionKeepalive":{"timeout":"1s","idleInterval":"0s"}}}"#
                    .to_owned(),
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
            probed(
                r#"{"path":"/up?x=y","method":"post","requestBody":{"type":"Text","text":"x"}}"#,
            ),
            hashed(r#"{"type":"Cookie","cookie":{"name":"a","attributes":{"SameSite":""}}}"#),
            r#"{"httpUpgrade":[{"type":"spdy/3.1"},{"type":"CONNECT"}]}"#.to_owned(),
            r#"{"http2":{"connectionKeepalive":{"timeout":"1s","idleInterval":"2s"}}}"#.to_owned(),
        ] {
            assert_eq!(found(&spec), Vec::<String>::new(), "{spec}");
        }
    }
}
