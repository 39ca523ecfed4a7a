//! What a report claims is there, and comes of the field that it is claimed of.

use std::fs;
use std::path::PathBuf;

use btp_policy::node::{Node, Value};
use btp_policy::schema::Shape;
use btp_policy::spec::{Owner, SPEC, owner_of};

use super::{Entry, effect_of};
use crate::apply::effective::Effective;
use crate::apply::options::{FilterFile, Options};
use crate::apply::placement::{Effect, Placement, Scope, closest, is_within};
use crate::apply::plan;
use crate::diagnostics::Finding;
use crate::documents::Input;
use crate::envoy::address::Address;
use crate::envoy::files::Config;
use crate::envoy::json::node;
use crate::envoy::plugin::{Build, configuration_of};
use crate::envoy::tree::{EMPTY, field_mut, remove, same, set, text};
use crate::spec_fields::{SpecField, spec_fields};
use crate::translate::{Change, Operation, Service, apply_change};

const ENVOY: &str = include_str!("envoy.yaml");
const FIELDS: &str = include_str!("fields.yaml");

/// What came of a spec for the one route of a configuration.
struct Applied {
    after: Config,
    effective: Vec<Effective>,
    findings: Vec<Finding>,
}

/// A file for a test that runs beside others.
fn file(name: &str, text: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("btp-journal-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let thread = format!("{:?}", std::thread::current().id());
    let path = folder.join(format!("{thread}-{name}"));
    fs::write(&path, text).unwrap();
    path
}

fn read(envoy: &str) -> Config {
    Config::read(&file("envoy.yaml", envoy)).unwrap()
}

fn apply(envoy: &str, spec: &Node) -> Result<Applied, String> {
    let policy = node!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "BackendTrafficPolicy",
        "metadata": { "name": "policy" },
        "spec": (spec.clone()),
    });
    let policy = file("policy.json", &serde_json::to_string(&policy).unwrap());
    let input = Input::read(&[policy]).unwrap();
    let mut after = read(envoy);
    let options = Options {
        filter: FilterFile::usual(Build::Wasm),
        gateway: None,
        ecds: None,
        faults_behind: None,
        limits_behind: None,
        access_log: false,
        rate_limits: Service::assumed(),
    };
    let mut findings = Vec::new();
    let plan = plan::apply(&mut after, &input, &options, &mut findings);
    let said: Vec<String> = findings.iter().map(|it| it.problem.to_string()).collect();
    Ok(Applied {
        after,
        effective: plan.ok_or_else(|| said.join("\n"))?.effective,
        findings,
    })
}

/// A case of the table: a spec, and how to say it without a field of it.
struct Case {
    spec: Node,
    /// Other values.
    instead: Node,
    /// What to leave out instead of a field whose value goes without saying.
    around: Node,
}

fn cases() -> Vec<Case> {
    let mut documents = btp_policy::yaml::parse(FIELDS).unwrap();
    let Value::List(cases) = documents.remove(0).value else {
        panic!("a list of cases");
    };
    let part = |case: &Node, name: &str| case.field(name).cloned().unwrap_or(EMPTY);
    let read = |case: &Node| {
        let mut spec = part(case, "spec");
        set(&mut spec, "targetRefs", target());
        Case {
            spec,
            instead: part(case, "instead"),
            around: part(case, "around"),
        }
    };
    cases.iter().map(read).collect()
}

/// A spec for the route.
fn of_shop(text: &str) -> Node {
    let mut spec = btp_policy::json::parse(text.as_bytes()).unwrap();
    set(&mut spec, "targetRefs", target());
    spec
}

fn target() -> Node {
    node!([{ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "shop" }])
}

impl Case {
    /// What comes of the spec without a field: another value of it, or nothing,
    /// or nothing of what is around it where it is needed there.
    fn without(&self, name: &str) -> Applied {
        if let Some(other) = self.instead.field(name) {
            return apply(ENVOY, &changed(&self.spec, name, Some(other))).unwrap();
        }
        let mut name = text(&self.around, name).unwrap_or(name);
        loop {
            match apply(ENVOY, &changed(&self.spec, name, None)) {
                Ok(applied) => return applied,
                Err(reason) => name = name.rsplit_once('.').expect(&reason).0,
            }
        }
    }
}

fn fields_of(spec: &Node) -> Vec<String> {
    spec_fields(spec).iter().map(SpecField::name).collect()
}

/// A spec without a field, or with another value there.
fn changed(spec: &Node, name: &str, value: Option<&Node>) -> Node {
    let mut spec = spec.clone();
    match (name.rsplit_once('.'), value) {
        (Some((above, last)), value) => {
            let above = above
                .split('.')
                .try_fold(&mut spec, |node, it| field_mut(node, it));
            let above = above.unwrap();
            match value {
                Some(value) => set(above, last, value.clone()),
                None => drop(remove(above, last)),
            }
        }
        (None, Some(value)) => set(&mut spec, name, value.clone()),
        (None, None) => drop(remove(&mut spec, name)),
    }
    spec
}

fn is_in_force(placement: &Placement) -> bool {
    !matches!(placement.effect, Effect::Nothing(_))
}

/// The changes that a field is claimed of, by their indices in the journal.
fn claimed(it: &Effective, name: &str) -> Vec<usize> {
    let found = closest(&it.placements, name);
    found
        .into_iter()
        .filter(|index| is_in_force(&it.placements[*index]))
        .collect()
}

#[test]
fn every_field_is_claimed_of_changes_that_it_makes_and_of_no_other() {
    let mut wrong = Vec::new();
    for case in cases() {
        let it = apply(ENVOY, &case.spec).unwrap();
        let effective = &it.effective[0];
        for line in effective.lines(Scope::Everywhere) {
            let name = &line.field;
            if line.destinations.is_empty() {
                wrong.push(format!("{name}: nothing is said of it"));
            }
            let mut other = case.without(name);
            for index in claimed(effective, name) {
                let Entry::Change {
                    change, address, ..
                } = &effective.journal.0[index]
                else {
                    continue;
                };
                // What is done by default is done for what is around the field, and a filter
                // that routes switch on is there for all that they say to it.
                if matches!(
                    change.operation,
                    Operation::Default(_) | Operation::HttpFilter(..)
                ) {
                    continue;
                }
                let there = other.after.at_mut(address);
                if there.and_then(|it| effect_of(it, change)).is_some() {
                    let path = &change.path;
                    wrong.push(format!("{name}: {address}: {path} is the same without it"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The changes of a journal, each with its index.
fn changes(it: &Effective) -> impl Iterator<Item = (usize, &Change, &Address)> {
    let entries = it.journal.0.iter().enumerate();
    entries.filter_map(|(index, entry)| match entry {
        Entry::Change {
            change, address, ..
        } => Some((index, change, address)),
        _ => None,
    })
}

#[test]
fn a_claim_goes_with_the_change_that_it_is_of_and_with_no_other() {
    let mut count = 0;
    for case in cases() {
        let it = apply(ENVOY, &case.spec).unwrap();
        let effective = &it.effective[0];
        for (undone, change, address) in changes(effective) {
            if !is_in_force(&effective.placements[undone]) {
                continue;
            }
            // Everything that was done but this.
            let mut config = read(ENVOY);
            for (index, other, there) in changes(effective) {
                if index != undone {
                    apply_change(config.at_mut(there).unwrap(), other).unwrap();
                }
            }
            let settled = |index: usize, config: &mut Config| {
                effective.journal.0[index].settle(config).is_ok()
            };
            for (index, other, there) in changes(effective).filter(|it| it.0 != undone) {
                assert!(settled(index, &mut config), "{} at {there}", other.field);
            }
            assert!(
                !settled(undone, &mut config),
                "{} at {address}",
                change.field
            );
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
}

#[test]
fn a_change_that_another_one_undoes_is_refused() {
    let mut it = apply(ENVOY, &cases()[0].spec).unwrap();
    let effective = &it.effective[0];
    assert_eq!(
        effective.journal.settle(&mut it.after).unwrap(),
        effective.placements
    );
    let (_, change, address) = changes(effective).next().unwrap();
    let before = read(ENVOY).at(address).unwrap().clone();
    *it.after.at_mut(address).unwrap() = before;
    let undone = effective.journal.settle(&mut it.after).unwrap_err();
    assert!(undone.field.starts_with(&change.field), "{undone:?}");
}

#[test]
fn every_field_that_envoy_enforces_is_in_the_table() {
    fn names(path: String, shape: &'static Shape, found: &mut Vec<String>) {
        match shape {
            Shape::Object(object) if !object.fields.is_empty() => {
                for field in object.fields {
                    names(format!("{path}.{}", field.name), &field.shape, found);
                }
            }
            Shape::Ours { ours, .. } => names(path, ours, found),
            _ => found.push(path),
        }
    }
    // What is refused, and what the filter does.
    const OTHERS: [&str; 3] = ["retry.methods", "rateLimit.local", "rateLimit.type"];
    let mut all = Vec::new();
    for field in SPEC.fields {
        let is_native = owner_of(field.name).is_some_and(Owner::is_native);
        if is_native || matches!(field.name, "retry" | "rateLimit") {
            names(field.name.to_owned(), &field.shape, &mut all);
        }
    }
    let known: Vec<String> = cases().iter().flat_map(|it| fields_of(&it.spec)).collect();
    all.retain(|name| !OTHERS.iter().any(|other| is_within(name, other)));
    all.retain(|name| !known.iter().any(|it| is_within(it, name)));
    assert_eq!(all, Vec::<String>::new());
}

#[test]
fn a_field_in_force_on_one_cluster_of_a_route_and_not_on_another_is_warned_of() {
    let envoy = ENVOY.replace("STRICT_DNS\n      http2_protocol_options: {}", "STRICT_DNS");
    let envoy = envoy.replacen("type: STRICT_DNS", "type: STATIC", 1);
    let envoy = envoy.replacen("address: backend.example", "address: 127.0.0.1", 1);
    let it = apply(&envoy, &of_shop(r#"{"dns":{"dnsRefreshRate":"7s"}}"#)).unwrap();
    let said: Vec<String> = it
        .findings
        .iter()
        .map(|it| it.problem.to_string())
        .collect();
    assert_eq!(
        said,
        [
            "spec.dns: is in force on cluster two, but not on cluster one, to which route shop \
             also sends: the cluster resolves no names"
        ]
    );
    // In force on none, or on both: nothing is odd.
    for text in [
        r#"{"http2":{"maxConcurrentStreams":7}}"#,
        r#"{"tcpKeepalive":{"probes":7}}"#,
    ] {
        assert!(
            apply(&envoy, &of_shop(text)).unwrap().findings.is_empty(),
            "{text}"
        );
    }
}

#[test]
fn what_the_filter_enforces_is_claimed_of_an_instance_that_has_it_and_stands_there() {
    let spec = of_shop(
        r#"{
            "faultInjection":{"abort":{"httpStatus":503}},
            "rateLimit":{"type":"Local","local":{"rules":[{"limit":{"requests":1,"unit":"Hour"}}]},
                "global":{"rules":[{"limit":{"requests":1,"unit":"Hour"}}]}},
            "requestBuffer":{"limit":"2Mi"},
            "retry":{"numRetries":2,"methods":["GET"]},
            "retryConstraint":{"budget":{"percent":20}},
            "responseOverride":[{"match":{"statusCodes":[{"value":404}]},"response":{"body":{"inline":"x"}}}]
        }"#,
    );
    // One instance before CORS and one behind it.
    let filters = "http_filters:\n";
    let cors = "                  - name: envoy.filters.http.cors\n                    typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors }\n";
    let envoy = ENVOY.replace(filters, &format!("{filters}{cors}"));
    let mut it = apply(&envoy, &spec).unwrap();
    let effective = &it.effective[0];
    let mut names = Vec::new();
    for (index, entry) in effective.journal.0.iter().enumerate() {
        let Entry::Instance {
            fields,
            list,
            filter,
            ..
        } = entry
        else {
            continue;
        };
        let config = configuration_of(filter).unwrap();
        for name in fields {
            let owner = owner_of(name.split('.').next().unwrap());
            let Some(Owner::Filter(capability)) = owner else {
                panic!("{name}");
            };
            assert!(config.enforce.has(capability), "{name}");
            assert!(claimed(effective, name).contains(&index), "{name}");
        }
        names.extend(fields.clone());
        // Without the instance nothing is claimed of it.
        let filters = it.after.at_mut(list).unwrap();
        let whole = filters.clone();
        let Value::List(rest) = &mut filters.value else {
            panic!("a list");
        };
        rest.retain(|it| !same(it, filter));
        assert!(entry.settle(&mut it.after).is_err());
        *it.after.at_mut(list).unwrap() = whole;
    }
    names.sort();
    names.dedup();
    let envoys = ["rateLimit.global.rules", "retry.numRetries"];
    let all = fields_of(&spec).into_iter();
    let mut wanted: Vec<String> = all.filter(|it| !envoys.contains(&it.as_str())).collect();
    wanted.sort();
    assert_eq!(names, wanted);
    for line in effective.lines(Scope::Everywhere) {
        let shown: Vec<String> = line.destinations.iter().map(ToString::to_string).collect();
        match line.field.as_str() {
            "rateLimit.global.rules" => {
                assert_eq!(shown, ["nothing to do: rateLimit.type Local disables it"]);
            }
            "retry.numRetries" | "retry (max_retries)" => assert!(
                shown.iter().all(|it| it.starts_with("Envoy: ")),
                "{shown:?}"
            ),
            name => assert!(
                shown.iter().any(|it| it.starts_with("filter: ")),
                "{name}: {shown:?}"
            ),
        }
    }
}
