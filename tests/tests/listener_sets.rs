//! Policies of ListenerSets, on the real Envoy: a listener is of the set that the plugin
//! configuration names, or that its metadata or name says.
//!
//! Each policy answers with a status of its own, which tells whose it is.

use anyhow::{Result, ensure};
use btp_tests::apply::apply;
use btp_tests::{Bootstrap, Builder, Envoy, Route, client::h1};
use serde_json::{Value, json};

const GATEWAY_API: &str = "gateway.networking.k8s.io";
const NO_POLICY: u16 = 200;

fn target(kind: &str, name: &str, section: Option<&str>) -> Value {
    let mut target = json!({"group": GATEWAY_API, "kind": kind, "name": name});
    if let Some(section) = section {
        target["sectionName"] = section.into();
    }
    json!({"targetRefs": [target]})
}

fn by_label(team: &str) -> Value {
    json!({"targetSelectors": [{"kind": "ListenerSet", "matchLabels": {"team": team}}]})
}

/// A policy that answers every request it governs with this status.
fn policy(name: &str, status: u16, attachment: &Value) -> Value {
    let mut spec = attachment.clone();
    spec["faultInjection"] = json!({"abort": {"httpStatus": status}});
    json!({"kind": "BackendTrafficPolicy", "metadata": {"name": name}, "spec": spec})
}

fn documents(policies: &[Value]) -> String {
    let documents = policies.iter().map(|it| format!("---\n{it}\n"));
    documents.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_filter_knows_which_set_its_listener_is_of() -> Result<()> {
    let all = [
        policy("rule", 401, &target("HTTPRoute", "shop", Some("checkout"))),
        policy("route", 402, &target("HTTPRoute", "shop", None)),
        policy(
            "listener",
            403,
            &target("ListenerSet", "extra", Some("web")),
        ),
        policy("set", 405, &target("ListenerSet", "extra", None)),
        policy("gateway", 406, &target("Gateway", "eg", None)),
        policy("sibling", 407, &target("Gateway", "eg", Some("web"))),
        policy("other", 408, &target("ListenerSet", "other", None)),
        policy("tcp", 409, &target("TCPRoute", "shop", None)),
    ];
    // As the most specific ones are taken away, the next ones govern.
    for (taken, expected) in [
        (0, [401, 402, 403]),
        (1, [402, 402, 403]),
        (2, [403; 3]),
        (3, [405; 3]),
        (4, [406; 3]),
        (5, [NO_POLICY; 3]),
    ] {
        let plugin = json!({
            "policies": &all[taken..],
            "gateway": {"name": "eg", "listener": "web", "listenerSet": {"name": "extra"}},
        });
        let mut builder = Builder::new().plugin(&plugin);
        for (prefix, name) in [
            ("/rule", "shop/checkout"),
            ("/route", "shop"),
            ("/", "rest"),
        ] {
            builder = builder.route(Route::direct(prefix, NO_POLICY, "nobody").named(name));
        }
        let envoy = Envoy::start(&builder.build()?).await?;
        for (path, status) in ["/rule", "/route", "/other"].into_iter().zip(expected) {
            let got = envoy.get(path).await?.status;
            ensure!(got == status, "{path} with {taken} taken away: {got}");
        }
    }
    Ok(())
}

/// Listeners of one Gateway: its own, two of the set `extra` and one of the set `more`.
fn bootstrap() -> Result<Bootstrap> {
    let route = Route::direct("/", NO_POLICY, "nobody").named("shop");
    let mut bootstrap = Builder::new().route(route).build()?;
    bootstrap.edit(|config| {
        let listeners = &mut config["static_resources"]["listeners"];
        let own = listeners[0].clone();
        let listener = |name: &str, resources: Value, labels: Value| {
            let mut it = own.clone();
            it["name"] = name.into();
            it["metadata"] = json!({"filter_metadata": {
                "envoy-gateway": {"resources": resources},
                "btp": {"listenerSet": {"labels": labels}},
            }});
            it
        };
        let gateway = json!({"kind": "Gateway", "namespace": "default", "name": "eg"});
        let set = |name: &str, section: &str| {
            json!({"kind": "ListenerSet", "namespace": "default", "name": name,
                "sectionName": section})
        };
        let web = json!([gateway, set("extra", "web")]);
        let more = json!([gateway, set("more", "web")]);
        let mut own = own.clone();
        own["name"] = "eg/web".into();
        let mut named = own.clone();
        named["name"] = "default/eg/default/extra/api".into();
        *listeners = json!([
            own,
            listener("extra-web", web, json!({"team": "blue"})),
            named,
            listener("more-web", more, json!({"team": "green"})),
        ]);
    });
    Ok(bootstrap)
}

const LISTENERS: [&str; 4] = [
    "eg/web",
    "extra-web",
    "default/eg/default/extra/api",
    "more-web",
];

async fn expect(policies: &[Value], expected: [u16; 4]) -> Result<()> {
    let (bootstrap, _) = apply(&bootstrap()?, &documents(policies))?;
    let envoy = Envoy::start(&bootstrap).await?;
    for (listener, status) in LISTENERS.into_iter().zip(expected) {
        let got = h1::get(envoy.listener_addr(listener)?, "/").await?.status;
        ensure!(got == status, "{listener}: {got} instead of {status}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_has_the_policies_of_its_set() -> Result<()> {
    let set = policy("set", 402, &target("ListenerSet", "extra", None));
    let section = policy("web", 403, &target("ListenerSet", "extra", Some("web")));
    let gateway = policy("gateway", 405, &target("Gateway", "eg", None));
    let own = policy("own", 406, &target("Gateway", "eg", Some("web")));
    expect(std::slice::from_ref(&set), [NO_POLICY, 402, 402, NO_POLICY]).await?;
    expect(
        &[set, section.clone(), gateway.clone(), own.clone()],
        [406, 403, 402, 405],
    )
    .await?;
    expect(&[section, gateway], [405, 403, 405, 405]).await?;
    // The Gateway's own listener is a sibling, whatever its name.
    expect(&[own], [406, NO_POLICY, NO_POLICY, NO_POLICY]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_select_sets() -> Result<()> {
    let blue = policy("blue", 402, &by_label("blue"));
    let green = policy("green", 403, &by_label("green"));
    expect(&[blue, green], [NO_POLICY, 402, NO_POLICY, 403]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_merges_with_the_policy_of_its_listeners_set() -> Result<()> {
    let route = json!({"kind": "BackendTrafficPolicy", "metadata": {"name": "route"}, "spec": {
        "targetRefs": target("HTTPRoute", "shop", None)["targetRefs"],
        "mergeType": "StrategicMerge", "compressor": [{"type": "Gzip", "gzip": {}}]}});
    let set = policy("set", 402, &target("ListenerSet", "extra", None));
    let section = policy("web", 403, &target("ListenerSet", "extra", Some("web")));
    let gateway = policy("gateway", 405, &target("Gateway", "eg", None));
    expect(&[route, set, section, gateway], [405, 403, 402, 405]).await
}

/// A run without the policies leaves nothing of them, and one with them changes nothing
/// more.
#[tokio::test(flavor = "multi_thread")]
async fn policies_of_sets_are_undone() -> Result<()> {
    let first = documents(&[policy("set", 402, &target("ListenerSet", "extra", None))]);
    let second = documents(&[policy("more", 403, &target("ListenerSet", "more", None))]);
    let base = bootstrap()?;
    let (applied, _) = apply(&base, &first)?;
    ensure!(apply(&applied, &first)?.0.config() == applied.config());
    ensure!(apply(&applied, &second)?.0.config() == apply(&base, &second)?.0.config());
    Ok(())
}
