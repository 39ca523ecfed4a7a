//! Host and port of a request: the `Host` header, or `:authority`.
//!
//! RFC 9110 (7.2) takes host and port from RFC 3986 (3.2.2) and leaves the userinfo out. A
//! client can send anything there, so this is parsed before it is printed anywhere.

use std::net::Ipv6Addr;

/// A host, and a port if one is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: &'a str,
    /// The port.
    pub port: Option<u16>,
}

/// The longest host: that of a name in the DNS.
const LONGEST_HOST: usize = 253;

impl<'a> Authority<'a> {
    /// Reads `host[:port]`; an empty port is none (RFC 3986, 3.2.3).
    ///
    /// Stricter than RFC 3986 in a name: letters, digits, `-`, `.`, `_` and
    /// `~` only. Percent-encoding and `!$&'()*+,;=` are in no name of the DNS,
    /// and those who read URLs disagree on them.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (host, port) = if text.starts_with('[') {
            let (address, port) = text.split_at(text.find(']')?.checked_add(1)?);
            let inner = address.strip_prefix('[')?.strip_suffix(']')?;
            inner.parse::<Ipv6Addr>().ok()?;
            match port {
                "" => (address, ""),
                _ => (address, port.strip_prefix(':')?),
            }
        } else {
            let (name, port) = text.split_once(':').unwrap_or((text, ""));
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            if name.is_empty() || name.len() > LONGEST_HOST || !name.bytes().all(is_name) {
                return None;
            }
            (name, port)
        };
        let port = match port {
            "" => None,
            _ => Some(parse_port(port)?),
        };
        Some(Self { host, port })
    }

    /// Whether `other` is the same host, whatever its letters' case, at the
    /// same port; a port that is not named is `default_port`.
    #[must_use]
    pub fn is_same(&self, other: &Authority<'_>, default_port: u16) -> bool {
        let port = |it: &Authority<'_>| it.port.unwrap_or(default_port);
        self.host.eq_ignore_ascii_case(other.host) && port(self) == port(other)
    }
}

/// 1 to 65535, in digits alone.
fn parse_port(text: &str) -> Option<u16> {
    let is_number = text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| is_number)?;
    (port > 0).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::Authority;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn parse(text: &str) -> Option<(&str, Option<u16>)> {
        let found = Authority::parse(text.as_bytes())?;
        Some((found.host, found.port))
    }

    #[test]
    fn hosts_with_and_without_port() {
        assert_eq!(parse("shop.example"), Some(("shop.example", None)));
        assert_eq!(parse("Shop_1.example:"), Some(("Shop_1.example", None)));
        assert_eq!(parse("127.0.0.1:99"), Some(("127.0.0.1", Some(99))));
        assert_eq!(parse("[::1]"), Some(("[::1]", None)));
        assert_eq!(parse("[fe80::1]:65535"), Some(("[fe80::1]", Some(65_535))));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = "a".repeat(254);
        for text in [
            "",
            ":80",
            "a@evil.com",
            "a:b@evil.com",
            "evil.com/x",
            "evil.com\\x",
            "evil.com?",
            "evil.com#",
            "a b",
            "a\tb",
            "a%40b",
            "a,b",
            "a;b",
            "a'b",
            "ä.example",
            "a:0",
            "a:65536",
            "a:+80",
            "a:000080",
            "a:8a",
            "a:80:80",
            "::1",
            "[::1",
            "::1]",
            "[::1]x",
            "[::1]:x",
            "[::1%25eth0]",
            "[v1.a]",
            "[]",
            "[evil.com]",
            "[a]b",
            "<script>",
            &long,
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(Authority::parse(b"a\xff"), None);
    }

    #[test]
    fn case_does_not_count_and_ports_do() {
        let read = |text: &'static str| Authority::parse(text.as_bytes()).unwrap();
        assert!(read("A.example").is_same(&read("a.EXAMPLE"), 80));
        assert!(read("a.example").is_same(&read("a.example:443"), 443));
        assert!(!read("a.example").is_same(&read("a.example:99"), 443));
        assert!(read("a.example:99").is_same(&read("a.example:99"), 80));
        assert!(!read("a.example").is_same(&read("a.example."), 80));
    }

    proptest! {
        /// Nothing but what a host and a port consist of comes through.
        #[test]
        fn what_is_accepted_can_stand_in_a_url(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(found) = Authority::parse(&text) {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~[:]".contains(&byte);
                prop_assert!(!found.host.is_empty() && found.host.bytes().all(is_plain));
            }
        }
    }
}
