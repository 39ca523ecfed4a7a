//! The headers that survive every override: those that let pages of other origins read a
//! response (CORS), and those that tell caches which request headers it depends on.
//!
//! They are about the request, not about the replaced body. It is unknown whether Envoy's
//! `cors` filter or the origin wrote them, and it makes no difference: a page that may read
//! the original response may read its replacement.

use crate::action::Fields;

pub(super) const VARY: &[u8] = b"vary";
/// Up to so many names, each is written only once; the origin decides how many there are.
const FEW: usize = 64;

/// Whether a header (name in lower case) survives.
pub(super) fn survives(name: &[u8]) -> bool {
    name == VARY || name.starts_with(b"access-control-")
}

/// Makes one header of all `vary`.
pub(super) fn merge_vary(headers: &mut Fields) {
    let is_vary = |(name, _): &&(Vec<u8>, Vec<u8>)| name == VARY;
    if headers.iter().filter(is_vary).count() < 2 {
        return;
    }
    let mut merged: Vec<&[u8]> = Vec::new();
    let values = headers.iter().filter(is_vary);
    for name in values.flat_map(|(_, value)| value.split(|byte| *byte == b',')) {
        let name = name.trim_ascii();
        if name == b"*" {
            // It depends on anything.
            merged = vec![name];
            break;
        }
        let is_name = |other: &&[u8]| other.eq_ignore_ascii_case(name);
        if !name.is_empty() && !merged.iter().take(FEW).any(is_name) {
            merged.push(name);
        }
    }
    let merged = merged.join(&b", "[..]);
    headers.retain(|(name, _)| name != VARY);
    headers.push((VARY.to_vec(), merged));
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_crosses_origins_survives() {
        for name in ["vary", "access-control-allow-origin", "access-control-x"] {
            assert!(survives(name.as_bytes()), "{name}");
        }
        for name in ["access-control", "varying", "origin", "content-type"] {
            assert!(!survives(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn vary_is_merged_and_loses_nothing() {
        for (values, wanted) in [
            (&["Origin"][..], "Origin"),
            (&["Origin", "accept"], "Origin, accept"),
            (&["Accept, Origin", "origin", "accept"], "Accept, Origin"),
            (&["", "origin ,,accept-encoding"], "origin, accept-encoding"),
            (&["origin", "accept, *, x"], "*"),
        ] {
            let vary = |value: &&str| (VARY.to_vec(), value.as_bytes().to_vec());
            let mut headers: Fields = values.iter().map(vary).collect();
            headers.insert(0, (b"x".to_vec(), b"1".to_vec()));
            merge_vary(&mut headers);
            assert_eq!(headers.len(), 2, "{values:?}");
            let (_, value) = headers.pop().unwrap();
            assert_eq!(String::from_utf8(value).unwrap(), wanted);
        }
    }
}
