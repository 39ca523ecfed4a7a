//! What a route's metadata says of it, and a cluster's, in the flat form that the ABI can read: no
//! struct within a struct, no list of structs.

use btp_engine::LogThrottle;
use btp_policy::attach::ResourceRef;

use crate::abi::{Attribute, Level, MetadataKey, MetadataSource, Stream, log};
use crate::clock::monotonic_ns;

/// `filter_metadata.btp.resources`: a list of texts, `Kind/namespace/name` or
/// `Kind/namespace/name/section`.
const RESOURCES: MetadataKey<'_> = MetadataKey {
    source: MetadataSource::Route,
    namespace: "btp",
    key: "resources",
};

/// `filter_metadata.btp.backends` of the cluster: a list of texts, `namespace/name` or
/// `namespace/name/port`.
const BACKENDS: MetadataKey<'_> = MetadataKey {
    source: MetadataSource::Cluster,
    namespace: "btp",
    key: "backends",
};

/// A namespace whose keys are the route's labels, each with a text.
const LABELS: &str = "btp.labels";

const NESTED_RESOURCES: &str = "the module cannot read filter_metadata.envoy-gateway.resources; \
     add filter_metadata.btp.resources, a list such as [HTTPRoute/namespace/name]";
const NESTED_LABELS: &str = "the module cannot read filter_metadata.btp.labels; add the labels in \
    their own namespace, filter_metadata[\"btp.labels\"]";

/// The objects that the route was made from. What is no such text is passed over.
pub(crate) fn resources<'s>(stream: &'s Stream<'_>) -> Vec<ResourceRef<'s>> {
    texts(stream, RESOURCES)
        .filter_map(ResourceRef::parse)
        .collect()
}

/// The Services that the request's cluster stands for.
pub(crate) fn backends<'s>(stream: &'s Stream<'_>) -> Vec<&'s str> {
    texts(stream, BACKENDS).collect()
}

/// The route's labels. Those that are no texts are passed over.
pub(crate) fn labels<'s>(stream: &'s Stream<'_>) -> Vec<(&'s str, &'s str)> {
    let keys = stream.metadata_keys(MetadataSource::Route, LABELS);
    let label = |key| {
        let key = str::from_utf8(key).ok()?;
        let place = MetadataKey {
            source: MetadataSource::Route,
            namespace: LABELS,
            key,
        };
        Some((key, str::from_utf8(stream.metadata_text(place)?).ok()?))
    };
    keys.into_iter().filter_map(label).collect()
}

/// Says in the log, once a minute, if the route has its resources or labels in the
/// nested form alone.
pub(crate) fn check(
    stream: &Stream<'_>,
    resources: &[ResourceRef<'_>],
    labels: Option<&[(&str, &str)]>,
    throttle: &LogThrottle,
) {
    let has = |namespace, key: &str| {
        let keys = stream.metadata_keys(MetadataSource::Route, namespace);
        keys.contains(&key.as_bytes())
    };
    let nested = [
        (
            resources.is_empty() && has("envoy-gateway", "resources"),
            NESTED_RESOURCES,
        ),
        (
            labels.is_some_and(<[_]>::is_empty) && has("btp", "labels"),
            NESTED_LABELS,
        ),
    ];
    for (is_nested, advice) in nested {
        if is_nested && let Some(left_out) = throttle.admit(monotonic_ns()) {
            let name = stream.text(Attribute::XdsRouteName).unwrap_or_default();
            let name = String::from_utf8_lossy(name);
            log(
                Level::Error,
                &format!("route \"{name}\": {advice} (docs/reference/module.md){left_out}"),
            );
        }
    }
}

/// The texts of a list.
fn texts<'s>(stream: &'s Stream<'_>, list: MetadataKey<'s>) -> impl Iterator<Item = &'s str> {
    let count = stream.metadata_list_length(list).unwrap_or(0);
    let texts = (0..count).filter_map(move |index| stream.metadata_list_text(list, index));
    texts.filter_map(|it| str::from_utf8(it).ok())
}
