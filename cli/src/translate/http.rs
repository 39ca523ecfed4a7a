//! What becomes of a message: `compression`, `compressor`, `httpUpgrade`.

use btp_policy::native::{Compression, CompressionType, HttpUpgrade};
use btp_policy::scalar::Quantity;

use super::change::{Changes, How, Path, Place, Step};
use crate::envoy::json::{IntoNode, list, node, put};

/// Envoy's, and Envoy Gateway's.
const MIN_CONTENT_LENGTH: Quantity = Quantity::new(30);

/// Compressors, the preferred one first; `field` is the list's name.
///
/// A filter is shared by all policies with the same settings. Envoy Gateway
/// has one filter per type with the settings of whichever policy came first.
pub(super) fn compress(field: &str, items: &[Compression], out: &mut Changes) {
    for (index, item) in items.iter().enumerate() {
        let (kind, library) = match item.kind {
            CompressionType::Gzip => ("gzip", "Gzip"),
            CompressionType::Brotli => ("brotli", "Brotli"),
            CompressionType::Zstd => ("zstd", "Zstd"),
        };
        let is_first = index == 0;
        let least = item.min_content_length.unwrap_or(MIN_CONTENT_LENGTH);
        let first = if is_first { ".first" } else { "" };
        let name = format!("btp.compressor.{kind}.{}{first}", least.get());
        let filter = node!({
            "name": (name.as_str()),
            "disabled": true,
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor",
                "response_direction_config": { "common_config": { "min_content_length": (least) } },
                "compressor_library": {
                    "name": kind,
                    "typed_config": {
                        "@type": (format!(
                            "type.googleapis.com/envoy.extensions.compression.{kind}.compressor.v3.{library}"
                        ))
                    }
                },
                "choose_first": is_first
            }
        });
        let on = node!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.CompressorPerRoute",
            "overrides": { "response_direction_config": {} }
        });
        let place = Place::HttpConnectionManager;
        out.add(field, place, "http_filters", How::HttpFilter(filter));
        let path = Path::new("typed_per_filter_config").then(Step::Field(name));
        out.add(field, Place::Route, path, How::Set(on));
    }
    if !items.is_empty() {
        // Behind all compressors: the backend is not to compress itself.
        let how = How::Append("accept-encoding".into_node());
        out.add(field, Place::Route, "request_headers_to_remove", how);
    }
}

/// The upgrades that the policy allows, and no other.
pub(super) fn upgrade(items: &[HttpUpgrade], allowed: &[String], out: &mut Changes) {
    if items.is_empty() {
        return;
    }
    let mut configs: Vec<_> = items
        .iter()
        .map(|item| {
            let mut config = node!({ "upgrade_type": (item.kind.as_str()) });
            let terminates = item.connect.is_some_and(|connect| connect.terminate);
            put(&mut config, "connect_config", terminates.then(|| node!({})));
            config
        })
        .collect();
    let is_named = |kind: &&String| {
        items
            .iter()
            .any(|item| item.kind.eq_ignore_ascii_case(kind))
    };
    for kind in allowed.iter().filter(|kind| !is_named(kind)) {
        configs.push(node!({ "upgrade_type": (kind.as_str()), "enabled": false }));
    }
    let how = How::Set(list(configs));
    out.add("httpUpgrade", Place::Route, "route.upgrade_configs", how);
}
