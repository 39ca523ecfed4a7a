use super::*;
use crate::rls::{Entry, UInt64Value};

const LIMITS: &str = r#"
- namespace: shop
  name: cart
  max_value: 2
  seconds: 31536000
  conditions: ["descriptors.exists(descriptors, 'cart' in descriptors)"]
  variables: []
- namespace: shop
  name: each
  max_value: 1
  seconds: 31536000
  conditions: ["descriptors.exists(descriptors, 'r0' in descriptors && 'r0h0' in descriptors)"]
  variables: ["descriptors.filter(descriptors, 'r0' in descriptors && 'r0h0' in descriptors)[0]['r0h0']"]
"#;

fn service(text: &str) -> Limitador {
    Limitador::new(text).unwrap()
}

fn descriptor(entries: &[(&str, &str)]) -> RateLimitDescriptor {
    let entry = |(key, value): &(&str, &str)| Entry {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    RateLimitDescriptor {
        entries: entries.iter().map(entry).collect(),
        ..RateLimitDescriptor::default()
    }
}

fn request(descriptors: Vec<RateLimitDescriptor>) -> RateLimitRequest {
    RateLimitRequest {
        domain: "shop".to_owned(),
        descriptors,
        hits_addend: 0,
    }
}

fn code(service: &Limitador, request: &RateLimitRequest) -> Code {
    let response = service.should_rate_limit(request).unwrap();
    assert!(response.statuses.is_empty());
    Code::try_from(response.overall_code).unwrap()
}

#[test]
fn a_limit_counts_until_it_is_used_up() {
    let service = service(LIMITS);
    let cart = request(vec![descriptor(&[("cart", "x")])]);
    for wanted in [Code::Ok, Code::Ok, Code::OverLimit] {
        assert_eq!(code(&service, &cart), wanted);
    }
    let other = request(vec![descriptor(&[("help", "x")])]);
    for _ in 0..4 {
        assert_eq!(code(&service, &other), Code::Ok);
    }
}

#[test]
fn each_value_of_a_variable_has_its_own_count() {
    let service = service(LIMITS);
    for (value, wanted) in [
        ("ann", Code::Ok),
        ("bob", Code::Ok),
        ("ann", Code::OverLimit),
        ("u'2", Code::Ok),
        ("u'2", Code::OverLimit),
    ] {
        let user = descriptor(&[("r0", "r0"), ("r0h0", value)]);
        // Which place it has among others does not matter.
        let request = request(vec![descriptor(&[("unknown", "y")]), user]);
        assert_eq!(code(&service, &request), wanted, "{value}");
    }
}

#[test]
fn hits_are_those_of_the_whole_request() {
    for (hits, own, passes) in [(0, None, 2), (2, None, 1), (1, Some(2), 2), (3, None, 0)] {
        let service = service(LIMITS);
        let mut cart = descriptor(&[("cart", "x")]);
        cart.hits_addend = own.map(|value| UInt64Value { value });
        let mut request = request(vec![cart]);
        request.hits_addend = hits;
        let passed = (0..4).filter(|_| code(&service, &request) == Code::Ok);
        assert_eq!(passed.count(), passes, "{hits} {own:?}");
    }
}

#[test]
fn a_namespace_that_is_not_there_limits_nothing() {
    let service = service(LIMITS);
    let mut request = request(vec![descriptor(&[("cart", "x")])]);
    request.domain = "warehouse".to_owned();
    for _ in 0..4 {
        assert_eq!(code(&service, &request), Code::Ok);
    }
    request.domain = String::new();
    assert_eq!(code(&service, &request), Code::Unknown);
}

/// A fault of the real one, which files have to avoid.
#[test]
fn a_loop_variable_of_another_name_never_applies() {
    let limits = LIMITS.replace(
        "descriptors.exists(descriptors, 'cart' in descriptors)",
        "descriptors.exists(d, 'cart' in d)",
    );
    let service = service(&limits);
    let cart = request(vec![descriptor(&[("cart", "x")])]);
    for _ in 0..4 {
        assert_eq!(code(&service, &cart), Code::Ok);
    }
}

#[test]
fn a_file_that_is_refused_changes_nothing() {
    let service = service(LIMITS);
    let cart = request(vec![descriptor(&[("cart", "x")])]);
    assert_eq!(code(&service, &cart), Code::Ok);
    for wrong in [
        "limits: []",
        "- {namespace: shop}",
        "- {namespace: shop, max_value: 1, seconds: 1, conditions: [\"(\"], variables: []}",
    ] {
        assert!(service.load(wrong).is_err(), "{wrong}");
    }
    assert_eq!(code(&service, &cart), Code::Ok);
    assert_eq!(code(&service, &cart), Code::OverLimit);
    // What has been counted stays.
    service
        .load(&LIMITS.replace("max_value: 2", "max_value: 3"))
        .unwrap();
    assert_eq!(code(&service, &cart), Code::Ok);
    assert_eq!(code(&service, &cart), Code::OverLimit);
}
