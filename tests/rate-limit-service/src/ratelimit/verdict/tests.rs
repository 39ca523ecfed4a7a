use std::collections::HashMap;

use super::super::file;
use super::*;
use crate::rls::{Entry, RateLimitOverride, UInt64Value, Unit};

const FILE: &str = "
domain: shop
descriptors:
- {key: till, rate_limit: {unit: minute, requests_per_unit: 3}}
- {key: door, rate_limit: {unit: second, requests_per_unit: 1}, shadow_mode: true}
- {key: shut, rate_limit: {unit: year, requests_per_unit: 0}}
- key: free
";

/// A minute's beginning, far from 1970.
const MINUTE: u64 = 1_700_000_040;

/// Counts as Redis keeps them.
#[derive(Default)]
struct Counts(HashMap<String, u64>);

impl Counts {
    fn ask(&mut self, request: &RateLimitRequest, now: u64) -> RateLimitResponse {
        let config = file::read(FILE).unwrap();
        let asked = asked(&config, request, now).unwrap();
        let add = |asked: &Asked| {
            let count = self.0.entry(asked.increment.key.clone()).or_default();
            *count += asked.increment.hits;
            *count
        };
        let counts: Vec<u64> = asked.iter().flatten().map(add).collect();
        response(&asked, counts, now)
    }

    fn code(&mut self, request: &RateLimitRequest, now: u64) -> Code {
        self.ask(request, now).overall_code()
    }
}

fn descriptor(key: &str, value: &str) -> RateLimitDescriptor {
    RateLimitDescriptor {
        entries: vec![Entry {
            key: key.to_owned(),
            value: value.to_owned(),
        }],
        ..RateLimitDescriptor::default()
    }
}

fn request(descriptors: &[RateLimitDescriptor]) -> RateLimitRequest {
    RateLimitRequest {
        domain: "shop".to_owned(),
        descriptors: descriptors.to_vec(),
        hits_addend: 0,
    }
}

#[test]
fn a_limit_is_used_up_and_comes_back_with_the_next_window() {
    let mut counts = Counts::default();
    let north = request(&[descriptor("till", "north")]);
    for (after, wanted) in [
        (0, Code::Ok),
        (0, Code::Ok),
        (59, Code::Ok),
        (59, Code::OverLimit),
        (60, Code::Ok),
    ] {
        assert_eq!(counts.code(&north, MINUTE + after), wanted, "{after}");
    }
    // Another value has its own count.
    let south = request(&[descriptor("till", "south")]);
    assert_eq!(counts.code(&south, MINUTE), Code::Ok);
}

#[test]
fn a_status_tells_the_limit_and_what_is_left() {
    let mut counts = Counts::default();
    let till = request(&[descriptor("till", "north")]);
    for (remaining, code) in [
        (2, Code::Ok),
        (1, Code::Ok),
        (0, Code::Ok),
        (0, Code::OverLimit),
    ] {
        let response = counts.ask(&till, MINUTE + 14);
        let wanted = DescriptorStatus {
            code: code.into(),
            current_limit: Some(CurrentLimit {
                requests_per_unit: 3,
                unit: Unit::Minute.into(),
            }),
            limit_remaining: remaining,
            duration_until_reset: Some(Duration { seconds: 46 }),
        };
        assert_eq!(response.statuses, [wanted]);
    }
}

#[test]
fn one_descriptor_over_its_limit_is_enough_and_all_are_counted() {
    let mut counts = Counts::default();
    let all = request(&[
        descriptor("free", "x"),
        descriptor("shut", "x"),
        descriptor("till", "north"),
    ]);
    let response = counts.ask(&all, MINUTE);
    assert_eq!(response.overall_code(), Code::OverLimit);
    let codes: Vec<Code> = response.statuses.iter().map(|it| it.code()).collect();
    assert_eq!(codes, [Code::Ok, Code::OverLimit, Code::Ok]);
    assert_eq!(response.statuses[0].current_limit, None);
    let till = request(&[descriptor("till", "north")]);
    assert_eq!(counts.ask(&till, MINUTE).statuses[0].limit_remaining, 1);
}

#[test]
fn shadow_mode_counts_and_lets_pass() {
    let mut counts = Counts::default();
    let door = request(&[descriptor("door", "x")]);
    for remaining in [0, 0, 0] {
        let response = counts.ask(&door, MINUTE);
        assert_eq!(response.overall_code(), Code::Ok);
        assert_eq!(response.statuses[0].code(), Code::Ok);
        assert_eq!(response.statuses[0].limit_remaining, remaining);
    }
    assert_eq!(counts.0.values().sum::<u64>(), 3);
}

#[test]
fn hits_are_the_descriptors_own_else_the_requests_else_one() {
    for (own, whole, added) in [
        (None, 0, 1),
        (None, 1, 1),
        (None, 5, 5),
        (Some(2), 0, 2),
        (Some(2), 5, 2),
        (Some(0), 5, 0),
        (Some(u64::from(u32::MAX) + 1), 0, 4_294_967_296),
    ] {
        let mut till = descriptor("till", "north");
        till.hits_addend = own.map(|value| UInt64Value { value });
        let mut request = request(&[till]);
        request.hits_addend = whole;
        let mut counts = Counts::default();
        let code = counts.code(&request, MINUTE);
        assert_eq!(counts.0.values().sum::<u64>(), added, "{own:?} {whole}");
        let wanted = if added > 3 { Code::OverLimit } else { Code::Ok };
        assert_eq!(code, wanted, "{own:?} {whole}");
    }
}

#[test]
fn asking_without_hits_tells_whether_the_limit_is_exceeded() {
    let mut counts = Counts::default();
    let mut asking = descriptor("till", "north");
    asking.hits_addend = Some(UInt64Value { value: 0 });
    let asking = request(&[asking]);
    let using = request(&[descriptor("till", "north")]);
    for wanted in [Code::Ok, Code::Ok, Code::Ok, Code::OverLimit] {
        assert_eq!(counts.code(&asking, MINUTE), Code::Ok);
        assert_eq!(counts.code(&using, MINUTE), wanted);
    }
    assert_eq!(counts.code(&asking, MINUTE), Code::OverLimit);
}

#[test]
fn a_limit_that_the_request_brings_counts_under_the_same_name() {
    let mut counts = Counts::default();
    let mut till = descriptor("till", "north");
    till.limit = Some(RateLimitOverride {
        requests_per_unit: 1,
        unit: Unit::Minute.into(),
    });
    let (own, file) = (request(&[till]), request(&[descriptor("till", "north")]));
    assert_eq!(counts.code(&own, MINUTE), Code::Ok);
    assert_eq!(counts.code(&own, MINUTE), Code::OverLimit);
    assert_eq!(counts.code(&file, MINUTE), Code::Ok);
    assert_eq!(counts.code(&file, MINUTE), Code::OverLimit);
}

#[test]
fn a_count_is_named_by_domain_entries_and_window() {
    let config = file::read(FILE).unwrap();
    let asked = asked(&config, &request(&[descriptor("till", "a b")]), MINUTE + 7).unwrap();
    let wanted = Increment {
        key: format!("shop_till_a b_{MINUTE}"),
        hits: 1,
        expires_after_s: 60,
    };
    assert_eq!(asked[0].as_ref().unwrap().increment, wanted);
}
