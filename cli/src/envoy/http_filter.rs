//! The kinds of HTTP filters: on which side of them our own must be. The order is that of
//! Envoy Gateway.

use btp_policy::node::Node;

use super::json::node;
use super::tree::{field, items, text};

/// What a filter does with a request, seen from ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It runs the request again and must see the replies of all others.
    Response,
    /// It answers probes, which are nobody's requests.
    Probe,
    /// It answers preflights, and writes headers that replies need.
    Cors,
    /// It writes what conditions may read.
    Writes(Written),
    /// It judges a request or prepares it otherwise; so may a filter that is
    /// not known.
    Judges,
    /// It only wraps or transports the message, and comes last.
    Transport,
}

/// What a filter writes of what conditions may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Headers,
    /// Dynamic metadata.
    Metadata,
    /// Whatever its program, or the service that it asks, says.
    Both,
}

/// The kinds that are known, by the package of the type: `cors` is
/// `envoy.extensions.filters.http.cors.v3` and `envoy.filters.http.cors`.
const KINDS: [(&str, Kind); 37] = [
    ("custom_response", Kind::Response),
    ("health_check", Kind::Probe),
    ("cors", Kind::Cors),
    // A header or dynamic metadata for those behind.
    ("header_mutation", Kind::Writes(Written::Headers)),
    ("header_to_metadata", Kind::Writes(Written::Metadata)),
    ("json_to_metadata", Kind::Writes(Written::Metadata)),
    ("thrift_to_metadata", Kind::Writes(Written::Metadata)),
    ("set_metadata", Kind::Writes(Written::Metadata)),
    ("ip_tagging", Kind::Writes(Written::Headers)),
    ("geoip", Kind::Writes(Written::Headers)),
    // A name or claims of the client, for those behind.
    ("ext_authz", Kind::Writes(Written::Both)),
    ("jwt_authn", Kind::Writes(Written::Both)),
    ("oauth2", Kind::Writes(Written::Headers)),
    ("basic_auth", Kind::Writes(Written::Headers)),
    ("api_key_auth", Kind::Writes(Written::Headers)),
    // Whatever their programs say.
    ("lua", Kind::Writes(Written::Both)),
    ("ext_proc", Kind::Writes(Written::Both)),
    ("wasm", Kind::Writes(Written::Both)),
    ("dynamic_modules", Kind::Writes(Written::Both)),
    ("golang", Kind::Writes(Written::Both)),
    ("composite", Kind::Writes(Written::Both)),
    // Other protocols on the client's side: what is in front of these sees
    // the request as the client sent it, and their trailers as the client
    // gets them.
    ("grpc_web", Kind::Transport),
    ("grpc_http1_bridge", Kind::Transport),
    ("grpc_http1_reverse_bridge", Kind::Transport),
    ("grpc_json_transcoder", Kind::Transport),
    ("connect_grpc_bridge", Kind::Transport),
    // Counts, and changes nothing.
    ("grpc_stats", Kind::Transport),
    // The coding of bodies: replies and limits of ours are for plain ones.
    ("compressor", Kind::Transport),
    ("decompressor", Kind::Transport),
    // Slows bodies of requests that are let through.
    ("bandwidth_limit", Kind::Transport),
    // What the upstream needs to know us; a signature covers what the
    // request has become, so nothing may change it behind.
    ("credential_injector", Kind::Transport),
    ("gcp_authn", Kind::Transport),
    ("aws_request_signing", Kind::Transport),
    ("aws_lambda", Kind::Transport),
    // Where the request goes: a refused one needs no address.
    ("dynamic_forward_proxy", Kind::Transport),
    ("stateful_session", Kind::Transport),
    ("router", Kind::Transport),
];

/// The filter for global limits that `btp apply` puts in: what counts requests in
/// this Envoy alone comes in front of it, so that it asks nobody of what that
/// refuses.
pub(crate) const GLOBAL_LIMITS: &str = "btp.ratelimit";

const TYPES: &str = "envoy.extensions.filters.http.";
const NAMES: &str = "envoy.filters.http.";

/// What sends a try: the last filter behind a router, or of a cluster.
pub(crate) fn upstream_codec() -> Node {
    node!({
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
        }
    })
}

/// Where what counts requests goes among filters: behind all that judge or prepare a
/// request.
pub(crate) fn behind_judges(filters: &[Node]) -> usize {
    let last = filters
        .iter()
        .rposition(|it| kind_of(it) != Kind::Transport);
    last.map_or(0, |it| it + 1)
}

/// The kind of a filter in `http_filters`.
pub(crate) fn kind_of(filter: &Node) -> Kind {
    if text(filter, "name") == Some(GLOBAL_LIMITS) {
        return Kind::Transport;
    }
    let package = package_of(filter);
    let known = KINDS.iter().find(|(name, _)| Some(*name) == package);
    known.map_or(Kind::Judges, |(_, kind)| *kind)
}

impl Written {
    pub(crate) fn has_headers(self) -> bool {
        self != Self::Metadata
    }

    pub(crate) fn has_metadata(self) -> bool {
        self != Self::Headers
    }
}

/// What a filter is by its type; where there is none, by its name.
pub(crate) fn package_of(filter: &Node) -> Option<&str> {
    let mut config = field(filter, "typed_config");
    // Settings may be wrapped: chosen by a matcher, or as a Struct.
    while let Some(inner) = config.and_then(|it| field(it, "extension_config")) {
        config = field(inner, "typed_config");
    }
    let wrapped = config.and_then(|it| text(it, "type_url"));
    let own = config.and_then(|it| it.field("@type")?.as_str());
    let discovered = field(filter, "config_discovery")
        .and_then(|it| items(it, "type_urls").first())
        .and_then(Node::as_str);
    let by_type = wrapped.or(own).or(discovered).and_then(|url| {
        let (_, rest) = url.split_once(TYPES)?;
        rest.split('.').next()
    });
    by_type.or_else(|| text(filter, "name")?.strip_prefix(NAMES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use btp_policy::json;

    fn kind(filter: &str) -> Kind {
        kind_of(&json::parse(filter.as_bytes()).unwrap())
    }

    #[test]
    fn a_filter_is_known_by_its_type_however_it_is_wrapped_and_else_by_its_name() {
        const GRPC: &str = "type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3";
        for filter in [
            format!(r#"{{"name":"x","typed_config":{{"@type":"{GRPC}.FilterConfig"}}}}"#),
            format!(r#"{{"name":"x","typedConfig":{{"@type":"{GRPC}.FilterConfig"}}}}"#),
            format!(
                r#"{{"name":"x","typed_config":{{"@type":"type.googleapis.com/xds.type.v3.TypedStruct",
                "type_url":"{GRPC}.FilterConfig","value":{{}}}}}}"#
            ),
            format!(
                r#"{{"name":"x","typed_config":{{"@type":"type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher",
                "extension_config":{{"name":"y","typed_config":{{"@type":"{GRPC}.FilterConfig"}}}}}}}}"#
            ),
            format!(r#"{{"name":"x","config_discovery":{{"type_urls":["{GRPC}.FilterConfig"]}}}}"#),
            r#"{"name":"envoy.filters.http.grpc_stats"}"#.to_owned(),
        ] {
            assert_eq!(kind(&filter), Kind::Transport, "{filter}");
        }
        // Two filters have a type of the same short name.
        const OTHER: &str = "type.googleapis.com/envoy.extensions.filters.http.on_demand.v3";
        let other =
            format!(r#"{{"name":"router","typed_config":{{"@type":"{OTHER}.FilterConfig"}}}}"#);
        assert_eq!(kind(&other), Kind::Judges);
        assert_eq!(kind(r#"{"name":"mine"}"#), Kind::Judges);
    }
}
