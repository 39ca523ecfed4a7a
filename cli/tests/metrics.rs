//! The reference of metrics has what the code defines: families and labels. They are
//! written anew by `UPDATE_GOLDEN=1 cargo test -p btp`.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use btp_engine::{Family, MetricKind};

/// Each section of the page: its title, and what the names of its families begin with.
const SECTIONS: [(&str, &[&str]); 5] = [
    ("faultInjection", &["fault_"]),
    ("rateLimit", &["rate_limit."]),
    ("requestBuffer", &["request_buffer_"]),
    (
        "responseOverride",
        &[
            "response_override.",
            "responses_overridden",
            "request_values_",
            "replacement_bodies_",
            "redirects_refused",
        ],
    ),
    ("retryConstraint", &["retry_budget_"]),
];

/// What belongs to the process, and is counted where no plan is.
const OF_THE_PROCESS: [(&str, &str, &str, &str); 5] = [
    (
        "btp_workers_not_configured",
        "gauge",
        "",
        "workers that have no configuration and answer every request 503; the .wasm alone",
    ),
    (
        "btp_workers_on_older_configuration",
        "gauge",
        "",
        "workers that could not load the configuration in force, and go on with the one before; \
         the .wasm alone",
    ),
    (
        "btp_vm_memory_bytes",
        "gauge",
        "`btp_vm`",
        "memory of a worker's virtual machine; the .wasm alone",
    ),
    (
        "btp_vm_memory_bytes_max",
        "gauge",
        "",
        "memory of the largest of them; the .wasm alone",
    ),
    (
        "btp_panics",
        "counter",
        "",
        "panics that were caught; the module alone",
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What is between a marker and the end of its part.
fn replaced(page: &str, marker: &str, new: &str) -> String {
    let start = format!("<!-- {marker} -->\n");
    let (before, rest) = page.split_once(&start).expect("has the marker");
    let (_, after) = rest.split_once("<!-- end -->").expect("has an end");
    format!("{before}{start}{new}<!-- end -->{after}")
}

fn row(table: &mut String, family: &Family) {
    let kind = match family.kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    };
    let labels: Vec<String> = family
        .labels
        .iter()
        .map(|label| format!("`{}`", label.name()))
        .collect();
    let name = format!("btp_{}", family.name.replace('.', "_"));
    let (labels, help) = (labels.join(", "), family.help);
    writeln!(table, "| `{name}` | {kind} | {labels} | {help} |").expect("a String");
}

const HEAD: &str = "| name | kind | labels | counts |\n|---|---|---|---|\n";

fn families() -> String {
    let mut text = String::new();
    let mut written = 0;
    for (title, prefixes) in SECTIONS {
        write!(text, "## {title}\n\n{HEAD}").expect("a String");
        for family in Family::ALL {
            let is_here = prefixes
                .iter()
                .any(|prefix| family.name.starts_with(prefix));
            if is_here && !family.is_debug() {
                row(&mut text, family);
                written += 1;
            }
        }
        text.push('\n');
    }
    write!(text, "## The process\n\n{HEAD}").expect("a String");
    for (name, kind, labels, help) in OF_THE_PROCESS {
        writeln!(text, "| `{name}` | {kind} | {labels} | {help} |").expect("a String");
    }
    text.push_str(
        "\nWhich of these mean that policies are off: [watch](crashes.md#watch).\n\n\
         ## Debugging\n\nFor finding a fault in the filter. They may change with any release, and \
         no alert\nneeds them.\n\n",
    );
    text.push_str(HEAD);
    for family in Family::ALL.iter().filter(|family| family.is_debug()) {
        row(&mut text, family);
        written += 1;
    }
    text.push('\n');
    assert_eq!(written, Family::ALL.len(), "a family has no section");
    text
}

#[test]
fn the_reference_has_every_family_and_every_label() {
    let page = read("docs/reference/metrics.md");
    let shipped = read("examples/apply/envoy.yaml");
    let (_, tags) = shipped
        .split_once("stats_config:\n")
        .expect("`btp apply` has written them");
    let tags = format!("```yaml\nstats_config:\n{}\n```\n", tags.trim_end());
    let wanted = replaced(&replaced(&page, "tags", &tags), "families", &families());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(root().join("docs/reference/metrics.md"), &wanted).expect("can be written");
    }
    assert!(
        page == wanted,
        "docs/reference/metrics.md is not what the code defines: write it anew by \
         `UPDATE_GOLDEN=1 cargo test -p btp`"
    );
}
