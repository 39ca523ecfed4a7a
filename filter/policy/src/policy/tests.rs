//! Which objects are policies of this API.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::json;
use crate::regex::Regexes;

fn said_of(version: &str) -> Vec<String> {
    let text = format!(
        r#"{{"apiVersion":{version:?},"metadata":{{"name":"p"}},
            "spec":{{"loadbalancer":{{}},"passHost":"pass"}}}}"#
    );
    let node = json::parse(text.as_bytes()).unwrap();
    let mut problems = Problems::default();
    Policy::read(Cursor::root(&node), &Regexes::default(), &mut problems);
    let list = problems.into_vec();
    list.iter().map(ToString::to_string).collect()
}

#[test]
fn of_another_api_nothing_is_looked_at() {
    for version in ["apisix.apache.org/v1alpha1", "gateway.networking.k8s.io/v1"] {
        let found = said_of(version);
        let wanted = format!(
            "apiVersion: is another API: its BackendTrafficPolicy has other fields and is not \
             checked; this one is gateway.envoyproxy.io/v1alpha1 (got {version:?})"
        );
        assert_eq!(found, [wanted]);
    }
}

#[test]
fn a_wrong_version_or_a_slip_of_the_pen_is_one_problem_among_others() {
    for version in ["gateway.envoyproxy.io/v1", "gateway.envoyproxy.oi/v1alpha1"] {
        let found = said_of(version);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0].starts_with("apiVersion: must be gateway.envoyproxy.io/v1alpha1"),
            "{found:?}"
        );
    }
}
