use super::*;
use btp_policy::json;

fn node(text: &str) -> Node {
    json::parse(text.as_bytes()).unwrap()
}

fn leads_back(old: &str, new: &str) {
    let old = node(old);
    let mut changed = node(new);
    record(&old, &mut changed).unwrap();
    let recorded = serde_json::to_string(&changed).unwrap();
    restore(&mut changed).unwrap();
    assert!(record_of(&changed).is_none(), "{recorded}");
    let text = |node: &Node| serde_json::to_string(node).unwrap();
    assert_eq!(text(&changed), text(&old), "{recorded}");
}

#[test]
fn every_kind_of_change_leads_back() {
    leads_back(r#"{"a":1}"#, r#"{"a":2}"#);
    leads_back(r#"{"a":1}"#, r#"{"a":1,"b/c~d":{"e":1}}"#);
    leads_back(r#"{"a":1,"b":{"c":[1,2]},"d":2}"#, r#"{"a":1,"d":2}"#);
    leads_back(
        r#"{"a":[{"name":"x"},{"name":"y"}]}"#,
        r#"{"a":[{"name":"n"},{"name":"x","v":1},{"name":"m"},{"name":"y"}]}"#,
    );
    leads_back(r#"{"a":[1,2,3]}"#, r#"{"a":[3]}"#);
    leads_back(
        r#"{"a":[{"b":1},{"c":1}]}"#,
        r#"{"a":[{"b":2},{"c":1,"d":{}}]}"#,
    );
    leads_back(
        r#"{"metadata":{"filter_metadata":{"x":{}}},"a":1}"#,
        r#"{"metadata":{"filter_metadata":{"x":{}}},"a":2}"#,
    );
    leads_back(
        r#"{"metadata":{"filterMetadata":{"x":{}}},"a":1}"#,
        r#"{"metadata":{"filterMetadata":{"x":{}}},"a":{"b":2}}"#,
    );
    leads_back(r#"{"a":null}"#, r#"{"a":1}"#);
}

#[test]
fn what_was_put_in_is_taken_out_wherever_it_was_moved_to() {
    let old = node(r#"{"a":[{"name":"x"},{"name":"y"}]}"#);
    let mut changed = node(r#"{"a":[{"name":"n"},{"name":"x"},{"name":"y"}]}"#);
    record(&old, &mut changed).unwrap();
    let Some(Value::List(items)) = field_mut(&mut changed, "a").map(|it| &mut it.value) else {
        panic!("a list");
    };
    items.swap(0, 1);
    restore(&mut changed).unwrap();
    assert!(same(&changed, &old));
}

#[test]
fn a_record_without_names_takes_out_no_filter_of_somebody_else() {
    let moved = r#"{"a":[{"name":"cors","typed_config":{}},
        {"name":"backend_traffic_policy","typed_config":{}}],
        "metadata":{"filter_metadata":{"btp.apply":{"undo":[{"remove":"/a/0"}]}}}}"#;
    assert!(restore(&mut node(moved)).is_err());
}

#[test]
fn an_object_that_was_not_changed_gets_no_record() {
    let old = node(r#"{"a":1}"#);
    let mut new = old.clone();
    record(&old, &mut new).unwrap();
    assert!(same(&old, &new));
    assert!(record_of(&new).is_none());
}

#[test]
fn a_record_that_does_not_fit_is_said() {
    let mut changed =
        node(r#"{"metadata":{"filter_metadata":{"btp.apply":{"undo":[{"remove":"/b"}]}}}}"#);
    assert!(restore(&mut changed).is_err());
    let mut changed = node(r#"{"metadata":{"filter_metadata":{"btp.apply":{}}}}"#);
    assert!(restore(&mut changed).is_err());
}

#[test]
fn virtual_hosts_are_left_to_their_routes() {
    let old = node(r#"{"virtual_hosts":[1],"x":1}"#);
    let mut new = node(r#"{"virtual_hosts":[2],"x":1}"#);
    record(&old, &mut new).unwrap();
    assert!(record_of(&new).is_none());
}
