//! The cluster's `HttpProtocolOptions`.
//!
//! Envoy takes them from an extension, and older fields of the cluster only
//! as long as that is absent: adding it moves them there.

use btp_policy::node::Node;

use super::replaced::{Replaced, lost};
use super::{ChangeError, Outcome, upstream_filters};
use crate::envoy::json::node;
use crate::envoy::tree::{EMPTY, field, find, merge, object_mut, remove, same, set, text};
use crate::translate::change::HttpPart;

const EXTENSION: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const EXTENSIONS: &str = "typed_extension_protocol_options";
const TYPE: &str = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const EXPLICIT: &str = "explicit_http_config";
const DOWNSTREAM: &str = "use_downstream_protocol_config";
const AUTO: &str = "auto_config";
/// The ways to choose the protocol; exactly one of these is set.
const KINDS: [&str; 3] = [EXPLICIT, DOWNSTREAM, AUTO];
/// Envoy Gateway's windows of HTTP/2 in bytes, where a policy turns it on;
/// Envoy's own are larger.
pub(in crate::translate) const STREAM_WINDOW: u32 = 64 * 1024;
pub(in crate::translate) const CONNECTION_WINDOW: u32 = 1024 * 1024;
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
    if let Some(options) = find(cluster, &[EXTENSIONS, EXTENSION]) {
        let Some(explicit) = field(options, EXPLICIT) else {
            return Protocol::Varies;
        };
        return match () {
            () if field(explicit, "http3_protocol_options").is_some() => Protocol::Http3,
            () if field(explicit, HTTP2).is_some() => Protocol::Http2,
            () => Protocol::Http1,
        };
    }
    match () {
        () if uses_downstream(cluster) => Protocol::Varies,
        () if field(cluster, HTTP2).is_some() => Protocol::Http2,
        () => Protocol::Http1,
    }
}

/// Changes a part of the options.
pub(super) fn change(cluster: &mut Node, part: &HttpPart) -> Result<Outcome, ChangeError> {
    if matches!(part, HttpPart::Http2(_))
        && matches!(protocol(cluster), Protocol::Http1 | Protocol::Http3)
    {
        return Ok(Outcome::Idle("the cluster does not use HTTP/2"));
    }
    let before = cluster.clone();
    let is_new = find(cluster, &[EXTENSIONS, EXTENSION]).is_none();
    let fresh = is_new.then(|| options_of_old_fields(cluster));
    let extensions = object_mut(cluster, EXTENSIONS)?;
    if let Some(fresh) = fresh {
        set(extensions, EXTENSION, fresh);
    }
    let options = object_mut(extensions, EXTENSION)?;
    let moved = options.clone();
    match part {
        HttpPart::Common(fields) => {
            merge(object_mut(options, "common_http_protocol_options")?, fields)?;
        }
        HttpPart::Http2(fields) => {
            for kind in KINDS {
                if field(options, kind).is_some() {
                    merge(object_mut(object_mut(options, kind)?, HTTP2)?, fields)?;
                }
            }
        }
        HttpPart::UseDownstream => use_downstream(options),
        HttpPart::UpstreamFilter { filter, of_router } => {
            let gave_way = upstream_filters::put(options, filter, of_router)?;
            return Ok(match same(&before, cluster) {
                true => Outcome::Present,
                false => Outcome::changed(gave_way),
            });
        }
    }
    let replaced = replaced(&moved, options, is_new);
    Ok(if same(&before, cluster) {
        Outcome::Present
    } else {
        Outcome::changed(replaced)
    })
}

/// What was replaced by a change of the options. In a cluster that had none,
/// everything in them comes from its older fields, and is called as there.
fn replaced(before: &Node, after: &Node, is_new: bool) -> Vec<Replaced> {
    let mut found = Vec::new();
    for mut it in lost(before, after, "") {
        let kind = KINDS.into_iter().find_map(|kind| {
            let rest = it.path.strip_prefix(kind)?;
            Some(rest.trim_start_matches('.').to_owned())
        });
        match kind {
            // The protocol as such. HTTP/1 is what a cluster has that says nothing.
            Some(rest) if rest.is_empty() && is_new => {
                let Some(http2) = field(&it.was, HTTP2) else {
                    continue;
                };
                it = Replaced::new(HTTP2, http2);
            }
            Some(rest) if !rest.is_empty() => it.path = rest,
            _ => {}
        }
        if !is_new {
            it.path = format!("HttpProtocolOptions.{}", it.path);
        }
        found.push(it);
    }
    found
}

fn uses_downstream(cluster: &Node) -> bool {
    text(cluster, "protocol_selection") == Some("USE_DOWNSTREAM_PROTOCOL")
}

/// The options that a cluster without the extension has.
fn options_of_old_fields(cluster: &mut Node) -> Node {
    let mut options = node!({ "@type": TYPE });
    for name in [
        "common_http_protocol_options",
        "upstream_http_protocol_options",
    ] {
        if let Some(value) = remove(cluster, name) {
            set(&mut options, name, value);
        }
    }
    let both = uses_downstream(cluster);
    remove(cluster, "protocol_selection");
    let http1 = remove(cluster, HTTP1);
    let http2 = remove(cluster, HTTP2);
    let mut config = EMPTY;
    if both || http2.is_none() {
        set(&mut config, HTTP1, http1.unwrap_or(EMPTY));
    }
    if let Some(http2) = http2.or_else(|| both.then_some(EMPTY)) {
        set(&mut config, HTTP2, http2);
    }
    set(
        &mut options,
        if both { DOWNSTREAM } else { EXPLICIT },
        config,
    );
    options
}

/// What was said about either protocol stays.
fn use_downstream(options: &mut Node) {
    if field(options, DOWNSTREAM).is_some() {
        return;
    }
    let explicit = remove(options, EXPLICIT);
    let auto = remove(options, AUTO);
    let old = explicit.or(auto).unwrap_or(EMPTY);
    let mut config = EMPTY;
    let own = |name: &str| field(&old, name).cloned();
    set(&mut config, HTTP1, own(HTTP1).unwrap_or(EMPTY));
    set(&mut config, HTTP2, own(HTTP2).unwrap_or_else(windows));
    set(options, DOWNSTREAM, config);
}

fn windows() -> Node {
    node!({
        "initial_stream_window_size": STREAM_WINDOW,
        "initial_connection_window_size": CONNECTION_WINDOW,
    })
}
