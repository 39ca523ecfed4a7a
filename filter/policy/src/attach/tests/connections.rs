//! Routes of connections and datagrams.

use super::listener_sets::OF_SET;
use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn routes_of_connections_are_none_of_the_filters() {
    let policies = [
        policy("tcp", "TCPRoute r", ""),
        policy("again", "TCPRoute r", ""),
        selecting("udp", r#"{"kind":"UDPRoute","matchLabels":{"a":"b"}}"#),
    ];
    let attachments = attach(&policies, GATEWAY);
    assert_eq!(attachments.effective_policy(Some(b"r")), None);
    assert!(!attachments.needs_route_name() && !attachments.needs_labels());
    let statuses = attachments.statuses().iter();
    let lines: Vec<_> = statuses.map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "default/tcp: Accepted=False (Conflicted): TCPRoute default/r (not HTTP: not for the \
             filter): default/again already targets it",
            "default/again: Accepted: TCPRoute default/r (not HTTP: not for the filter)",
            "default/udp: Accepted: UDPRoute by label (not HTTP: not for the filter)",
        ]
    );
}

const TCP: &[TargetKind] = &[TargetKind::TcpRoute, TargetKind::TlsRoute];
const UDP: &[TargetKind] = &[TargetKind::UdpRoute];

#[test]
fn connections_have_a_policy_of_each_level() {
    let policies = [
        r#"{"metadata":{"name":"all"},"spec":{}}"#.to_owned(),
        policy("gw", "Gateway eg", ""),
        policy("set", "ListenerSet extra", ""),
        policy("listener", "ListenerSet extra web", ""),
        policy("route", "TCPRoute db", ""),
        policy("rule", "TCPRoute db first", ""),
    ];
    let levels = |policies: &[String], name: &str, place| {
        let route = Route::named(name.as_bytes());
        let Levels { of_route, above } = attach(policies, place).levels_of(&route, TCP);
        (of_route, above)
    };
    assert_eq!(
        levels(&policies, "db/first", OF_SET),
        (vec![5, 4], vec![3, 2, 1])
    );
    assert_eq!(levels(&policies, "db", OF_SET), (vec![4], vec![3, 2, 1]));
    assert_eq!(levels(&policies, "x", GATEWAY), (vec![], vec![1]));
    // The one without targets is for what no other governs.
    let two = [policies[0].clone(), policies[4].clone()];
    assert_eq!(levels(&two, "db", GATEWAY), (vec![1], vec![]));
    assert_eq!(levels(&two, "x", GATEWAY), (vec![], vec![0]));
}

#[test]
fn a_route_of_connections_is_known_by_each_form_of_its_name() {
    let policies = [
        policy("shop/tcp", "TCPRoute r", ""),
        policy("shop/tls", "TLSRoute r", ""),
        policy("shop/udp", "UDPRoute r", ""),
        policy("shop/http", "HTTPRoute r", ""),
        policy("tcp-rule", "TCPRoute r 0", ""),
    ];
    let attachments = attach(&policies, "");
    for (name, kinds, expected) in [
        ("tcproute/shop/r", TCP, Some(0)),
        ("tcproute/shop/r/rule/-1", TCP, Some(0)),
        ("tlsroute/shop/r", TCP, Some(1)),
        ("udproute/shop/r/rule/-1", UDP, Some(2)),
        ("udproute/shop/r", TCP, None),
        ("tcproute/default/r/rule/0", TCP, Some(4)),
        ("shop/r", TCP, Some(0)),
        ("shop/r", UDP, Some(2)),
        ("r/0", TCP, Some(4)),
        ("r", UDP, None),
        ("httproute/shop/r/rule/0/match/0/x", TCP, None),
        ("", TCP, None),
    ] {
        let found = attachments.levels_of(&Route::named(name.as_bytes()), kinds);
        assert_eq!(found.first(), expected, "{name}");
    }
    // Metadata goes before the name.
    let resources = [ResourceRef {
        kind: "TLSRoute",
        namespace: "shop",
        name: "r",
        section: None,
    }];
    let noted = Route {
        name: b"r/0",
        resources: &resources,
        labels: &[],
    };
    assert_eq!(attachments.levels_of(&noted, TCP).first(), Some(1));
}

#[test]
fn labels_pick_routes_of_connections() {
    let policies = [selecting(
        "gold",
        r#"{"kind":"TLSRoute","matchLabels":{"tier":"gold"}}"#,
    )];
    let attachments = attach(&policies, "");
    let first = |kinds, tier| {
        let labels = [("tier", tier)];
        let route = Route {
            name: b"any",
            resources: &[],
            labels: &labels,
        };
        attachments.levels_of(&route, kinds).first()
    };
    assert_eq!(first(TCP, "gold"), Some(0));
    assert_eq!(first(TCP, "tin"), None);
    assert_eq!(first(UDP, "gold"), None);
}
