//! Which files `btp` reads, how they are given, and what it says where there is nothing
//! in them.

mod run;

use run::{btp, btp_with};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A bootstrap with a route, and a policy for it.
const ENVOY: &str = "envoy.yaml";
const POLICY: &str = "policy.yaml";

/// The commands that read policies, but for `-f` or what takes its place.
const COMMANDS: [&str; 5] = [
    "lint",
    "apply --bootstrap envoy.yaml --dry-run",
    "explain",
    "explain --bootstrap envoy.yaml",
    "plugin-config --native-fields ignore",
];

/// A folder of a test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("files-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("can be made");
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/apply");
    for file in [ENVOY, POLICY] {
        fs::copy(case.join(file), folder.join(file)).expect("can be copied");
    }
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("is in a folder")).expect("can be made");
    fs::write(path, text).expect("can be written");
}

/// A policy without targets.
fn policy(name: &str) -> String {
    format!(
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: \
         {{name: {name}}}\nspec:\n  targetRefs:\n  - {{group: gateway.networking.k8s.io, kind: \
         HTTPRoute, name: {name}}}\n  timeout: {{http: {{requestTimeout: 5s}}}}\n"
    )
}

/// The line that sums a run up.
fn summary(folder: &Path, arguments: &str) -> (i32, String) {
    let (code, _, said) = btp(folder, arguments);
    (code, said.lines().last().unwrap_or_default().to_owned())
}

/// As a kubelet mounts a ConfigMap.
#[test]
fn a_mounted_config_map_is_read_once() {
    let folder = folder("mount");
    write(
        &folder,
        "mount/..2026_11_28_10_00_00.1/a.yaml",
        &policy("a"),
    );
    write(
        &folder,
        "mount/..2026_11_28_10_00_00.1/b.yaml",
        &policy("b"),
    );
    symlink("..2026_11_28_10_00_00.1", folder.join("mount/..data")).expect("can be made");
    for name in ["a.yaml", "b.yaml"] {
        let target = format!("..data/{name}");
        symlink(target, folder.join("mount").join(name)).expect("can be made");
    }
    let fine = (0, "2 policies in 2 files: no problems".to_owned());
    assert_eq!(summary(&folder, "lint mount"), fine);
    // A folder that is named is walked, whatever it is.
    assert_eq!(summary(&folder, "lint mount/..data"), fine);
    symlink("mount", folder.join("link")).expect("can be made");
    assert_eq!(summary(&folder, "lint link"), fine);
    // Files are read once, however many ways lead to them.
    assert_eq!(summary(&folder, "lint mount link mount/a.yaml"), fine);
}

#[test]
fn hidden_folders_and_folders_behind_links_are_not_walked() {
    let folder = folder("hidden");
    write(&folder, "all/sub/a.yaml", &policy("a"));
    write(&folder, "all/.git/b.yaml", &policy("b"));
    write(&folder, "all/.c.yaml", &policy("c"));
    write(&folder, "elsewhere/d.yaml", &policy("d"));
    symlink(".", folder.join("all/loop")).expect("can be made");
    symlink("../..", folder.join("all/sub/up")).expect("can be made");
    symlink("../elsewhere", folder.join("all/other")).expect("can be made");
    let fine = (0, "1 policy in 1 file: no problems".to_owned());
    assert_eq!(summary(&folder, "lint all"), fine);
    assert_eq!(summary(&folder, "lint all/.git"), fine);
    assert_eq!(summary(&folder, "lint all/.c.yaml"), fine);
}

#[test]
fn what_is_no_kubernetes_object_is_passed_over_in_folders_and_counted() {
    let folder = folder("others");
    write(&folder, "all/a.yaml", &policy("a"));
    write(&folder, "all/envoy.yaml", "static_resources: {}\n");
    write(&folder, "all/kustomization.yaml", "resources: [a.yaml]\n");
    write(&folder, "all/values.yaml", "replicas: 2\nlist: [1]\n");
    write(&folder, "all/list.json", "[1, 2]\n");
    write(
        &folder,
        "all/deployment.yaml",
        "apiVersion: apps/v1\nkind: Deployment\n",
    );
    assert_eq!(
        summary(&folder, "lint all"),
        (
            0,
            "1 policy in 2 files: no problems; 4 other files ignored".to_owned()
        )
    );
    let template = format!("{{{{- if .Values.on }}}}\n{}{{{{- end }}}}\n", policy("t"));
    write(&folder, "all/templates/t.yaml", &template);
    let (code, said) = summary(&folder, "lint all");
    assert_eq!(code, 0);
    assert!(
        said.ends_with("5 other files ignored, 1 of them a Helm template: render it first (helm template CHART)"),
        "{said}"
    );
    // By their names they are errors, with what to do.
    for (file, reason) in [
        ("all/envoy.yaml", "kind: is required"),
        (
            "all/list.json",
            "the document: must be an object, not a list",
        ),
        (
            "all/templates/t.yaml",
            "this is a Helm template: render it first",
        ),
    ] {
        let (code, _, said) = btp(&folder, &format!("lint {file}"));
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(reason), "{said}");
    }
}

/// What looks like a policy, or is no YAML and speaks of one, is not passed over.
#[test]
fn a_broken_policy_in_a_folder_is_an_error() {
    for (name, text) in [
        ("syntax", "kind: BackendTrafficPolicy\nspec: [\n"),
        ("kind", "kind: BackendTraficPolicy\n"),
        (
            "version",
            "apiVersion: gateway.envoyproxy.io/v1alpha1\nspecs: {}\n",
        ),
        ("beside", &format!("{}---\nfoo: 1\n", policy("a"))),
    ] {
        let folder = folder(&format!("broken-{name}"));
        write(&folder, "all/a.yaml", text);
        let (code, _, said) = btp(&folder, "lint all");
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("1 error"), "{said}");
    }
    let folder = folder("not-yaml");
    write(&folder, "all/a.yaml", &policy("a"));
    write(&folder, "all/b.yaml", "a: [\n");
    let passed_over = "1 policy in 1 file: no problems; 1 other file ignored";
    assert_eq!(summary(&folder, "lint all"), (0, passed_over.to_owned()));
}

/// One policy that is of another API does not hide what is wrong beside it.
#[test]
fn documents_beside_a_policy_of_another_api_are_linted() {
    let folder = folder("another-api");
    let other = "apiVersion: apisix.apache.org/v1alpha1\nkind: BackendTrafficPolicy\n";
    let wrong = policy("a").replace("timeout", "timeouts");
    write(&folder, "all.yaml", &format!("{other}---\n{wrong}"));
    let (code, _, said) = btp(&folder, "lint all.yaml");
    assert_eq!(code, 1);
    assert!(said.contains("is another API"), "{said}");
    assert!(said.contains("timeouts: is not a known field"), "{said}");
    assert!(said.ends_with("1 policy in 1 file: 2 errors\n"), "{said}");
}

#[test]
fn files_are_given_with_an_option_or_without_and_on_stdin() {
    let folder = folder("given");
    let text = fs::read_to_string(folder.join(POLICY)).expect("is there");
    for command in COMMANDS {
        let wanted = btp(&folder, &format!("{command} {POLICY}"));
        assert_eq!(wanted.0, 0, "{command}: {}", wanted.2);
        for spelling in [
            "-f policy.yaml",
            "--file policy.yaml",
            "--filename=policy.yaml",
        ] {
            let found = btp(&folder, &format!("{command} {spelling}"));
            assert_eq!(found, wanted, "{command} {spelling}");
        }
        for spelling in ["-", "-f -"] {
            let (code, printed, said) = btp_with(&folder, &format!("{command} {spelling}"), &text);
            let found = (code, printed, said.replace("<stdin>", POLICY));
            assert_eq!(found, wanted, "{command} {spelling}");
        }
    }
    write(&folder, "more.yaml", &policy("more"));
    for spelling in ["policy.yaml -f more.yaml", "-f policy.yaml -f more.yaml"] {
        let (code, said) = summary(&folder, &format!("lint {spelling}"));
        assert!(code == 0 && said.contains(" in 2 files: "), "{said}");
    }
    for command in [
        "lint",
        "explain",
        "plugin-config",
        "explain --bootstrap envoy.yaml",
    ] {
        let (code, _, said) = btp(&folder, command);
        assert_eq!(code, 2, "{command}");
        assert!(
            said.contains("required arguments were not provided"),
            "{said}"
        );
    }
}

#[test]
fn the_bootstrap_may_come_from_stdin() {
    let folder = folder("bootstrap");
    let text = fs::read_to_string(folder.join(ENVOY)).expect("is there");
    for command in [
        "apply -f policy.yaml",
        "explain policy.yaml",
        "lint policy.yaml",
    ] {
        let named = btp(&folder, &format!("{command} --bootstrap envoy.yaml"));
        let piped = btp_with(&folder, &format!("{command} --bootstrap -"), &text);
        assert_eq!(piped.0, 0, "{command}: {}", piped.2);
        assert_eq!(piped.1, named.1, "{command}");
        assert_eq!(piped.2.replace("<stdin>", ENVOY), named.2, "{command}");
    }
    let json = btp(&folder, "apply --bootstrap envoy.yaml -o envoy.json");
    assert_eq!(json.0, 0, "{}", json.2);
    let json = fs::read_to_string(folder.join("envoy.json")).expect("is there");
    let (_, printed, _) = btp_with(&folder, "apply --bootstrap -", &json);
    assert_eq!(printed, json);
}

#[test]
fn stdin_is_given_once() {
    let folder = folder("once");
    for (arguments, twice) in [
        ("lint - -", "twice as FILE"),
        ("lint - -f -", "twice as FILE"),
        ("lint --bootstrap - -", "as FILE and as --bootstrap"),
        ("apply --bootstrap - -f -", "as FILE and as --bootstrap"),
        ("explain --bootstrap - -", "as FILE and as --bootstrap"),
    ] {
        let (code, printed, said) = btp(&folder, arguments);
        assert_eq!((code, printed.as_str()), (2, ""), "{arguments}");
        let wanted = format!("stdin can be read only once, and `-` is given {twice}");
        assert!(said.contains(&wanted), "{arguments}: {said}");
    }
    let (code, _, said) = btp(&folder, "apply --bootstrap - --out-dir .");
    assert_eq!(code, 2);
    assert!(
        said.contains("stdin has none: give --bootstrap a file"),
        "{said}"
    );
}

/// A wrong path in a pipeline must not be green for ever.
#[test]
fn files_without_a_policy_are_an_error_unless_that_is_said_to_be_right() {
    let folder = folder("none");
    write(
        &folder,
        "map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n",
    );
    write(&folder, "nothing.yaml", "");
    fs::create_dir_all(folder.join("empty")).expect("can be made");
    for command in COMMANDS {
        for file in ["map.yaml", "nothing.yaml", "empty"] {
            let (code, printed, said) = btp(&folder, &format!("{command} -f {file}"));
            assert_eq!(
                (code, printed.as_str()),
                (1, ""),
                "{command} {file}: {said}"
            );
            assert!(said.contains("policies: the files contain none"), "{said}");
            let allowed = format!("{command} --allow-empty -f {file}");
            let (code, said) = summary(&folder, &allowed);
            assert_eq!(code, 0, "{allowed}: {said}");
        }
    }
    // Without files, apply takes out what it had put in, and lint checks Envoy's.
    for command in [
        "apply --dry-run --bootstrap envoy.yaml",
        "lint --bootstrap envoy.yaml",
    ] {
        assert_eq!(btp(&folder, command).0, 0, "{command}");
    }
}

#[test]
fn every_command_says_its_version() {
    let folder = folder("version");
    let (_, wanted, _) = btp(&folder, "--version");
    for command in [
        "lint",
        "apply",
        "explain",
        "plugin-config",
        "schema",
        "completions",
        "man",
    ] {
        let (code, printed, _) = btp(&folder, &format!("{command} --version"));
        let version = wanted.replace("btp ", &format!("btp-{command} "));
        assert_eq!((code, printed), (0, version), "{command}");
    }
}

/// Such a folder has objects of other programs, and files that are no text.
#[test]
fn a_broken_manifest_is_an_error_and_what_policies_do_not_use_is_none() {
    let folder = folder("neighbours");
    let foreign =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: x}\nbinaryData: {b: AAEC}\n";
    write(&folder, "all/foreign.yaml", foreign);
    write(&folder, "all/policy.yaml", &policy("a"));
    fs::write(folder.join("all/latin1.yaml"), b"a: \xe4").expect("can be written");
    for command in ["lint all", "plugin-config --native-fields ignore -f all"] {
        let (code, _, said) = btp(&folder, command);
        assert_eq!(code, 0, "{command}: {said}");
    }
    let (code, line) = summary(&folder, "lint all");
    assert_eq!(
        (code, line.as_str()),
        (0, "1 policy in 2 files: no problems; 1 other file ignored")
    );
    let broken = "apiVersion: v1\nkind: Namespace\nmetadata:\n\tname: other\n";
    write(&folder, "all/namespace.yaml", broken);
    let (code, _, said) = btp(&folder, "lint all");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("all/namespace.yaml:4:"), "{said}");
}

#[test]
fn names_of_files_do_not_steer_the_terminal() {
    let folder = folder("escape");
    write(&folder, "a\u{1b}[31m.yaml", "kind: [");
    let (code, _, said) = btp(&folder, "lint .");
    assert_eq!(code, 0, "{said}");
    let (_, _, said) = btp(&folder, "lint a\u{1b}[31m.yaml b\u{1b}[31m.yaml");
    assert!(!said.contains('\u{1b}'), "{said:?}");
}
