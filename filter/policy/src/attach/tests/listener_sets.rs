//! Listeners of ListenerSets.

use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

pub(super) const OF_SET: &str = r#","gateway":{"name":"eg","listener":"web",
    "listenerSet":{"name":"extra","labels":{"team":"x"}}}"#;

#[test]
fn a_listener_of_a_set_has_the_sets_policies_before_the_gateways() {
    let all = [
        policy("rule", "HTTPRoute r checkout", ""),
        policy("route", "HTTPRoute r", ""),
        policy("set-listener", "ListenerSet extra web", ""),
        policy("set", "ListenerSet extra", ""),
        policy("gw", "Gateway eg", ""),
        r#"{"metadata":{"name":"all"},"spec":{}}"#.to_owned(),
    ];
    // As the most specific ones are taken away, the next ones govern.
    for taken in 0..all.len() {
        let attachments = attach(&all[taken..], OF_SET);
        let expected = |level: usize| Some(level.max(taken) - taken);
        let effective = |name: &[u8]| attachments.effective_policy(Some(name));
        assert_eq!(effective(b"r/checkout"), expected(0), "{taken}");
        assert_eq!(effective(b"r"), expected(1), "{taken}");
        assert_eq!(effective(b"other"), expected(2), "{taken}");
        assert_eq!(attachments.fallback(), expected(2), "{taken}");
        assert_eq!(attachments.parent(), expected(2), "{taken}");
    }
}

#[test]
fn a_policy_of_the_gateways_own_listener_is_not_for_those_of_a_set() {
    let policies = [
        policy("listener", "Gateway eg web", ""),
        policy("set-listener", "ListenerSet extra web", ""),
        policy("far", "ListenerSet other", ""),
    ];
    assert_eq!(attach(&policies, OF_SET).fallback(), Some(1));
    assert_eq!(attach(&policies, GATEWAY).fallback(), Some(0));
    assert_eq!(attach(&policies[1..], GATEWAY).fallback(), None);
    assert_eq!(attach(&policies[1..], "").fallback(), None);
    let attachments = attach(&policies, OF_SET);
    let statuses = attachments.statuses().iter();
    let lines: Vec<_> = statuses.map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "default/listener: Accepted=False (TargetNotFound): Gateway default/eg (section web): \
             this instance serves a listener of ListenerSet default/extra",
            "default/set-listener: Accepted: ListenerSet default/extra (section web)",
            "default/far: Accepted=False (TargetNotFound): ListenerSet default/other: this \
             instance serves ListenerSet default/extra",
        ]
    );
}

#[test]
fn labels_pick_listener_sets() {
    let by = |name, team: &str| {
        let labels = format!(r#"{{"kind":"ListenerSet","matchLabels":{{"team":"{team}"}}}}"#);
        selecting(name, &labels)
    };
    let policies = [by("a", "y"), by("b", "x"), policy("gw", "Gateway eg", "")];
    assert_eq!(attach(&policies, OF_SET).fallback(), Some(1));
    assert_eq!(attach(&policies, GATEWAY).fallback(), Some(2));
}

#[test]
fn a_set_in_another_namespace_is_another_one() {
    let place = r#","gateway":{"name":"eg","listenerSet":{"name":"extra","namespace":"shop"}}"#;
    let policies = [
        policy("a", "ListenerSet extra", ""),
        policy("shop/b", "ListenerSet extra", ""),
    ];
    assert_eq!(attach(&policies, place).fallback(), Some(1));
}
