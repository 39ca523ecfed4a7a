//! What the reader of a redirect's hosts makes of documents.

use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn hosts_of_a_redirect_are_hosts_and_of_use() {
    let read_redirect = |redirect: &str| {
        let rule =
            format!(r#"{{"match":{{"statusCodes":[{{"value":401}}]}},"redirect":{redirect}}}"#);
        read(&format!(r#"{{"responseOverride":[{rule}]}}"#))
    };
    let fine = read_redirect(
        r#"{"mode":"Client","scheme":"https","hosts":["a.b","A.b:8443","[2001:db8::1]:1"]}"#,
    );
    let Instead::Redirect(redirect) = &fine.unwrap().response_override[0].instead else {
        panic!("is a redirect")
    };
    assert_eq!(redirect.hosts.len(), 3);
    assert!(redirect.echoes_host());
    let kept = read_redirect(r#"{"keepStatus":true}"#).unwrap();
    let Instead::Redirect(redirect) = &kept.response_override[0].instead else {
        panic!("is a redirect")
    };
    assert!(redirect.keep_status);
    for (redirect, wanted) in [
        (
            r#"{"mode":"Client","path":{"type":"ReplaceFullPath","replaceFullPath":"/x"},"keepStatus":true}"#,
            "redirect.keepStatus: must be left out beside mode: Client",
        ),
        (
            r#"{"statusCode":301,"keepStatus":true}"#,
            "redirect.keepStatus: must be left out beside statusCode",
        ),
        (
            r#"{"mode":"Client","scheme":"https","hosts":["a.b","u@a.b"]}"#,
            "redirect.hosts[1]: must be a host, such as",
        ),
        (
            r#"{"mode":"Client","scheme":"https","hosts":[]}"#,
            "redirect.hosts: must have 1 to 64 items",
        ),
        (
            r#"{"mode":"Client","hostname":"a.b","hosts":["a.b"]}"#,
            "redirect.hosts: must be left out beside hostname",
        ),
        (
            r#"{"mode":"Client","hosts":["a.b"],"path":{"type":"ReplaceFullPath","replaceFullPath":"/x"}}"#,
            "redirect.hosts: must be left out: without scheme and port",
        ),
        (
            r#"{"scheme":"https","hosts":["a.b"]}"#,
            "redirect.hosts: needs mode: Client",
        ),
    ] {
        let found = read_redirect(redirect).unwrap_err();
        assert!(
            found.iter().any(|it| it.contains(wanted)),
            "{redirect}: {found:?}"
        );
    }
}
