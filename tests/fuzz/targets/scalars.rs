//! Any text as each of the small values of the API: durations, quantities,
//! address ranges, times, patterns.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use btp_policy::Regex;
use btp_policy::json;
use btp_policy::node::Node;
use btp_policy::problem::Problems;
use btp_policy::read::Cursor;
use btp_policy::scalar::{
    Cidr, Duration, HeaderName, Quantity, TimeFormat, is_dns_label, is_dns_subdomain,
    read_timestamp,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(duration) = Duration::parse(text) {
        // Printed for people: a long one has more digits than may be written.
        let again = Duration::parse(&duration.to_string());
        assert!(again.is_none_or(|again| again == duration));
    }
    if let Some(quantity) = Quantity::parse(text) {
        assert!(quantity.get() < u64::MAX);
    }
    if let Some(range) = Cidr::parse(text) {
        let v4 = range.contains(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let v6 = range.contains(IpAddr::V6(Ipv6Addr::LOCALHOST));
        assert!(!(v4 && v6), "{text} holds addresses of both kinds");
    }
    if let Ok(format) = TimeFormat::parse(text) {
        for time in [0, 1_795_249_815_123_456_789, u64::MAX] {
            let _ = format.print(time);
        }
    }
    if let Ok(regex) = Regex::new(text) {
        for value in [&b""[..], b"a\xffz", text.as_bytes()] {
            let _ = regex.is_match(value);
        }
    }
    if let Some(name) = HeaderName::new(text) {
        assert_eq!(HeaderName::new(name.as_str()), Some(name));
    }
    assert!(!is_dns_label(text) || is_dns_subdomain(text));
    let quoted = serde_json::to_string(text).expect("any text is JSON");
    let node: Node = json::parse(quoted.as_bytes()).expect("what is printed is read");
    let mut problems = Problems::default();
    let time = read_timestamp(Cursor::root(&node), &mut problems);
    assert_eq!(time.is_none(), !problems.into_vec().is_empty());
});
