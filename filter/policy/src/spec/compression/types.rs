//! `compressor` as types.

use serde::Deserialize;

use crate::scalar::Quantity;
use crate::spec::native_types::Nothing;

/// An item of `compression` or `compressor`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named as in the API")]
pub struct Compression {
    #[serde(rename = "type")]
    pub kind: CompressionType,
    pub gzip: Option<Nothing>,
    pub brotli: Option<Nothing>,
    pub zstd: Option<Nothing>,
    pub min_content_length: Option<Quantity>,
}

/// A way to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum CompressionType {
    Gzip,
    Brotli,
    Zstd,
}
