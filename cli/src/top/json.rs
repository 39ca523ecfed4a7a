//! A view for programs. The page `docs/reference/command-line.md` has the schema.

use std::collections::BTreeMap;

use btp_policy::is_hidden;
use serde_json::{Value, json};

use super::health::Verdict;
use super::stats::Part;
use super::view::{Count, Row, View};
use crate::envoy::plugin::Build;
use crate::host_port::HostPort;

/// The view as one object on one line, or over many. Whatever names have in them, a terminal
/// shows it and does not act upon it.
pub(super) fn text(address: &HostPort, view: &View, is_pretty: bool) -> String {
    let document = document(address, view);
    let text = match is_pretty {
        true => format!("{document:#}\n"),
        false => format!("{document}\n"),
    };
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        // Line ends are between values: those in texts are escaped already.
        if is_hidden(character) && character != '\n' {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(character);
        }
    }
    out
}

fn document(address: &HostPort, view: &View) -> Value {
    let View {
        server, process, ..
    } = view;
    let builds = [
        (process.has_wasm, Build::Wasm),
        (process.has_module, Build::Module),
    ];
    let builds = builds.iter().filter(|(is_there, _)| *is_there);
    let decisions = view.decisions();
    json!({
        "address": address.to_string(),
        "envoy": {
            "version": server.version,
            "state": server.state,
            "uptimeSeconds": server.uptime.as_secs(),
            "workers": server.workers,
        },
        "filter": {
            "builds": builds.map(|(_, it)| name_of(*it)).collect::<Vec<_>>(),
            "policies": match view.health.verdict {
                Verdict::InForce => "InForce",
                Verdict::Outdated => "Outdated",
                Verdict::Off => "Off",
            },
            "remarks": view.health.words,
            "workersNotConfigured": process.not_configured,
            "workersOnOlderConfiguration": process.on_older,
            "machines": process.machines,
            "machinesReplaced": process.replaced,
            "memoryBytes": process.memory,
            "memoryBytesMax": process.largest,
            "panics": process.panics,
        },
        "seconds": view.span.map(|it| it.as_secs_f64()),
        "restarted": view.has_restarted,
        "reset": view.was_reset,
        "decisions": count(decisions),
        "rules": view.rules.iter().map(rule).collect::<Vec<_>>(),
        "budgets": view.budgets.iter().map(budget).collect::<Vec<_>>(),
    })
}

fn name_of(build: Build) -> &'static str {
    match build {
        Build::Wasm => "Wasm",
        Build::Module => "Module",
    }
}

fn rule(row: &Row) -> Value {
    let mut value = numbers(row);
    value["capability"] = row.owner.capability.name().into();
    value["rule"] = match &row.owner.part {
        Part::Rule(name) => name.as_str().into(),
        Part::Whole | Part::Route(_) | Part::Cluster(_) => Value::Null,
    };
    value
}

fn budget(row: &Row) -> Value {
    let mut value = numbers(row);
    let (route, cluster) = match &row.owner.part {
        Part::Route(name) => (Some(name), None),
        Part::Cluster(name) => (None, Some(name)),
        Part::Whole | Part::Rule(_) => (None, None),
    };
    value["route"] = json!(route);
    value["cluster"] = json!(cluster);
    value
}

fn numbers(row: &Row) -> Value {
    let counters = row
        .counters
        .iter()
        .map(|(what, it)| (what.as_str(), count(*it)));
    json!({
        "policy": format!("{}/{}", row.owner.namespace, row.owner.policy),
        "counters": counters.collect::<BTreeMap<_, _>>(),
        "gauges": row.gauges,
    })
}

fn count(count: Count) -> Value {
    json!({ "total": count.total, "perSecond": count.per_second })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::top::sample;

    fn printed(view: &View, is_pretty: bool) -> String {
        text(&"[::1]:9901".parse().expect("an address"), view, is_pretty)
    }

    #[test]
    fn programs_get_totals_and_rates() {
        let text = printed(&sample::view(), true);
        let object: Value = serde_json::from_str(&text).expect("is JSON");
        assert_eq!(object["address"], "[::1]:9901");
        assert_eq!(object["filter"]["policies"], "InForce");
        let rule = &object["rules"][0];
        assert_eq!(
            (&rule["policy"], &rule["rule"]),
            (&json!("default/api-limit"), &json!("per-client"))
        );
        assert_eq!(
            rule["counters"]["limited"],
            json!({"total": 43, "perSecond": 3.0})
        );
        assert_eq!(rule["gauges"]["in_flight"], 7);
        assert_eq!(object["budgets"][0]["route"], "checkout");
        assert_eq!(printed(&sample::view(), false).lines().count(), 1);
    }

    proptest! {
        #[test]
        fn any_name_comes_through_and_none_reaches_a_terminal(
            route in "(\\PC|\\p{C}|\u{1b}\\[2J|\u{9b}2J|\n){1,12}"
        ) {
            let name = format!("wasmcustom.btp.a.a.btp_route.{route}.retry_budget_requests");
            let view = sample::with(&[(&name, 1)]);
            for is_pretty in [false, true] {
                let text = printed(&view, is_pretty);
                prop_assert!(!text.chars().any(|it| is_hidden(it) && it != '\n'));
                let object: Value = serde_json::from_str(&text).expect("is JSON");
                prop_assert_eq!(object["budgets"][0]["route"].as_str(), Some(route.as_str()));
            }
            prop_assert_eq!(printed(&view, false).lines().count(), 1);
        }
    }
}
