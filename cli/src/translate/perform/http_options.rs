//! The cluster's `HttpProtocolOptions`.
//!
//! Envoy takes them from an extension, and older fields of the cluster only
//! as long as that is absent: adding it moves them there.

use btp_policy::node::Node;

use super::Outcome;
use super::slot::{EMPTY, Fields, merge, same};
use crate::translate::change::HttpPart;
use crate::translate::tree::{IntoNode, node};

const EXTENSION: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const TYPE: &str = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const EXPLICIT: &str = "explicit_http_config";
const DOWNSTREAM: &str = "use_downstream_protocol_config";
const AUTO: &str = "auto_config";
const HTTP1: &str = "http_protocol_options";
const HTTP2: &str = "http2_protocol_options";

/// What a cluster speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
    Http3,
    /// What the client speaks, or what the upstream offers.
    Varies,
}

/// What the cluster speaks, by whichever field says it.
pub(super) fn protocol(cluster: &Node) -> Protocol {
    let extension = cluster
        .get("typed_extension_protocol_options")
        .and_then(|it| it.get(EXTENSION));
    if let Some(options) = extension {
        let Some(explicit) = options.get(EXPLICIT) else {
            return Protocol::Varies;
        };
        return match () {
            () if explicit.get("http3_protocol_options").is_some() => Protocol::Http3,
            () if explicit.get(HTTP2).is_some() => Protocol::Http2,
            () => Protocol::Http1,
        };
    }
    match () {
        () if uses_downstream(cluster) => Protocol::Varies,
        () if cluster.get(HTTP2).is_some() => Protocol::Http2,
        () => Protocol::Http1,
    }
}

/// Changes a part of the options.
pub(super) fn change(cluster: &mut Node, part: &HttpPart) -> Result<Outcome, String> {
    if matches!(part, HttpPart::Http2(_))
        && matches!(protocol(cluster), Protocol::Http1 | Protocol::Http3)
    {
        return Ok(Outcome::Idle("the cluster does not speak HTTP/2"));
    }
    let before = cluster.clone();
    let extensions = cluster.get("typed_extension_protocol_options");
    let is_new = extensions.and_then(|it| it.get(EXTENSION)).is_none();
    let fresh = is_new.then(|| options_of_old_fields(cluster));
    let options = cluster
        .entry("typed_extension_protocol_options")
        .ok_or("must be an object")?;
    if let Some(fresh) = fresh {
        options.set(EXTENSION, fresh);
    }
    let options = options.entry(EXTENSION).ok_or("must be an object")?;
    match part {
        HttpPart::Common(fields) => {
            if let Some(common) = options.entry("common_http_protocol_options") {
                merge(common, fields);
            }
        }
        HttpPart::Http2(fields) => {
            for kind in [EXPLICIT, DOWNSTREAM, AUTO] {
                if options.get(kind).is_some()
                    && let Some(config) = options.entry(kind)
                    && let Some(http2) = config.entry(HTTP2)
                {
                    merge(http2, fields);
                }
            }
        }
        HttpPart::UseDownstream => use_downstream(options),
    }
    Ok(match () {
        () if same(&before, cluster) => Outcome::Same,
        () if is_new => Outcome::Added,
        () => {
            let extensions = before.get("typed_extension_protocol_options");
            let options = extensions.and_then(|it| it.get(EXTENSION));
            Outcome::Replaced(options.cloned().into_iter().collect())
        }
    })
}

fn uses_downstream(cluster: &Node) -> bool {
    let selection = cluster.get("protocol_selection").and_then(Node::as_str);
    selection == Some("USE_DOWNSTREAM_PROTOCOL")
}

/// The options that a cluster without the extension has.
fn options_of_old_fields(cluster: &mut Node) -> Node {
    let mut options = node!({ "@type": TYPE });
    for name in [
        "common_http_protocol_options",
        "upstream_http_protocol_options",
    ] {
        if let Some(value) = cluster.remove(name) {
            options.set(name, value);
        }
    }
    let both = uses_downstream(cluster);
    cluster.remove("protocol_selection");
    let http1 = cluster.remove(HTTP1);
    let http2 = cluster.remove(HTTP2);
    let mut config = EMPTY;
    if both || http2.is_none() {
        config.set(HTTP1, http1.unwrap_or(EMPTY));
    }
    if let Some(http2) = http2.or_else(|| both.then_some(EMPTY)) {
        config.set(HTTP2, http2);
    }
    options.set(if both { DOWNSTREAM } else { EXPLICIT }, config);
    options
}

/// What was said about either protocol stays.
fn use_downstream(options: &mut Node) {
    if options.get(DOWNSTREAM).is_some() {
        return;
    }
    let explicit = options.remove(EXPLICIT);
    let auto = options.remove(AUTO);
    let old = explicit.or(auto).unwrap_or(EMPTY);
    let mut config = EMPTY;
    for name in [HTTP1, HTTP2] {
        config.set(name, old.get(name).cloned().unwrap_or(EMPTY));
    }
    options.set(DOWNSTREAM, config);
}

/// `HTTP2` and the like, as a health check names it.
pub(super) fn codec(cluster: &Node) -> Option<Node> {
    match protocol(cluster) {
        Protocol::Http2 => Some("HTTP2".into_node()),
        Protocol::Http3 => Some("HTTP3".into_node()),
        Protocol::Http1 | Protocol::Varies => None,
    }
}
