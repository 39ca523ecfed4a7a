//! Which of several content types a client prefers (RFC 9110, 12.5.1).

use btp_policy::spec::Variant;

/// A quality in thousandths.
type Quality = u16;

/// A quality, and whether the client names the type: many libraries send `application/json,
/// */*` for JSON.
type Liking = (Quality, bool);

const BEST: Quality = 1000;

/// The specificity from which on a range names a type.
const NAMED: u8 = 3;

/// The most ranges of an Accept that are heeded.
const MOST_RANGES: usize = 64;

/// The most bytes of an Accept that are heeded: it is kept until the response
/// is there.
const MOST_BYTES: usize = 1024;

/// What of an Accept is heeded: its first ranges, as many as fit.
pub(super) fn usable(accept: &[u8]) -> &[u8] {
    let commas = accept.iter().enumerate().filter(|(_, byte)| **byte == b',');
    let ends = commas.map(|(at, _)| at).chain([accept.len()]);
    let end = ends
        .take(MOST_RANGES)
        .take_while(|end| *end <= MOST_BYTES)
        .last();
    accept.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// The variant that the client likes best; of equals one that it names, and
/// of those, or if none is acceptable, the first.
pub(super) fn choose<'a>(accept: Option<&[u8]>, variants: &'a [Variant]) -> Option<&'a Variant> {
    let accept = accept.unwrap_or_default();
    let mut best: Option<(&Variant, Liking)> = None;
    for variant in variants {
        let liking = liking(accept, &variant.media_type);
        if best.is_none_or(|(_, other)| liking > other) {
            best = Some((variant, liking));
        }
    }
    best.map(|(variant, _)| variant)
}

/// How well the client likes a media type: what the most specific range that
/// takes it in says. Parameters of ranges are not compared.
fn liking(accept: &[u8], media_type: &str) -> Liking {
    let mut found = (0, 0);
    for range in accept.split(|byte| *byte == b',').take(MOST_RANGES) {
        let mut parts = range.split(|byte| *byte == b';');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let specificity = specificity(name, media_type);
        if specificity > found.0 {
            found = (specificity, parts.find_map(q).unwrap_or(BEST));
        }
    }
    let (specificity, quality) = found;
    (quality, specificity >= NAMED)
}

/// How closely a range describes a media type; 0: not at all. A client that
/// takes `application/json` can read `application/problem+json`.
fn specificity(range: &[u8], media_type: &str) -> u8 {
    let (kind, subtype) = media_type.split_once('/').unwrap_or_default();
    let suffix = subtype.rsplit_once('+').map(|(_, suffix)| suffix);
    let Some(slash) = range.iter().position(|byte| *byte == b'/') else {
        // Java's old URLConnection says `*` for anything.
        return u8::from(range == b"*");
    };
    let (of_kind, of_subtype) = range.split_at(slash);
    let of_subtype = of_subtype.get(1..).unwrap_or_default();
    let same = |one: &[u8], other: &str| one.eq_ignore_ascii_case(other.as_bytes());
    if of_kind == b"*" {
        u8::from(of_subtype == b"*")
    } else if !same(of_kind, kind) {
        0
    } else if same(of_subtype, subtype) {
        NAMED + 1
    } else if suffix.is_some_and(|suffix| same(of_subtype, suffix)) {
        NAMED
    } else if of_subtype == b"*" {
        2
    } else {
        0
    }
}

/// Reads `q=0.5`; what is malformed says nothing.
fn q(parameter: &[u8]) -> Option<Quality> {
    let text = std::str::from_utf8(parameter).ok()?.trim();
    let text = text
        .strip_prefix("q=")
        .or_else(|| text.strip_prefix("Q="))?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: Quality = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(BEST),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const TYPES: [&str; 3] = ["text/html", "application/problem+json", "text/plain"];

    fn best(accept: &[u8]) -> &'static str {
        let likings = TYPES.map(|media_type| liking(accept, media_type));
        let most = *likings.iter().max().unwrap();
        TYPES[likings.iter().position(|it| *it == most).unwrap()]
    }

    #[test]
    fn the_best_quality_wins_and_the_first_of_equals() {
        for (accept, wanted) in [
            ("", "text/html"),
            ("*/*", "text/html"),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                "text/html",
            ),
            ("application/problem+json", "application/problem+json"),
            ("application/json", "application/problem+json"),
            (
                "application/json, text/plain, */*",
                "application/problem+json",
            ),
            ("APPLICATION/*", "application/problem+json"),
            ("text/html;q=0.5, text/plain", "text/plain"),
            ("text/html;level=1;q=0.2, text/*;q=0.4", "text/plain"),
            ("text/html; q=0, */*", "application/problem+json"),
            ("text/html;q=0, application/*;q=0, */*;q=0.1", "text/plain"),
            ("image/png", "text/html"),
            ("text/html;q=0.001,text/plain;q=0.002", "text/plain"),
            ("text/html;q=2,text/plain;q=x", "text/html"),
            ("*", "text/html"),
            ("text", "text/html"),
            (",,;;q=,/", "text/html"),
        ] {
            assert_eq!(best(accept.as_bytes()), wanted, "{accept}");
        }
    }

    proptest! {
        #[test]
        fn what_is_cut_off_was_not_heeded(
            ranges in proptest::collection::vec("[a-z*/;=.0-9 ]{0,40}", 0..100),
        ) {
            let accept = ranges.join(",");
            let usable = usable(accept.as_bytes());
            prop_assert!(accept.as_bytes().starts_with(usable) && usable.len() <= MOST_BYTES);
            let heeded = usable.split(|byte| *byte == b',').count();
            prop_assert!(heeded <= MOST_RANGES);
            let next = accept.as_bytes().get(usable.len());
            prop_assert!(next.is_none_or(|byte| *byte == b',') || usable.is_empty());
            if accept.len() <= MOST_BYTES {
                for media_type in TYPES {
                    prop_assert_eq!(
                        liking(usable, media_type),
                        liking(accept.as_bytes(), media_type)
                    );
                }
            }
        }

        #[test]
        fn anything_has_a_quality(accept in proptest::collection::vec(any::<u8>(), 0..80)) {
            for media_type in TYPES {
                prop_assert!(liking(&accept, media_type).0 <= BEST);
            }
        }
    }
}
