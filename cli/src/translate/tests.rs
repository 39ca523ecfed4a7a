//! Each field group: the objects that a policy makes of bare ones, exactly.

use super::*;
use btp_policy::json;

mod health;
mod messages;
mod observed;
mod problems;
mod routing;
mod upstreams;

/// What a policy makes of a cluster and of a route to it, and all changes.
struct Translated {
    cluster: String,
    route: String,
    filters: String,
    changes: Vec<Change>,
}

fn parse(text: &str) -> Node {
    json::parse(text.as_bytes()).unwrap()
}

fn perform(object: &str, target: Target, changes: &[Change]) -> String {
    let mut object = parse(object);
    for round in ["first", "second"] {
        for change in changes.iter().filter(|change| change.target == target) {
            let before = object.clone();
            let outcome = apply_change(&mut object, change).unwrap();
            if round == "second" {
                assert_eq!(before, object, "{change:?} is not idempotent: {outcome:?}");
            }
        }
    }
    serde_json::to_string(&object).unwrap()
}

fn translated_for(spec: &str, context: &Context<'_>) -> Translated {
    let changes = translate(&parse(spec), context).unwrap();
    let filters = r#"{"http_filters":[{"name":"router"}]}"#;
    Translated {
        cluster: perform("{}", Target::Cluster, &changes),
        route: perform(r#"{"route":{}}"#, Target::Route, &changes),
        filters: perform(filters, Target::HttpConnectionManager, &changes),
        changes,
    }
}

fn translated(spec: &str) -> Translated {
    translated_for(spec, &Context::default())
}

/// The cluster and the route that come of a policy, without white space.
#[track_caller]
fn check(spec: &str, cluster: &str, route: &str) {
    let found = translated(spec);
    let compact = |text: &str| serde_json::to_string(&parse(text)).unwrap();
    assert_eq!(found.cluster, compact(cluster), "cluster of {spec}");
    assert_eq!(found.route, compact(route), "route of {spec}");
}

const ROUTE: &str = r#"{"route":{}}"#;

#[test]
fn what_is_absent_is_not_touched() {
    for spec in ["{}", r#"{"faultInjection":{},"timeout":null}"#] {
        assert_eq!(translated(spec).changes, [], "{spec}");
    }
}
