use btp_policy::Regexes;
use btp_policy::json;
use btp_policy::problem::Problems;
use btp_policy::read::Cursor;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn selector(items: &str) -> Selector {
    let node = json::parse(items.as_bytes()).unwrap();
    let mut problems = Problems::default();
    let selector =
        Selector::read_all(Cursor::root(&node), &Regexes::default(), &mut problems).unwrap();
    assert!(problems.is_empty(), "{:?}", problems.into_vec());
    selector
}

fn holds(items: &str, headers: &[(&str, &[u8])], source: Option<&str>) -> bool {
    let headers: Vec<(&[u8], &[u8])> = headers
        .iter()
        .map(|(name, value)| (name.as_bytes(), *value))
        .collect();
    let source = source.map(|address| address.parse().unwrap());
    meets(&Request::new(&headers, source), &selector(items))
}

#[test]
fn no_condition_holds_for_every_request() {
    assert!(holds("[]", &[], None));
}

#[test]
fn header_values() {
    let exact = r#"[{"headers":[{"name":"X-A","value":"1"}]}]"#;
    assert!(holds(exact, &[("x-a", b"1")], None));
    assert!(!holds(exact, &[("x-a", b"1"), ("x-a", b"2")], None));
    assert!(!holds(exact, &[], None));
    let not = r#"[{"headers":[{"name":"x-a","value":"1","invert":true}]}]"#;
    assert!(!holds(not, &[("x-a", b"1")], None));
    assert!(holds(not, &[("x-a", b"2")], None));
    assert!(holds(not, &[], None));
    let regex = r#"[{"headers":[{"name":"x-a","type":"RegularExpression","value":"[0-9]+"}]}]"#;
    assert!(holds(regex, &[("x-a", b"12")], None));
    assert!(!holds(regex, &[("x-a", b"12x")], None));
    assert!(!holds(regex, &[("x-a", b"\xff")], None));
    let distinct = r#"[{"headers":[{"name":"x-a","type":"Distinct"}]}]"#;
    assert!(holds(distinct, &[("x-a", b"")], None));
    assert!(!holds(distinct, &[], None));
}

#[test]
fn every_condition_of_every_item_counts() {
    let both = r#"[{"headers":[{"name":"a","value":"1"}]},{"headers":[{"name":"b","value":"2"}],
        "methods":[{"value":"GET"}]}]"#;
    let all: [(&str, &[u8]); 3] = [("a", b"1"), ("b", b"2"), (":method", b"GET")];
    assert!(holds(both, &all, None));
    for left_out in 0..all.len() {
        let mut some = all.to_vec();
        some.remove(left_out);
        assert!(!holds(both, &some, None), "without {}", all[left_out].0);
    }
}

#[test]
fn methods_are_alternatives() {
    let some = r#"[{"methods":[{"value":"GET"},{"value":"POST"}]}]"#;
    assert!(holds(some, &[(":method", b"POST")], None));
    assert!(!holds(some, &[(":method", b"PUT")], None));
    let others = r#"[{"methods":[{"value":"GET","invert":true},{"value":"HEAD","invert":true}]}]"#;
    assert!(!holds(others, &[(":method", b"HEAD")], None));
    assert!(holds(others, &[(":method", b"PURGE")], None));
}

#[test]
fn paths_go_by_segments_and_without_query() {
    let at = |path: &str, items: &str| holds(items, &[(":path", path.as_bytes())], None);
    let prefix = r#"[{"path":{"value":"/a/"}}]"#;
    assert!(at("/a", prefix) && at("/a/b", prefix) && at("/a?x=/b", prefix));
    assert!(!at("/ab", prefix) && !at("/", prefix));
    let root = r#"[{"path":{"type":"PathPrefix","value":"/"}}]"#;
    assert!(at("/", root) && at("/x?y", root));
    let exact = r#"[{"path":{"type":"Exact","value":"/a"}}]"#;
    assert!(at("/a?b=c", exact) && !at("/a/", exact));
    let regex = r#"[{"path":{"type":"RegularExpression","value":"/v[12]/.*","invert":true}}]"#;
    assert!(!at("/v1/x", regex) && at("/v3/x", regex));
}

#[test]
fn query_parameters() {
    let exact = r#"[{"queryParams":[{"name":"key","value":"a b"}]}]"#;
    assert!(holds(exact, &[(":path", b"/?key=a%20b")], None));
    assert!(!holds(exact, &[(":path", b"/?key=a")], None));
    assert!(!holds(exact, &[(":path", b"/")], None));
}

/// What an upstream may take for the value that is listed, and what is another one here.
#[test]
fn only_the_first_value_of_a_parameter_counts_and_only_as_it_is_written() {
    let exact = r#"[{"queryParams":[{"name":"op","value":"admin"}]}]"#;
    let each = r#"[{"queryParams":[{"name":"op","type":"Distinct"}]}]"#;
    for (query, equals, is_there) in [
        ("op=admin", true, true),
        ("o%70=%61dmin", true, true),
        ("op=admin&op=x", true, true),
        ("op=x&op=admin", false, true),
        ("op=&op=admin", false, true),
        ("op&op=admin", false, true),
        ("op=admin;x=1", false, true),
        ("x=1;op=admin", false, false),
        ("op=admin+", false, true),
        ("op=+admin", false, true),
        ("op[]=admin", false, false),
        ("op%5B%5D=admin", false, false),
        ("op=admin%00", false, true),
        ("op%00=admin", false, false),
        ("op=admin%ff", false, true),
        ("op=%c0%e1dmin", false, true),
        ("op=Admin", false, true),
        ("OP=admin", false, false),
        ("op=%2561dmin", false, true),
        ("op=admin%20", false, true),
        ("op=admin%zz", false, true),
    ] {
        let path = format!("/?{query}");
        let headers = [(":path", path.as_bytes())];
        assert_eq!(holds(exact, &headers, None), equals, "{query}");
        assert_eq!(holds(each, &headers, None), is_there, "{query}");
    }
    let regex = r#"[{"queryParams":[{"name":"op","type":"RegularExpression","value":"[a-z]+"}]}]"#;
    for (query, matches) in [
        ("op=admin", true),
        ("op=admin%ff", false),
        ("op=a+b", false),
    ] {
        let path = format!("/?{query}");
        let headers = [(":path", path.as_bytes())];
        assert_eq!(holds(regex, &headers, None), matches, "{query}");
    }
}

#[test]
fn client_addresses() {
    let ten = r#"[{"sourceCIDR":{"value":"10.0.0.0/8"}}]"#;
    assert!(holds(ten, &[], Some("10.1.2.3")));
    assert!(holds(ten, &[], Some("::ffff:10.1.2.3")));
    assert!(!holds(ten, &[], Some("11.1.2.3")));
    assert!(!holds(ten, &[], None));
    let not_ten = r#"[{"sourceCIDR":{"value":"10.0.0.0/8","invert":true}}]"#;
    assert!(!holds(not_ten, &[], Some("10.1.2.3")));
    assert!(holds(not_ten, &[], Some("2001:db8::1")));
    let six = r#"[{"sourceCIDR":{"value":"2001:db8::/32"}}]"#;
    assert!(holds(six, &[], Some("2001:db8:1::1")));
    assert!(!holds(six, &[], Some("10.0.0.1")));
}

/// S9: Envoy passes `post` on over HTTP/2. It is limited with POST, and is no
/// way to be an exception.
#[test]
fn a_method_in_other_letters_is_limited_either_way() {
    let listed = r#"[{"methods":[{"value":"POST"}]}]"#;
    let excepted = r#"[{"methods":[{"value":"GET","invert":true}]}]"#;
    for (method, is_listed, is_no_exception) in [
        (&b"POST"[..], true, true),
        (b"post", true, true),
        (b"PoSt", true, true),
        (b"GET", false, false),
        (b"get", false, true),
        (b"BREW", false, true),
    ] {
        let headers = [(":method", method)];
        assert_eq!(holds(listed, &headers, None), is_listed, "{method:?}");
        assert_eq!(
            holds(excepted, &headers, None),
            is_no_exception,
            "{method:?}"
        );
    }
}
