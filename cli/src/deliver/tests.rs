//! Which file is written when.

mod kept;
mod killed;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{Cause, Error};
use super::file::{File, Kind};
use super::plan::Plan;
use super::{Pace, Run, Witness, rehearsed};
use crate::file_error::FileError;
use crate::output::Output;

const CDS: &str = "cds.yaml";
const RDS: &str = "rds.yaml";
const LDS: &str = "lds.yaml";
const FILTER: &str = "btp.yaml";
const BOOTSTRAP: &str = "envoy.yaml";

/// Files by name.
type Files = BTreeMap<&'static str, String>;

fn kind(name: &str) -> Kind {
    match name {
        CDS => Kind::Clusters,
        RDS => Kind::Routes,
        LDS => Kind::Listeners,
        FILTER => Kind::Extension,
        _ => Kind::Bootstrap,
    }
}

fn plan(before: &Files, after: &Files) -> Plan {
    let file = |(name, text): (&&'static str, &String)| {
        File::of_texts(
            kind(name),
            *name,
            before.get(name).map(String::as_str),
            text,
        )
    };
    Plan::new(after.iter().map(file).collect())
}

fn clusters(names: &str) -> String {
    let list = names.split_whitespace();
    let item = |it: &str| match it.split_once('=') {
        Some((name, value)) => format!("- {{name: {name}, connect_timeout: {value}s}}\n"),
        None => format!("- {{name: {it}}}\n"),
    };
    let items: String = list.map(item).collect();
    format!("# by hand\nresources:\n{items}")
}

fn routes(to: &str) -> String {
    let list = to.split_whitespace();
    let items: String = list
        .map(|it| format!("  - route: {{cluster: {it}}}\n"))
        .collect();
    format!("resources:\n- name: table\n  routes:\n{items}")
}

fn listener(what: &str) -> String {
    format!("resources:\n- name: edge\n  {what}\n")
}

fn discovering(file: &str) -> String {
    listener(&format!(
        "http_filters: [{{config_discovery: {{config_source: {{path_config_source: {{path: /x/{file}}}}}}}}}]"
    ))
}

fn bootstrap(statics: &str) -> String {
    let names: Vec<String> = statics
        .split_whitespace()
        .map(|it| format!("{{name: {it}}}"))
        .collect();
    format!("static_resources: {{clusters: [{}]}}\n", names.join(", "))
}

fn files<const N: usize>(files: [(&'static str, String); N]) -> Files {
    files.into()
}

/// Has everything arrive at once.
#[derive(Default)]
struct Eager {
    kept: BTreeSet<String>,
}

impl Witness for Eager {
    fn look(&mut self, _: &Plan) -> Result<(), Cause> {
        Ok(())
    }
    fn clusters(&mut self, plan: &Plan, _: &[PathBuf]) -> Result<(), Cause> {
        let missing = plan.only_by_restart();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Cause::Restart(missing))
    }
    fn routes(&mut self, _: &Plan, _: &[PathBuf]) -> Result<BTreeSet<String>, Cause> {
        Ok(self.kept.clone())
    }
    fn end(&mut self, _: &Plan, _: &[PathBuf]) -> Result<(), Cause> {
        Ok(())
    }
}

/// Runs a plan; gives what was written, in this order, and how it ended.
fn run(plan: &Plan, witness: &mut dyn Witness) -> (Vec<Output>, Result<(), Error>) {
    let written = RefCell::new(Vec::new());
    let writer = |outputs: &[Output]| {
        let copies = outputs.iter().map(|it| Output {
            path: it.path.clone(),
            in_place: it.in_place,
            text: it.text.clone(),
        });
        written.borrow_mut().extend(copies);
        Ok(())
    };
    let done = Run::new(plan, &writer).phases(witness);
    (written.into_inner(), done)
}

/// What a plan writes: names of files, and of the clusters in those that have
/// any.
fn steps(before: &Files, after: &Files) -> Vec<String> {
    let (written, done) = run(&plan(before, after), &mut Eager::default());
    done.expect("arrives");
    written.iter().map(shown).collect()
}

fn shown(output: &Output) -> String {
    let name = output.path.display().to_string();
    let file = File::of_texts(kind(&name), &output.path, None, &output.text);
    let names: Vec<&str> = match file.kind {
        Kind::Clusters => file.resource_names().collect(),
        _ => Vec::new(),
    };
    format!("{name} {}", names.join(" ")).trim_end().to_owned()
}

#[test]
fn clusters_come_before_routes_and_go_behind_them() {
    let before = files([
        (CDS, clusters("up up-shop")),
        (RDS, routes("up up-shop")),
        (LDS, listener("filters: 1")),
    ]);
    let after = files([
        (CDS, clusters("up up-cart")),
        (RDS, routes("up up-cart")),
        (LDS, listener("filters: 2")),
    ]);
    assert_eq!(
        steps(&before, &after),
        [
            "cds.yaml up up-cart up-shop",
            "rds.yaml",
            "lds.yaml",
            "cds.yaml up up-cart"
        ]
    );
}

#[test]
fn only_what_changes_is_written_and_no_phase_is_for_nothing() {
    let state = |cds: &str, rds: &str| files([(CDS, clusters(cds)), (RDS, routes(rds))]);
    let old = state("up copy", "up copy");
    assert_eq!(steps(&old, &old), Vec::<String>::new());
    // Nothing is added: the clusters of before and after are there.
    let removed = steps(&old, &state("up", "up"));
    assert_eq!(removed, ["rds.yaml", "cds.yaml up"]);
    let added = steps(&state("up", "up"), &old);
    assert_eq!(added, ["cds.yaml up copy", "rds.yaml"]);
    // Of the same name there can be one: that of after, before routes need it.
    let changed = steps(&old, &state("up copy=3", "up copy"));
    assert_eq!(changed, ["cds.yaml up copy"]);
    assert_eq!(steps(&old, &state("up copy", "up")), ["rds.yaml"]);
}

#[test]
fn clusters_of_before_are_added_to_the_text_as_a_person_wrote_it() {
    let before = files([(CDS, clusters("up copy")), (RDS, routes("copy"))]);
    let after = files([(CDS, clusters("up new")), (RDS, routes("new"))]);
    let (written, _) = run(&plan(&before, &after), &mut Eager::default());
    let text = &written.first().expect("is written").text;
    let rest = text
        .strip_prefix(after[CDS].as_str())
        .expect("begins as it will be");
    assert_eq!(rest, "- name: copy\n");
    assert_eq!(written.last().expect("is written").text, after[CDS]);
}

#[test]
fn a_filter_is_there_before_its_listener_and_changes_with_the_routes() {
    let after = files([
        (CDS, clusters("up new")),
        (RDS, routes("new")),
        (FILTER, "resources: [{name: btp, x: 2}]\n".to_owned()),
        (LDS, discovering(FILTER)),
    ]);
    let mut before = files([
        (CDS, clusters("up")),
        (RDS, routes("up")),
        (LDS, listener("filters: 1")),
    ]);
    let new = ["btp.yaml", "cds.yaml up new", "rds.yaml", "lds.yaml"];
    assert_eq!(steps(&before, &after), new);
    // Left by an earlier listener; nobody watches it.
    before.insert(FILTER, "resources: [{name: btp, x: 1}]\n".to_owned());
    assert_eq!(steps(&before, &after), new);
    before.insert(LDS, discovering(FILTER));
    assert_eq!(
        steps(&before, &after),
        ["cds.yaml up new", "rds.yaml", "btp.yaml"]
    );
    // A cluster of its own may name it, too.
    before.insert(LDS, listener("filters: 1"));
    let cluster = "resources:\n- name: up\n  http_filters: [{config_discovery: {config_source: \
                   {path: btp.yaml}}}]\n";
    before.insert(CDS, cluster.to_owned());
    assert_eq!(
        steps(&before, &after),
        ["cds.yaml up new", "rds.yaml", "btp.yaml", "lds.yaml"]
    );
}

#[test]
fn a_folder_without_watched_files_gets_everything_at_once() {
    let after = files([
        (CDS, clusters("up")),
        (RDS, routes("up")),
        (FILTER, "resources: []\n".to_owned()),
        (LDS, listener("x: 1")),
        (BOOTSTRAP, bootstrap("a")),
    ]);
    for before in [Files::new(), files([(BOOTSTRAP, bootstrap("b"))])] {
        let plan = plan(&before, &after);
        assert!(!plan.is_watched());
        let written: Vec<String> = plan.at_once().iter().map(shown).collect();
        let wanted = [
            "btp.yaml",
            "cds.yaml up",
            "rds.yaml",
            "lds.yaml",
            "envoy.yaml",
        ];
        assert_eq!(written, wanted);
    }
    let inline = files([(BOOTSTRAP, bootstrap("a"))]);
    let plan = plan(&files([(BOOTSTRAP, bootstrap("b"))]), &inline);
    assert!(!plan.is_watched());
    assert_eq!(plan.at_once().len(), 1);
}

#[test]
fn routes_wait_for_the_restart_that_brings_clusters_of_the_bootstrap() {
    let before = files([(BOOTSTRAP, bootstrap("up old")), (RDS, routes("up old"))]);
    let after = files([(BOOTSTRAP, bootstrap("up new")), (RDS, routes("up new"))]);
    let (written, done) = run(&plan(&before, &after), &mut Eager::default());
    let error = done.expect_err("needs a restart");
    assert!(error.is_unfinished());
    let said = error.to_string();
    assert!(said.contains("cluster new of the bootstrap"), "{said}");
    assert!(said.contains("not written: rds.yaml"), "{said}");
    // With the one that the routes still send to.
    let [output] = written.as_slice() else {
        panic!("{written:?}");
    };
    assert!(
        output.text.contains("new") && output.text.contains("old"),
        "{}",
        output.text
    );
    let planned = rehearsed(&plan(&before, &after), &Pace::After(Duration::ZERO));
    let planned = planned.to_string();
    let wanted = "to be written: envoy.yaml (read when Envoy starts)\nnote: the rest needs a \
        restart of Envoy, which loads cluster new\n";
    assert_eq!(planned, wanted);
    // After the restart the same run does the rest.
    let between = files([(BOOTSTRAP, output.text.clone()), (RDS, routes("up old"))]);
    assert_eq!(steps(&between, &after), ["rds.yaml", "envoy.yaml"]);
    // No route needs it: no restart.
    let unused = files([(BOOTSTRAP, bootstrap("up new")), (RDS, routes("up"))]);
    assert_eq!(steps(&before, &unused), ["rds.yaml", "envoy.yaml"]);
}

fn disk_full() -> FileError {
    FileError::unwritable(Path::new(RDS), std::io::Error::other("disk full"))
}

#[test]
fn an_error_between_phases_says_what_is_there_and_what_is_not() {
    let before = files([(CDS, clusters("up")), (RDS, routes("up"))]);
    let after = files([(CDS, clusters("up new")), (RDS, routes("new"))]);
    let plan = plan(&before, &after);
    let writer = |outputs: &[Output]| match outputs.iter().any(|it| it.path == *RDS) {
        true => Err(disk_full()),
        false => Ok(()),
    };
    let done = Run::new(&plan, &writer).phases(&mut Eager::default());
    let said = done.expect_err("fails").to_string();
    assert!(
        said.starts_with(
            "cannot write rds.yaml: disk full\nwritten: cds.yaml\nnot written: rds.yaml\n"
        ),
        "{said}"
    );
    let nothing = |_: &[Output]| Err(disk_full());
    let done = Run::new(&plan, &nothing).phases(&mut Eager::default());
    assert!(!done.expect_err("fails").is_unfinished());
}

#[test]
fn a_file_that_cannot_be_read_is_replaced_and_said_so() {
    let before = files([(CDS, "resources: [".to_owned()), (RDS, routes("up"))]);
    let after = files([(CDS, clusters("up")), (RDS, routes("up"))]);
    let plan = plan(&before, &after);
    let writer = |_: &[Output]| Ok(());
    let mut run = Run::new(&plan, &writer);
    run.phases(&mut Eager::default()).expect("arrives");
    let said = run.summary.to_string();
    assert!(said.starts_with("written: cds.yaml\n"), "{said}");
    assert!(
        said.contains("the previous cds.yaml could not be read"),
        "{said}"
    );
}
