//! Which policy governs a request, by what Envoy says of its route.
//!
//! Each policy answers with a status of its own, which tells which applied.

use anyhow::{Result, ensure};
use btp_tests::{Bootstrap, Builder, Envoy, Request, Route};
use serde_json::{Value, json};

const NO_POLICY: u16 = 200;
const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// A policy that answers every request it governs with this status.
fn policy(name: &str, status: u16, attachment: &Value) -> Value {
    let mut spec = attachment.clone();
    spec["faultInjection"] = json!({"abort": {"httpStatus": status}});
    json!({"metadata": {"name": name}, "spec": spec})
}

fn target(kind: &str, name: &str, section: Option<&str>) -> Value {
    let mut target = json!({"group": GATEWAY_API, "kind": kind, "name": name});
    if let Some(section) = section {
        target["sectionName"] = section.into();
    }
    json!({"targetRefs": [target]})
}

/// A route at `/prefix/` with this name and metadata.
fn route(prefix: &str, name: Option<&str>, metadata: Value) -> Route {
    let route = Route::direct(&format!("/{prefix}/"), NO_POLICY, "nobody");
    route.edit(|route| {
        if let Some(name) = name {
            route["name"] = name.into();
        }
        route["metadata"] = json!({"filter_metadata": metadata});
    })
}

/// Metadata as Envoy Gateway writes it.
fn made_from(kind: &str, namespace: &str, name: &str, section: Option<&str>) -> Value {
    let mut resource = json!({"kind": kind, "namespace": namespace, "name": name});
    if let Some(section) = section {
        resource["sectionName"] = section.into();
    }
    json!({"envoy-gateway": {"resources": [resource]}})
}

fn bootstrap(plugin: &Value, routes: Vec<Route>) -> Result<Bootstrap> {
    let builder = Builder::new().plugin(plugin);
    routes.into_iter().fold(builder, Builder::route).build()
}

/// Requests `/prefix/` of each, twice: the second time the route is known.
async fn expect(envoy: &Envoy, expected: &[(&str, u16)]) -> Result<()> {
    for round in ["first", "second"] {
        for (prefix, status) in expected {
            let response = envoy.send(Request::get(&format!("/{prefix}/x"))).await?;
            ensure!(
                response.status == *status,
                "{round} request to /{prefix}/: {} instead of {status}",
                response.status
            );
        }
    }
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_are_known_by_metadata_and_by_name() -> Result<()> {
    let plugin = json!({"policies": [
        policy("by-route", 401, &target("HTTPRoute", "shop", None)),
        policy("by-rule", 402, &target("HTTPRoute", "shop", Some("checkout"))),
        policy("by-index", 403, &target("HTTPRoute", "shop", Some("3"))),
        policy("grpc", 405, &target("GRPCRoute", "shop", None)),
        policy("rest", 406, &json!({})),
    ]});
    let http = |section| made_from("HTTPRoute", "default", "shop", section);
    let eg = |rule| format!("httproute/default/shop/rule/{rule}/match/0/example_com");
    let routes = vec![
        route("meta", Some("any name"), http(None)),
        route("meta-rule", Some("another"), http(Some("checkout"))),
        route("meta-unnamed", None, http(None)),
        route("meta-unnamed-rule", None, http(Some("checkout"))),
        route("meta-index", Some(&eg(3)), http(None)),
        route(
            "meta-grpc",
            Some("g"),
            made_from("GRPCRoute", "default", "shop", None),
        ),
        // The metadata knows, so that the name says nothing.
        route(
            "meta-other",
            Some("default/shop/pay"),
            made_from("HTTPRoute", "other", "shop", None),
        ),
        route("eg", Some(&eg(0)), json!({})),
        route(
            "eg-index",
            Some("httproute/default/shop/rule/3/match/1/*"),
            json!({}),
        ),
        route("plain", Some("shop"), json!({})),
        route("full", Some("default/shop"), json!({})),
        route("section", Some("shop/checkout"), json!({})),
        route("full-section", Some("default/shop/checkout"), json!({})),
        route("unknown", Some("nobody-s"), json!({})),
        route("unnamed", None, json!({})),
    ];
    let envoy = Envoy::start(&bootstrap(&plugin, routes)?).await?;
    expect(
        &envoy,
        &[
            ("meta", 401),
            ("meta-rule", 402),
            ("meta-unnamed", 401),
            ("meta-unnamed-rule", 402),
            ("meta-index", 403),
            ("meta-grpc", 405),
            ("meta-other", 406),
            ("eg", 401),
            ("eg-index", 403),
            ("plain", 401),
            ("full", 401),
            ("section", 402),
            ("full-section", 402),
            ("unknown", 406),
            ("unnamed", 406),
            ("no-route", 406),
        ],
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_select_routes() -> Result<()> {
    let selector = |kind: &str, labels: Value| json!({"targetSelectors": [{"group": GATEWAY_API, "kind": kind, "matchLabels": labels}]});
    let plugin = json!({"policies": [
        policy("gold", 401, &selector("HTTPRoute", json!({"tier": "gold"}))),
        policy("both", 402, &selector("HTTPRoute", json!({"tier": "iron", "team": "a"}))),
        policy("direct", 403, &target("HTTPRoute", "direct", None)),
    ]});
    let labels = |labels: Value| {
        let mut metadata = made_from("HTTPRoute", "default", "some", None);
        metadata["btp"] = json!({"labels": labels});
        metadata
    };
    let routes = vec![
        route("gold", Some("a"), labels(json!({"tier": "gold", "x": "y"}))),
        route("gold-unnamed", None, labels(json!({"tier": "gold"}))),
        route("half", Some("b"), labels(json!({"tier": "iron"}))),
        route(
            "both",
            Some("c"),
            labels(json!({"tier": "iron", "team": "a"})),
        ),
        route("no-labels", Some("d"), json!({})),
        route("direct", Some("direct"), json!({})),
        // Labels of another kind of value than text are none.
        route("numbers", Some("e"), labels(json!({"tier": 7}))),
        route("a-list", Some("f"), labels(json!(["gold"]))),
        route("a-text", Some("g"), labels(json!("gold"))),
    ];
    let envoy = Envoy::start(&bootstrap(&plugin, routes)?).await?;
    expect(
        &envoy,
        &[
            ("gold", 401),
            ("gold-unnamed", 401),
            ("half", NO_POLICY),
            ("both", 402),
            ("no-labels", NO_POLICY),
            ("direct", 403),
            ("numbers", NO_POLICY),
            ("a-list", NO_POLICY),
            ("a-text", NO_POLICY),
        ],
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_specific_policy_governs() -> Result<()> {
    let everything = [
        policy("rule", 401, &target("HTTPRoute", "shop", Some("checkout"))),
        policy("route", 402, &target("HTTPRoute", "shop", None)),
        policy("listener", 403, &target("Gateway", "eg", Some("http"))),
        policy("gateway", 405, &target("Gateway", "eg", None)),
        policy("other-gateway", 407, &target("Gateway", "other", None)),
        policy("untargeted", 406, &json!({})),
    ];
    // As the most specific ones are taken away, the next ones govern.
    for (taken, expected) in [
        (0, [401, 402, 403, 403]),
        (1, [402, 402, 403, 403]),
        (2, [403; 4]),
        (3, [405; 4]),
        (4, [406; 4]),
        (5, [406; 4]),
    ] {
        let plugin = json!({
            "policies": &everything[taken..],
            "gateway": {"name": "eg", "listener": "http"},
        });
        let routes = vec![
            route("rule", Some("shop/checkout"), json!({})),
            route("route", Some("shop"), json!({})),
            route("other", Some("other"), json!({})),
        ];
        let envoy = Envoy::start(&bootstrap(&plugin, routes)?).await?;
        let prefixes = ["rule", "route", "other", "no-route"];
        let expected: Vec<(&str, u16)> = prefixes.into_iter().zip(expected).collect();
        expect(&envoy, &expected).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_policy_takes_over_what_it_does_not_say() -> Result<()> {
    let mut child = policy("route", 401, &target("HTTPRoute", "shop", None));
    child["spec"]["mergeType"] = "StrategicMerge".into();
    let alone = policy("alone", 402, &target("HTTPRoute", "alone", None));
    let mut parent = policy("gateway", 405, &target("Gateway", "eg", None));
    parent["spec"]["responseOverride"] = json!([{
        "match": {"statusCodes": [{"type": "Range", "range": {"start": 400, "end": 404}}]},
        "response": {"statusCode": 410},
    }]);
    let plugin = json!({"policies": [child, alone, parent]});
    let routes = vec![
        route("merged", Some("shop"), json!({})),
        route("alone", Some("alone"), json!({})),
        route("gateway", Some("other"), json!({})),
    ];
    let envoy = Envoy::start(&bootstrap(&plugin, routes)?).await?;
    expect(&envoy, &[("merged", 410), ("alone", 402), ("gateway", 405)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_switches_policies_off() -> Result<()> {
    let of = |namespace: &str, status: u16| {
        let mut policy = policy("p", status, &target("HTTPRoute", "shop", None));
        policy["metadata"]["namespace"] = namespace.into();
        policy
    };
    let routes = || {
        vec![
            route("a", Some("tenant-a/shop"), json!({})),
            route("b", Some("tenant-b/shop"), json!({})),
        ]
    };
    let mut plugin = json!({
        "policies": [of("tenant-a", 401), of("tenant-b", 402)],
        "namespaces": [{"name": "tenant-a", "disabled": true}],
    });
    let envoy = Envoy::start(&bootstrap(&plugin, routes())?).await?;
    expect(&envoy, &[("a", NO_POLICY), ("b", 402)]).await?;
    plugin["disabled"] = true.into();
    let envoy = Envoy::start(&bootstrap(&plugin, routes())?).await?;
    expect(&envoy, &[("a", NO_POLICY), ("b", NO_POLICY)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_policy_is_announced_once_whatever_the_number_of_workers() -> Result<()> {
    let mut newer = policy("newer", 401, &target("HTTPRoute", "shop", None));
    newer["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z".into();
    let mut older = policy("older", 402, &target("HTTPRoute", "shop", None));
    older["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
    let nowhere = policy("nowhere", 403, &target("Gateway", "other", None));
    let plugin = json!({"policies": [newer, older, nowhere], "gateway": {"name": "eg"}});
    let routes = vec![route("shop", Some("shop"), json!({}))];
    let bootstrap = bootstrap(&plugin, routes)?.with_concurrency(4);
    let envoy = Envoy::start(&bootstrap).await?;
    expect(&envoy, &[("shop", 402)]).await?;
    let log = envoy.log();
    for said in [
        "default/newer: Accepted=False (Conflicted)",
        "default/older: Accepted",
        "default/nowhere: Accepted=False (TargetNotFound)",
    ] {
        let times = log.lines().filter(|line| line.contains(said)).count();
        ensure!(times == 1, "{said:?} stands {times} times in\n{log}");
    }
    Ok(())
}
