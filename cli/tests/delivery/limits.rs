//! The file of a rate limit service: written with those of Envoy, and as the
//! service will notice.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::folder::{FAST, Folder, WITH, text};

const SERVICE: &str = "--rate-limit-service limits:8081 --rate-limit-config limits.yaml";

fn limit(requests: u32) -> String {
    format!(
        "kind: BackendTrafficPolicy\nmetadata: {{name: p}}\nspec:\n  rateLimit: {{global: {{rules: \
         [{{limit: {{requests: {requests}, unit: Hour}}}}]}}}}\n"
    )
}

fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write("policy.yaml", &limit(3));
    folder
}

#[test]
fn the_service_knows_a_limit_before_it_is_asked() {
    let folder = folder("limits");
    folder.apply("", FAST);
    let said = folder.apply(&format!("{WITH} {SERVICE}"), FAST);
    let added = "written: limits.yaml, cds.yaml\nthen: rds.yaml, lds.yaml\n";
    assert!(said.starts_with(added), "{said}");
    assert!(folder.read("limits.yaml").contains("requests_per_unit: 3"));
    assert!(folder.live("cds.yaml").contains("name: btp.ratelimit"));
    // A limit that is other than it was is for the service alone.
    folder.write("policy.yaml", &limit(4));
    let said = folder.apply(&format!("{WITH} {SERVICE}"), FAST);
    assert_eq!(said, "written: limits.yaml\n");
    let said = folder.apply(&format!("{WITH} {SERVICE}"), FAST);
    assert_eq!(said, "written: nothing, all files are up to date\n");
    // Without the policy all of it goes; what the service reads is not a file
    // of Envoy's.
    folder.apply("", "--at-once");
    assert!(folder.read("limits.yaml").contains("requests_per_unit: 4"));
    for name in ["cds.yaml", "rds.yaml", "lds.yaml"] {
        let own = folder.read(&format!("own/{name}"));
        assert_eq!(folder.live(name), own, "{name}");
    }
    folder.apply(SERVICE, "--at-once");
    assert!(folder.read("limits.yaml").ends_with("descriptors: []\n"));
}

/// The filter's own configuration is in a file then, and Envoy's filter for the
/// service in the listener, in either build.
#[test]
fn local_limits_in_files_of_their_own_stand_in_front_of_it() {
    let folder = Folder::new("limits-ecds");
    let rules = "rules: [{limit: {requests: 3, unit: Hour}}]";
    let policy = format!(
        "kind: BackendTrafficPolicy\nmetadata: {{name: p}}\nspec:\n  rateLimit: {{local: {{{rules}}}, \
         global: {{{rules}}}}}\n"
    );
    folder.write("policy.yaml", &policy);
    for (build, file) in [
        ("", "backend_traffic_policy.yaml"),
        ("--module", "backend_traffic_policy_module.yaml"),
    ] {
        let options = format!("--ecds /mounted --at-once {SERVICE} {build}");
        folder.apply(WITH, &options);
        let listener = folder.live("lds.yaml");
        let names = ["name: backend_traffic_policy,", "name: btp.ratelimit,"];
        let places = names.map(|it| listener.find(it).expect(it));
        assert!(places.is_sorted(), "{listener}");
        let filter = folder.live(file);
        assert!(
            filter.contains("local") && !filter.contains("global"),
            "{filter}"
        );
        folder.apply("", "--at-once");
        assert_eq!(folder.live("lds.yaml"), folder.read("own/lds.yaml"));
        assert_eq!(folder.live("cds.yaml"), folder.read("own/cds.yaml"));
    }
}

#[test]
fn a_file_is_moved_to_its_place_or_changed_there_as_its_service_watches() {
    for (format, is_moved) in [("envoy", true), ("limitador", false)] {
        let folder = folder(&format!("limits-{format}"));
        let number = || {
            let file = fs::metadata(folder.0.join("limits.yaml"));
            file.expect("is there").ino()
        };
        let one = "--bootstrap own/envoy.yaml -o out.yaml --flat";
        let run = |output| {
            let options = format!("{output} {WITH} {SERVICE} --rate-limit-format {format}");
            let done = folder.run(&options);
            assert!(done.status.success(), "{}", text(&done.stderr));
        };
        run(one);
        for (requests, output) in [(5, one), (6, "--bootstrap own/envoy.yaml --out-dir live")] {
            folder.write("policy.yaml", &limit(requests));
            let before = number();
            run(output);
            assert_eq!(number() != before, is_moved, "{format}");
            let wanted = format!(": {requests}\n");
            assert!(folder.read("limits.yaml").contains(&wanted), "{format}");
        }
    }
}

#[test]
fn what_is_refused_or_only_asked_about_changes_nothing() {
    let folder = folder("limits-refused");
    folder.write("limits.yaml", "as it was\n");
    folder.apply("", FAST);
    let before = folder.live("lds.yaml");
    let unchanged = || {
        assert_eq!(folder.read("limits.yaml"), "as it was\n");
        assert_eq!(folder.live("lds.yaml"), before);
    };
    let into = "--bootstrap own/envoy.yaml --out-dir live";
    let dry = folder.run(&format!("{into} {WITH} {SERVICE} --dry-run"));
    let planned = text(&dry.stdout);
    assert!(
        planned.contains("to be written: limits.yaml, cds.yaml\n"),
        "{planned}"
    );
    unchanged();
    let diff = folder.run(&format!("{into} {WITH} {SERVICE} --diff"));
    let shown = text(&diff.stdout);
    assert!(
        shown.contains("--- limits.yaml\n+++ limits.yaml\n@@ -1 +1,"),
        "{shown}"
    );
    unchanged();
    let wrong = limit(3).replace("Hour", "Fortnight");
    folder.write("policy.yaml", &wrong);
    folder.fails(&format!("{WITH} {SERVICE}"), 1, &["must be one of Second"]);
    unchanged();
    folder.write("policy.yaml", &limit(3));
    let nowhere = SERVICE.replace("limits.yaml", "nowhere/limits.yaml");
    folder.fails(&format!("{WITH} {nowhere}"), 2, &["nowhere/limits.yaml"]);
    unchanged();
}

#[test]
fn the_limits_can_go_to_what_is_no_file() {
    let folder = folder("limits-device");
    let to = SERVICE.replace("limits.yaml", "/dev/stderr");
    let options = format!("--bootstrap own/envoy.yaml --out-dir live {WITH} {to} {FAST}");
    for round in ["first", "second"] {
        let done = folder.run(&options);
        let said = text(&done.stderr);
        assert!(done.status.success(), "{said}");
        assert!(said.contains("requests_per_unit: 3"), "{round}: {said}");
    }
}
