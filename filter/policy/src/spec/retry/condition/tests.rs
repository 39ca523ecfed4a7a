//! What conditions come to for a method, and which are refused.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::json;

fn read(text: &str) -> Result<Retry, Vec<String>> {
    let node = json::parse(text.as_bytes()).unwrap();
    let mut problems = Problems::default();
    let retry = Retry::read(Cursor::root(&node), &mut problems);
    let problems = problems.into_vec();
    if problems.is_empty() {
        return Ok(retry.unwrap());
    }
    Err(problems.iter().map(ToString::to_string).collect())
}

fn by_conditions(conditions: &str) -> Retry {
    read(&format!(r#"{{"retryOn":{{"conditions":[{conditions}]}}}}"#)).unwrap()
}

fn shown(on: &RetryOn) -> String {
    let triggers = on.triggers.iter().map(|it| it.as_str().to_owned());
    let codes = on.status_codes.iter().map(u16::to_string);
    triggers.chain(codes).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_method_has_what_all_its_conditions_say() {
    let retry = by_conditions(
        r#"{"triggers":["refused-stream","connect-failure"]},
           {"httpStatusCodes":[503],"methods":["Idempotent"]},
           {"triggers":["reset"],"httpStatusCodes":[502,503],"methods":["GET","PATCH"]}"#,
    );
    let for_all = retry.for_all_methods().unwrap();
    assert_eq!(shown(&for_all), "connect-failure refused-stream");
    let by_method: Vec<(String, String)> = retry
        .by_method()
        .iter()
        .map(|(methods, on)| (methods.join(" "), shown(on)))
        .collect();
    const ALL: &str = "connect-failure refused-stream";
    assert_eq!(
        by_method,
        [
            (
                "DELETE HEAD OPTIONS PUT TRACE".to_owned(),
                format!("{ALL} retriable-status-codes 503")
            ),
            (
                "GET".to_owned(),
                format!("{ALL} retriable-status-codes reset 503 502")
            ),
            (
                "PATCH".to_owned(),
                format!("{ALL} reset retriable-status-codes 502 503")
            ),
        ]
    );
    let (_, get) = &retry.by_method()[1];
    assert_eq!(
        shown(&get.beyond(&for_all)),
        "retriable-status-codes reset 503 502"
    );
}

#[test]
fn what_all_methods_have_is_nothing_for_one_of_them() {
    let plain = by_conditions(r#"{"triggers":["reset"]},{"httpStatusCodes":[503]}"#);
    let on = plain.for_all_methods().unwrap();
    assert_eq!(shown(&on), "reset retriable-status-codes 503");
    assert_eq!(plain.by_method(), []);
    let covered =
        by_conditions(r#"{"triggers":["reset"]},{"triggers":["reset"],"methods":["GET"]}"#);
    assert_eq!(covered.by_method(), []);
    let none = by_conditions(r#"{"triggers":["reset"],"methods":["GET"]}"#);
    assert_eq!(none.for_all_methods(), None);
    assert_eq!(none.by_method().len(), 1);
}

#[test]
fn what_conditions_cannot_say_is_refused() {
    for (text, reason) in [
        (
            r#"{"retryOn":{"conditions":[]}}"#,
            "retryOn.conditions: must have 1 to 8 items",
        ),
        (
            r#"{"retryOn":{"conditions":[{}]}}"#,
            "retryOn.conditions[0]: must have triggers or httpStatusCodes",
        ),
        (
            r#"{"retryOn":{"conditions":[{"methods":["GET"]}]}}"#,
            "retryOn.conditions[0]: must have triggers or httpStatusCodes",
        ),
        (
            r#"{"retryOn":{"conditions":[{"triggers":[]}]}}"#,
            "retryOn.conditions[0].triggers: must have at least 1 item(s)",
        ),
        (
            r#"{"retryOn":{"conditions":[{"triggers":["reset"],"methods":["get"]}]}}"#,
            "conditions[0].methods[0]: must be a method in capitals, such as GET, or Idempotent",
        ),
        (
            r#"{"retryOn":{"conditions":[{"triggers":["5XX"]}]}}"#,
            "conditions[0].triggers[0]: must be one of",
        ),
        (
            r#"{"retryOn":{"triggers":["reset"],"conditions":[{"triggers":["5xx"]}]}}"#,
            "retryOn.triggers: must be left out beside conditions: move it into one of them",
        ),
        (
            r#"{"retryOn":{"httpStatusCodes":[503],"conditions":[{"triggers":["5xx"]}]}}"#,
            "retryOn.httpStatusCodes: must be left out beside conditions: move it into one",
        ),
        (
            r#"{"methods":["GET"],"retryOn":{"conditions":[{"triggers":["5xx"]}]}}"#,
            "methods: must be left out beside retryOn.conditions: move it into the conditions",
        ),
    ] {
        let found = read(text).unwrap_err();
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].contains(reason), "{found:#?}");
    }
}
