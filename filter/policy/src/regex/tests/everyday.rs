//! What people write is accepted and cheap; what would be dear is refused.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::regex::Regex;

/// A pattern, a value that it matches and one that it does not.
const EVERYDAY: [(&str, &str, &str); 34] = [
    (
        "(?i).*(bot|crawler|spider|crawling|slurp|scrapy|curl|wget|python-requests|httpclient|\
         headless|phantom|selenium|facebookexternalhit|bingpreview|archiver|monitor|uptime|\
         lighthouse).*",
        "Mozilla/5.0 (compatible; GoogleBot/2.1)",
        "Mozilla/5.0 (X11; Linux) Firefox/130.0",
    ),
    (
        r"[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}",
        "a.b@c.example",
        "a.b@c",
    ),
    (r"[^@]{1,64}@[^@]{1,255}", "a@b", "a@b@c"),
    (
        "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
        "123e4567-e89b-12d3-a456-426614174000",
        "123e4567e89b12d3a456426614174000",
    ),
    (
        "(?i)[0-9a-f]{32}",
        "0123456789abcdefABCDEF0123456789",
        "0123",
    ),
    ("[0-9a-f]{64}", "", "x"),
    (
        r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?",
        "v1.20.3-rc.1+build5",
        "1.02",
    ),
    ("/v[0-9]+/.*", "/v2/users", "/users"),
    ("/api/(v1|v2|beta)/.*", "/api/beta/x", "/api/v3/x"),
    (
        "/users/[^/]+/orders/[0-9]+",
        "/users/ä/orders/7",
        "/users/a/b/orders/7",
    ),
    (
        r"/static/.*\.(css|js|png|jpe?g|gif|svg|woff2?)",
        "/static/a/b.woff2",
        "/static/a.html",
    ),
    (r"/[a-z0-9]+(-[a-z0-9]+)*", "/a-nice-title", "/A"),
    (r".*\.(php|aspx?|jsp)", "/index.php", "/index.html"),
    (
        "/(login|logout|signup|password/(reset|forgot))",
        "/password/reset",
        "/password",
    ),
    (
        ".*/(admin|private|internal)(/.*)?",
        "/x/admin/y",
        "/administration",
    ),
    (r"(\d{1,3}\.){3}\d{1,3}", "10.0.0.1", "10.0.0"),
    (
        "((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])",
        "192.168.255.0",
        "192.168.256.0",
    ),
    (
        "([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}",
        "1:2:3:4:5:6:7:8",
        "1::8",
    ),
    (
        r"(?i)(https?://)?([a-z0-9-]+\.)+[a-z]{2,}(:\d+)?(/.*)?",
        "https://a.example:8443/x",
        "a b",
    ),
    (
        r"https://([a-z0-9-]+\.)*example\.com",
        "https://a.b.example.com",
        "https://example.com.evil",
    ),
    (
        r"Bearer [A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
        "Bearer a.b.c",
        "Basic abc",
    ),
    (r"(?i)basic [a-z0-9+/]+={0,2}", "Basic dTpw", "Basic d p"),
    (r"(.*;\s*)?session=[a-f0-9]{32}(;.*)?", "", "session=1"),
    (
        r".*\bcanary=(true|1)\b.*",
        "a=b; canary=1; c=d",
        "a=b; canary=10",
    ),
    (
        r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2}))?",
        "2026-01-31T00:00:00Z",
        "2026",
    ),
    (
        r"(?i)(.*,)?\s*(en|de|fr)(-[a-z]{2})?(;q=[0-9.]+)?\s*(,.*)?",
        "fr;q=0.5, en-GB",
        "it",
    ),
    (
        r"application/(json|([a-z.-]+\+)?xml)(\s*;.*)?",
        "application/atom+xml; q=1",
        "text/html",
    ),
    (
        r".*(Android|iPhone|iPad|Mobile).*",
        "Mozilla (iPhone; CPU)",
        "Mozilla (X11)",
    ),
    (
        r"Mozilla/5\.0 .* Chrome/(1[0-9]{2}|[5-9][0-9])\..*",
        "Mozilla/5.0 x Chrome/120.0",
        "Chrome/1",
    ),
    (
        r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}",
        "DE02120300000000202051",
        "de02",
    ),
    (r"\+?[0-9 ()-]{7,20}", "+49 (30) 1234567", "12"),
    (
        "(free|pro|enterprise)-[a-z0-9]{6,32}",
        "pro-abc123",
        "gold-abc123",
    ),
    (r".{1,200}", "ä", ""),
    (r"(?i)(utf|iso)[-_]?8(859[-_]1)?", "ISO-8859-1", "ascii"),
];

#[test]
fn everyday_patterns_are_accepted_and_small() {
    let mut bytes = 0;
    for (pattern, matching, other) in EVERYDAY {
        let regex = Regex::new(pattern).expect(pattern);
        bytes += regex.bytes();
        if matching.is_empty() {
            let counted = "0".repeat(64);
            let cookie = format!("a=b; session={}", "0".repeat(32));
            let long = [counted.as_bytes(), cookie.as_bytes()];
            assert!(long.iter().any(|value| regex.is_match(value)), "{pattern}");
        } else {
            assert!(
                regex.is_match(matching.as_bytes()),
                "{pattern} on {matching}"
            );
        }
        assert!(!regex.is_match(other.as_bytes()), "{pattern} on {other}");
    }
    let average = bytes / EVERYDAY.len();
    assert!(average < 8 * 1024, "they take {average} bytes each");
}

/// Patterns that would take too much, and what is said of each.
const DEAR: [(&str, &str); 7] = [
    (
        ".*[ab][a-z]{0,2000}",
        "its automaton takes more than the allowed 522 KiB; write [a-z]* for [a-z]{0,2000}",
    ),
    (
        r"(\w{1000}){1000}",
        "it has more than the allowed 16384 steps; write (\\w{1000})+ for (\\w{1000}){1000}",
    ),
    (
        "[a-z]{20000}",
        "it has more than the allowed 16384 steps; write [a-z]+ for [a-z]{20000}",
    ),
    (
        ".*a.{9}b",
        "its table takes 141 KiB; at most 128 KiB are allowed; write .+ for .{9}",
    ),
    (
        ".*a.{12}b",
        "its automaton takes more than the allowed 2048 KiB; write .+ for .{12}",
    ),
    (
        ".*foo.{0,20}bar.*",
        "its automaton takes more than the allowed 2048 KiB; write .* for .{0,20}",
    ),
    (
        ".*a............b",
        "its automaton takes more than the allowed 2048 KiB; split it into several conditions",
    ),
];

#[test]
fn dear_patterns_are_refused_with_their_size_the_bound_and_a_cheaper_spelling() {
    for (pattern, reason) in DEAR {
        let error = Regex::new(pattern).expect_err(pattern).reason;
        assert_eq!(error, format!("is too expensive: {reason}"));
    }
}
