//! Which test shows that Envoy does what a native field says: a field of the
//! API without one fails here. They are listed in `tests/native-fields.txt`.
//!
//! A test that is named here must be there and speak of the field. What cannot
//! be seen from outside is looked up in `/config_dump` of a running Envoy.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result, ensure};
use btp::translate::{self, translate};
use btp_policy::schema::Shape;
use btp_policy::spec::{Owner, SPEC, owner_of};
use btp_tests::native::{backend, upstreams};
use btp_tests::{Envoy, repo};
use serde_json::{Value, json};

/// How it is known that a field does what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// By this test of this file: by what clients and upstreams see.
    Seen(&'static str, &'static str),
    /// By [`what_cannot_be_seen_is_in_force`], and here is why.
    Dumped,
    /// It is refused; this is a policy with it.
    Refused(&'static str),
    /// There is nothing to do.
    Nothing,
}

use Proof::{Dumped, Nothing, Refused, Seen};

const TABLE: &str = include_str!("../native-fields.txt");

/// Each field, and how it is known.
fn proofs() -> Result<Vec<(&'static str, Proof)>> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    let read = |line: &'static str| {
        let (field, how) = line.split_once(' ').context("one field and one proof")?;
        let proof = match how.split_once(' ') {
            _ if how == "dumped" => Dumped,
            _ if how == "nothing" => Nothing,
            Some(("refused", policy)) => Refused(policy),
            _ => {
                let (file, test) = how.split_once("::").context("file::test")?;
                Seen(file, test)
            }
        };
        Ok((field, proof))
    };
    lines.map(read).collect()
}

/// The fields of a `spec` that Envoy enforces, each with its way from `spec`.
fn fields() -> Vec<String> {
    let mut found = Vec::new();
    for field in SPEC.fields {
        let is_native = owner_of(field.name).is_some_and(Owner::is_native);
        if is_native || matches!(field.name, "retry" | "rateLimit") {
            leaves(field.name.to_owned(), &field.shape, &mut found);
        }
    }
    // What the filter does of these two.
    let ours = |it: &String| {
        it.starts_with("retry.methods")
            || it == "retry.retryOn.conditions[].methods[]"
            || (it.starts_with("rateLimit.") && !it.starts_with("rateLimit.global"))
    };
    found.retain(|it| !ours(it));
    found
}

fn leaves(path: String, shape: &'static Shape, found: &mut Vec<String>) {
    match shape {
        Shape::Object(object) if !object.fields.is_empty() => {
            for field in object.fields {
                leaves(format!("{path}.{}", field.name), &field.shape, found);
            }
        }
        Shape::List { item, .. } => leaves(format!("{path}[]"), item, found),
        Shape::Ours { ours, .. } => leaves(path, ours, found),
        _ => found.push(path),
    }
}

/// Whether a line is for a field, or for an object that it is a part of.
fn is_for(line: &str, field: &str) -> bool {
    let rest = field.strip_prefix(line);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[test]
fn each_native_field_has_a_proof() -> Result<()> {
    let (fields, proofs) = (fields(), proofs()?);
    let has_line = |field: &&String| proofs.iter().any(|(line, _)| is_for(line, field));
    let missing: Vec<&String> = fields.iter().filter(|it| !has_line(it)).collect();
    ensure!(missing.is_empty(), "no test is named for {missing:?}");
    let lines: BTreeSet<&str> = proofs.iter().map(|(line, _)| *line).collect();
    let is_known = |line: &&str| fields.iter().any(|field| is_for(line, field));
    let unknown: Vec<&&str> = lines.iter().filter(|it| !is_known(it)).collect();
    ensure!(unknown.is_empty(), "no field is called {unknown:?}");
    ensure!(lines.len() == proofs.len(), "a field is there twice");
    Ok(())
}

/// The text of a function, from its name to the brace that ends it.
fn function<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let start = text.find(&format!("fn {name}("))?;
    let end = text[start..].find("\n}\n")?;
    Some(&text[start..start + end])
}

/// The text of a test, and of the functions beside it that it calls.
fn test_and_helpers(text: &str, test: &str) -> Option<String> {
    let body = function(text, test)?;
    let names = text.split("\nfn ").chain(text.split("\nasync fn ")).skip(1);
    let names = names.filter_map(|it| it.split('(').next());
    let called = names.filter(|name| *name != test && body.contains(&format!("{name}(")));
    let helpers = called.filter_map(|name| function(text, name));
    Some(std::iter::once(body).chain(helpers).collect())
}

#[test]
fn the_tests_that_are_named_are_there_and_speak_of_the_field() -> Result<()> {
    let mut texts = BTreeMap::new();
    for (row, proof) in proofs()? {
        let Seen(file, test) = proof else { continue };
        let path = repo::path(format!("tests/tests/{file}.rs"));
        if !texts.contains_key(file) {
            texts.insert(file, fs::read_to_string(&path)?);
        }
        let text = &texts[file];
        let body = test_and_helpers(text, test).with_context(|| format!("no {test} in {file}"))?;
        let at = text.find(&format!("async fn {test}(")).unwrap_or_default();
        let is_test = text[..at]
            .trim_end()
            .ends_with("#[tokio::test(flavor = \"multi_thread\")]");
        ensure!(is_test, "{test} is no test");
        let name = row.trim_end_matches("[]").rsplit('.').next();
        let name = name.map(|it| it.split('[').next().unwrap_or(it));
        let name = name.context("a name")?;
        ensure!(
            body.contains(&format!("\"{name}\"")),
            "{test} does not speak of {row}"
        );
    }
    Ok(())
}

#[test]
fn what_is_said_to_be_refused_is_refused() -> Result<()> {
    for (row, proof) in proofs()? {
        let Refused(spec) = proof else { continue };
        let spec =
            btp_policy::json::parse(spec.as_bytes()).map_err(|it| anyhow::anyhow!("{it}"))?;
        let problems = translate(&spec, &translate::Context::default())
            .err()
            .with_context(|| format!("{row} is taken"))?;
        let top = row.split('.').next().unwrap_or(row);
        ensure!(
            problems
                .iter()
                .all(|it| it.path.to_string().starts_with(&format!("spec.{top}"))),
            "{row}: {problems:?}"
        );
    }
    Ok(())
}

/// What is in force in a cluster, by the names that Envoy has for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_seen_is_in_force() -> Result<()> {
    const OPTIONS: &str = "/typed_extension_protocol_options/\
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let http2 = format!("{OPTIONS}/use_downstream_protocol_config/http2_protocol_options");
    let jitter = format!("{http2}/connection_keepalive/interval_jitter/value");
    let upstreams = upstreams(1).await?;
    let mut bootstrap = backend(&upstreams)?;
    bootstrap.govern(
        "backend",
        &json!({
            "tcpKeepalive": {"probes": 7, "interval": "11s"},
            "useClientProtocol": true,
            "http2": {"connectionKeepalive": {
                "interval": "10s", "timeout": "3s", "intervalJitter": 15}},
        }),
    )?;
    let envoy = Envoy::start(&bootstrap).await?;
    let cluster = envoy.cluster("backend").await?;
    let keepalive = "/upstream_connection_options/tcp_keepalive";
    let mut looked_up = BTreeSet::new();
    for (field, pointer, expected) in [
        (
            "tcpKeepalive.probes",
            format!("{keepalive}/keepalive_probes"),
            json!(7),
        ),
        (
            "tcpKeepalive.interval",
            format!("{keepalive}/keepalive_interval"),
            json!(11),
        ),
        (
            "http2.connectionKeepalive.intervalJitter",
            jitter,
            json!(15),
        ),
    ] {
        let found = cluster.pointer(&pointer).and_then(Value::as_f64);
        ensure!(
            found == expected.as_f64(),
            "{field}: {found:?} in {cluster:#}"
        );
        looked_up.insert(field);
    }
    let rows = proofs()?.into_iter().filter(|(_, proof)| *proof == Dumped);
    let rows: BTreeSet<&str> = rows.map(|(row, _)| row).collect();
    ensure!(rows == looked_up, "{rows:?}");
    let page = fs::read_to_string(repo::path("docs/reference/native-fields.md"))?;
    let (_, said) = page
        .split_once("\n## What cannot be seen")
        .context("its section")?;
    let unsaid = rows.iter().find(|row| !said.contains(&format!("`{row}`")));
    ensure!(unsaid.is_none(), "{unsaid:?} is not in the page");
    Ok(())
}
