//! How messages are changed: `compression`, `compressor`, `httpUpgrade`.

use btp_policy::native::{Compression, CompressionType, HttpUpgrade};
use btp_policy::node::Node;
use btp_policy::scalar::Quantity;

use super::change::{Changes, FilterPlace, Operation, Path, Target};
use crate::envoy::json::{IntoNode, list, node, put};

/// Envoy's, and Envoy Gateway's.
const MIN_CONTENT_LENGTH: Quantity = Quantity::new(30);

/// Answers that are no whole: `Content-Range` counts the bytes of what is
/// not compressed.
const PARTIAL: u32 = 206;

fn uncompressible() -> Node {
    list([PARTIAL.into_node()])
}

/// `compressor`: an item without its settings object is off, as in Envoy
/// Gateway.
pub(super) fn compress_where_set(items: &[Compression], out: &mut Changes) {
    let is_on = |item: &&Compression| match item.kind {
        CompressionType::Gzip => item.gzip.is_some(),
        CompressionType::Brotli => item.brotli.is_some(),
        CompressionType::Zstd => item.zstd.is_some(),
    };
    let on: Vec<Compression> = items.iter().filter(is_on).cloned().collect();
    compress("compressor", &on, out);
    if on.is_empty() && !items.is_empty() {
        let operation = Operation::Nothing("items without their settings object are off");
        out.add("compressor", Target::Route, Path::default(), operation);
    }
}

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
                "response_direction_config": {
                    "common_config": { "min_content_length": (least) },
                    "uncompressible_response_codes": (uncompressible())
                },
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
        out.add_filter(field, &name, (filter, FilterPlace::BeforeRouter), on);
    }
    if !items.is_empty() {
        // Behind all compressors: the backend is not to compress itself.
        let operation = Operation::Append("accept-encoding".into_node());
        out.add(field, Target::Route, "request_headers_to_remove", operation);
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
    let operation = Operation::Set(list(configs));
    out.add(
        "httpUpgrade",
        Target::Route,
        "route.upgrade_configs",
        operation,
    );
}
