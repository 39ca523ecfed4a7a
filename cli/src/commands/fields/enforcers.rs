//! Every field of `spec` with the side that enforces it, for docs/reference/fields.md,
//! compared with the fields of Envoy Gateway's CRD.

use std::collections::BTreeSet;

use btp_policy::schema::{Field, Shape};
use btp_policy::spec::{Owner, SPEC};

use super::words;

/// The fields of the CRD of Envoy Gateway 1.9, as paths: `[]` is an item of a list, `{}` a
/// value under a free name.
const CRD: &str = include_str!("../../../../filter/policy/testdata/crd-fields.txt");

/// Where a field of `spec` is described.
const PAGES: &[(&str, &str)] = &[
    ("targetRef", "policy.md#targets"),
    ("targetRefs", "policy.md#targets"),
    ("targetSelectors", "policy.md#targets"),
    ("mergeType", "policy.md#merging"),
    ("responseOverride", "response-override.md"),
    ("requestBuffer", "request-buffer.md"),
    ("faultInjection", "fault-injection.md"),
    ("rateLimit", "rate-limit.md"),
    ("retry", "retry.md"),
    ("retryConstraint", "retry.md#the-budget"),
    (
        "circuitBreaker",
        "native-fields.md#retry-and-circuitbreaker",
    ),
    ("healthCheck", "native-fields.md#healthcheck"),
    ("timeout", "native-fields.md#timeout"),
    ("loadBalancer", "native-fields.md#loadbalancer"),
    ("admissionControl", "native-fields.md#admissioncontrol"),
    ("bandwidthLimit", "native-fields.md#bandwidthlimit"),
    ("sessionPersistence", "native-fields.md#sessionpersistence"),
    ("telemetry", "native-fields.md#telemetry"),
    ("compression", "native-fields.md#compression-and-upgrades"),
    ("compressor", "native-fields.md#compression-and-upgrades"),
    ("httpUpgrade", "native-fields.md#compression-and-upgrades"),
    ("connection", "native-fields.md#connections-to-the-backend"),
    ("dns", "native-fields.md#connections-to-the-backend"),
    ("http2", "native-fields.md#connections-to-the-backend"),
    (
        "proxyProtocol",
        "native-fields.md#connections-to-the-backend",
    ),
    ("routingType", "native-fields.md#connections-to-the-backend"),
    (
        "tcpKeepalive",
        "native-fields.md#connections-to-the-backend",
    ),
    (
        "useClientProtocol",
        "native-fields.md#connections-to-the-backend",
    ),
];

/// A field with its path, whether it or what is around it is an extension, and its enforcer.
struct Row {
    path: String,
    is_extension: bool,
    owner: Owner,
    shape: &'static Shape,
    description: &'static str,
}

/// A section for each field of `spec`.
pub(super) fn sections() -> String {
    let mut text = String::new();
    for field in SPEC.fields {
        let page = PAGES.iter().find(|(name, _)| *name == field.name);
        let (_, page) = page.unwrap_or_else(|| panic!("no page for {}", field.name));
        text.push_str(&format!(
            "\n## {}\n\n[Described here]({page}).\n\n",
            field.name
        ));
        text.push_str("| field | in force by | meaning |\n|---|---|---|\n");
        for row in rows_of(field) {
            let mark = if row.is_extension { " *ext*" } else { "" };
            let meaning = words::first_sentence(row.description).replace('|', "\\|");
            let by = enforcer(row.owner);
            text.push_str(&format!("| `{}`{mark} | {by} | {meaning} |\n", row.path));
        }
    }
    text
}

/// Fields and choices of the CRD that are refused whatever else is written.
pub(super) fn refused() -> String {
    let mut text = String::from("| field | refused | reason |\n|---|---|---|\n");
    for row in SPEC.fields.iter().flat_map(rows_of) {
        let Shape::Ours { crd, ours } = row.shape else {
            continue;
        };
        let what = match (crd, ours) {
            (_, Shape::Never) => "any value".to_owned(),
            (Shape::Choice(all), Shape::Choice(taken)) => {
                let left = all.iter().filter(|it| !taken.contains(it));
                left.map(|it| format!("`{it}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            }
            _ => continue,
        };
        if !what.is_empty() {
            text.push_str(&format!(
                "| `{}` | {what} | {} |\n",
                row.path, row.description
            ));
        }
    }
    text
}

fn enforcer(owner: Owner) -> &'static str {
    match owner {
        Owner::Attachment => "attachment",
        Owner::Filter(_) => "the filter",
        Owner::Envoy => "Envoy",
    }
}

fn rows_of(field: &'static Field) -> Vec<Row> {
    let mut rows = Vec::new();
    let owner = field.owner.expect("every field of spec has an owner");
    add(field, "", (false, owner), &mut rows);
    rows
}

fn add(
    field: &'static Field,
    above: &str,
    (is_extension, owner): (bool, Owner),
    rows: &mut Vec<Row>,
) {
    let path = format!("{above}{}", field.name);
    let inherited = (
        is_extension || field.extension,
        field.owner.unwrap_or(owner),
    );
    rows.push(Row {
        path: path.clone(),
        is_extension: inherited.0,
        owner: inherited.1,
        shape: &field.shape,
        description: field.description,
    });
    below(&field.shape, &path, inherited, rows);
}

fn below(shape: &'static Shape, path: &str, inherited: (bool, Owner), rows: &mut Vec<Row>) {
    match shape {
        Shape::Object(object) => {
            for field in object.fields {
                add(field, &format!("{path}."), inherited, rows);
            }
        }
        Shape::List { item, .. } => below(item, &format!("{path}[]"), inherited, rows),
        Shape::Dictionary(value) => below(value, &format!("{path}{{}}"), inherited, rows),
        Shape::Either(shapes) => {
            for shape in *shapes {
                below(shape, path, inherited, rows);
            }
        }
        // What we refuse of the CRD's is listed as the CRD has it.
        Shape::Ours {
            crd,
            ours: Shape::Never,
        } => below(crd, path, inherited, rows),
        Shape::Ours { ours, .. } => below(ours, path, inherited, rows),
        _ => {}
    }
}

#[test]
fn the_tables_have_the_fields_of_the_crd_and_no_other_but_extensions() {
    let crd: BTreeSet<&str> = CRD.lines().collect();
    let rows: Vec<Row> = SPEC.fields.iter().flat_map(rows_of).collect();
    let known: BTreeSet<&str> = rows.iter().map(|row| row.path.as_str()).collect();
    let missing: Vec<_> = crd.difference(&known).collect();
    assert!(missing.is_empty(), "no table has {missing:?}");
    let own = rows.iter().filter(|row| !row.is_extension);
    let own: Vec<_> = own
        .map(|row| row.path.as_str())
        .filter(|it| !crd.contains(it))
        .collect();
    assert!(own.is_empty(), "not marked as extensions: {own:?}");
}
