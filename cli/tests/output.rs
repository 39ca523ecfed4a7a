//! `btp apply -o` on whatever a path can be: nothing is broken that is there,
//! and nothing is left behind.
//!
//! Devices, pipes and mounts are of the tests' own making.

use std::fs::{self, File, Metadata, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const BTP: &str = env!("CARGO_BIN_EXE_btp");
/// What a target contains before.
const BEFORE: &str = "what was here before\n";
/// `nobody`, for what root is never refused.
const NOBODY: u32 = 65534;

/// A folder of a test's own, with a bootstrap and a policy in it.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("output-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("out")).expect("can be made");
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/apply");
    for file in ["envoy.yaml", "policy.yaml"] {
        fs::copy(case.join(file), folder.join(file)).expect("can be copied");
    }
    folder
}

const APPLY: &str = "apply --bootstrap envoy.yaml -f policy.yaml";

fn btp(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(BTP);
    command.args(arguments.split_whitespace());
    command.current_dir(folder).output().expect("btp runs")
}

/// Runs a line of the shell, in which `$BTP` is `btp apply` with its input.
fn shell(folder: &Path, line: &str) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(folder);
    command.env("BTP", format!("{BTP} {APPLY}"));
    command.output().expect("there is a shell")
}

/// What is to be written.
fn wanted(folder: &Path) -> String {
    text(&succeeded(btp(folder, APPLY)).stdout)
}

fn succeeded(output: Output) -> Output {
    assert!(output.status.success(), "{}", text(&output.stderr));
    output
}

fn failed(output: &Output, with: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(with), "{said}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("prints UTF-8")
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).expect("is there")
}

fn about(path: impl AsRef<Path>) -> Metadata {
    fs::symlink_metadata(path).expect("is there")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("is a folder");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("is text");
    let mut names: Vec<String> = entries.map(|it| name(it.expect("is there"))).collect();
    names.sort();
    names
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("can be set");
}

fn is_root() -> bool {
    about("/proc/self").uid() == 0
}

/// Says why a test cannot show what it should on this machine.
fn not_here(reason: &str) {
    eprintln!("NOT TESTED on this machine: {reason}");
}

#[test]
fn a_regular_file_is_moved_over_and_keeps_its_mode() {
    let folder = folder("regular");
    let target = folder.join("out/envoy.yaml");
    for mode in [0o600, 0o640, 0o755] {
        fs::write(&target, BEFORE).expect("can be written");
        set_mode(&target, mode);
        let before = about(&target);
        let output = succeeded(btp(&folder, &format!("{APPLY} -o out/envoy.yaml")));
        assert_eq!(read(&target), wanted(&folder));
        assert!(text(&output.stdout).contains("checkout"), "no report");
        assert_eq!(about(&target).mode(), before.mode());
        assert_ne!(about(&target).ino(), before.ino());
        assert_eq!(names(&folder.join("out")), ["envoy.yaml"]);
    }
}

#[test]
fn a_file_that_is_not_there_yet_is_made() {
    let folder = folder("absent");
    succeeded(btp(&folder, &format!("{APPLY} -o out/new.yaml")));
    assert_eq!(read(folder.join("out/new.yaml")), wanted(&folder));
    assert_eq!(names(&folder.join("out")), ["new.yaml"]);
    let made = about(folder.join("out/new.yaml")).mode();
    assert_eq!(made, about(folder.join("policy.yaml")).mode() & made);
}

#[test]
fn links_stay_and_what_they_lead_to_is_written() {
    let folder = folder("links");
    let out = folder.join("out");
    fs::create_dir(folder.join("real")).expect("can be made");
    fs::write(folder.join("real/envoy.yaml"), BEFORE).expect("can be written");
    symlink("../real/envoy.yaml", out.join("one")).expect("can be linked");
    symlink("one", out.join("two")).expect("can be linked");
    succeeded(btp(&folder, &format!("{APPLY} -o out/two")));
    assert_eq!(read(folder.join("real/envoy.yaml")), wanted(&folder));

    symlink("../real/new.yaml", out.join("dangling")).expect("can be linked");
    succeeded(btp(&folder, &format!("{APPLY} -o out/dangling")));
    assert_eq!(read(folder.join("real/new.yaml")), wanted(&folder));

    assert!(
        ["one", "two", "dangling"]
            .iter()
            .all(|it| about(out.join(it)).is_symlink())
    );
    assert_eq!(names(&out), ["dangling", "one", "two"]);
    assert_eq!(names(&folder.join("real")), ["envoy.yaml", "new.yaml"]);

    symlink("loop", out.join("loop")).expect("can be linked");
    failed(&btp(&folder, &format!("{APPLY} -o out/loop")), "out/loop");
}

#[test]
fn all_names_of_a_file_stay_its_names() {
    let folder = folder("hard-link");
    fs::write(folder.join("out/one"), BEFORE.repeat(2000)).expect("can be written");
    fs::hard_link(folder.join("out/one"), folder.join("out/two")).expect("can be linked");
    succeeded(btp(&folder, &format!("{APPLY} -o out/one")));
    assert_eq!(read(folder.join("out/two")), wanted(&folder));
    assert_eq!(about(folder.join("out/one")).nlink(), 2);
}

#[test]
fn a_pipe_gets_the_text_and_stays_a_pipe() {
    let folder = folder("pipe");
    let script = "mkfifo out/pipe && { timeout 60 cat out/pipe > got & $BTP -o out/pipe; r=$?; wait; exit $r; }";
    succeeded(shell(&folder, script));
    assert_eq!(read(folder.join("got")), wanted(&folder));
    assert!(about(folder.join("out/pipe")).file_type().is_fifo());
    assert_eq!(names(&folder.join("out")), ["pipe"]);
}

#[test]
fn a_device_stays_a_device() {
    let folder = folder("device");
    let device = folder.join("out/null");
    let made = shell(&folder, "mknod out/null c 1 3").status.success();
    if !made || File::options().write(true).open(&device).is_err() {
        return not_here("this user may not make and open devices");
    }
    let before = about(&device);
    succeeded(btp(&folder, &format!("{APPLY} -o out/null")));
    let after = about(&device);
    assert!(after.file_type().is_char_device());
    assert_eq!((after.ino(), after.rdev()), (before.ino(), before.rdev()));
    assert_eq!(names(&folder.join("out")), ["null"]);
}

#[test]
fn a_mounted_file_is_written_in_place() {
    let folder = folder("mount");
    fs::write(folder.join("source"), BEFORE).expect("can be written");
    fs::write(folder.join("out/mounted"), "").expect("can be written");
    let namespace = if is_root() {
        "unshare -m"
    } else {
        "unshare -rm"
    };
    let mount = "mount --bind source out/mounted";
    if !shell(&folder, &format!("{namespace} sh -c '{mount}'"))
        .status
        .success()
    {
        return not_here("this user may not mount in a namespace");
    }
    let script = format!("{namespace} sh -c '{mount} && $BTP -o out/mounted'");
    succeeded(shell(&folder, &script));
    assert_eq!(read(folder.join("source")), wanted(&folder));
    assert_eq!(names(&folder.join("out")), ["mounted"]);
}

#[test]
fn stdout_by_any_name_gets_the_configuration_and_stderr_the_report() {
    let folder = folder("stdout");
    // As /dev/stdout is made, which is not to be put at risk here.
    symlink("/proc/self/fd/1", folder.join("stdout")).expect("can be linked");
    for name in ["-", "stdout", "/proc/self/fd/1"] {
        let output = succeeded(btp(&folder, &format!("{APPLY} -o {name}")));
        assert_eq!(text(&output.stdout), wanted(&folder), "{name}");
        assert!(text(&output.stderr).contains("checkout"), "{name}");

        // The same where stdout is a file, and behind what it holds already.
        let line = format!("{{ echo first; $BTP -o {name}; }} > out/file");
        let output = succeeded(shell(&folder, &line));
        let both = format!("first\n{}", wanted(&folder));
        assert_eq!(read(folder.join("out/file")), both, "{name}");
        assert!(text(&output.stderr).contains("checkout"), "{name}");
    }
    assert!(about(folder.join("stdout")).is_symlink());
    // A file that the shell has open is the one that is written.
    let line = "{ $BTP -o /dev/fd/3 && cat out/open; } 3> out/open > got";
    succeeded(shell(&folder, line));
    assert!(read(folder.join("got")).ends_with(&wanted(&folder)));
    assert_eq!(names(&folder.join("out")), ["file", "open"]);
}

#[test]
fn a_reader_of_stdout_that_goes_away_is_no_crash() {
    let folder = folder("gone");
    let output = shell(&folder, "{ $BTP; echo code $? >&2; } | true");
    let said = text(&output.stderr);
    assert!(
        said.contains("code 0") && !said.contains("panicked"),
        "{said}"
    );
}

/// `btp` as nobody, in a folder that belongs to nobody; `None` if this is no
/// root, who alone can become somebody else.
fn as_nobody(folder: &Path, arguments: &str) -> Option<Output> {
    is_root().then(|| {
        // A copy, as the build may lie where nobody may go.
        let away = std::env::temp_dir().join(format!("btp-output-{}", std::process::id()));
        let _ = fs::remove_dir_all(&away);
        let done = Command::new("cp")
            .arg("-a")
            .args([folder, &away])
            .status()
            .expect("cp runs");
        assert!(done.success());
        // By another process: a program that this one has open for writing
        // while another test starts one cannot be run.
        let copied = Command::new("cp").arg(BTP).arg(away.join("btp")).status();
        assert!(copied.expect("cp runs").success());
        let output = Command::new(away.join("btp"))
            .args(arguments.split_whitespace())
            .current_dir(&away)
            .uid(NOBODY)
            .gid(NOBODY)
            .stdin(Stdio::null())
            .output()
            .expect("btp runs");
        let out = folder.join("out");
        fs::remove_dir_all(&out).expect("can be removed");
        let back = Command::new("cp")
            .arg("-a")
            .args([away.join("out"), out])
            .status()
            .expect("cp runs");
        assert!(back.success());
        fs::remove_dir_all(&away).expect("can be removed");
        output
    })
}

/// The same three cases for root, who becomes nobody, and for anybody else.
#[test]
fn owners_stay_and_a_folder_that_takes_no_files_is_no_obstacle() {
    let folder = folder("owner");
    let (out, target) = (folder.join("out"), folder.join("out/envoy.yaml"));
    let arguments = format!("{APPLY} -o out/envoy.yaml");
    let whole = wanted(&folder);

    // The file may be written, its folder not.
    fs::write(&target, BEFORE).expect("can be written");
    set_mode(&target, 0o666);
    set_mode(&out, 0o555);
    let output = as_nobody(&folder, &arguments).unwrap_or_else(|| btp(&folder, &arguments));
    succeeded(output);
    assert_eq!(read(&target), whole);
    set_mode(&out, 0o777);
    assert_eq!(names(&out), ["envoy.yaml"]);

    // The file may not be written, its folder may.
    fs::write(&target, BEFORE).expect("can be written");
    set_mode(&target, 0o444);
    let output = as_nobody(&folder, &arguments).unwrap_or_else(|| btp(&folder, &arguments));
    failed(&output, "ermission denied");
    assert_eq!(read(&target), BEFORE);
    assert_eq!(names(&out), ["envoy.yaml"]);

    // The file is another's.
    set_mode(&target, 0o666);
    let Some(output) = as_nobody(&folder, &arguments) else {
        return not_here("files of others are for root to make");
    };
    succeeded(output);
    assert_eq!((read(&target), about(&target).uid()), (whole.clone(), 0));
    fs::write(&target, BEFORE).expect("can be written");
    std::os::unix::fs::chown(&target, Some(NOBODY), Some(NOBODY)).expect("root may");
    succeeded(btp(&folder, &arguments));
    assert_eq!((read(&target), about(&target).uid()), (whole, NOBODY));
}

#[test]
fn a_failure_changes_nothing_and_leaves_nothing_behind() {
    let folder = folder("failure");
    let out = folder.join("out");
    fs::write(out.join("alone"), BEFORE).expect("can be written");
    fs::write(out.join("one"), BEFORE).expect("can be written");
    fs::hard_link(out.join("one"), out.join("two")).expect("can be linked");
    fs::create_dir(out.join("sub")).expect("can be made");
    let names_before = names(&out);
    // No file may grow beyond one block, as on a full disk.
    let full = "trap '' XFSZ; ulimit -f 1;";
    for target in ["alone", "one", "new"] {
        let output = shell(&folder, &format!("{full} $BTP -o out/{target}"));
        failed(&output, &format!("cannot write out/{target}"));
    }
    failed(&btp(&folder, &format!("{APPLY} -o out/sub")), "out/sub");
    failed(
        &btp(&folder, &format!("{APPLY} -o out/none/file")),
        "out/none/file",
    );
    for kept in ["alone", "one", "two"] {
        assert_eq!(read(out.join(kept)), BEFORE, "{kept}");
    }
    assert_eq!(names(&out), names_before);
}

#[test]
fn of_several_files_none_is_written_if_one_cannot_be() {
    let folder = folder("several");
    let out = folder.join("out");
    let bootstrap = read(folder.join("envoy.yaml")) + "node: {id: a, cluster: a}\n";
    fs::write(folder.join("envoy.yaml"), bootstrap).expect("can be written");
    fs::write(out.join("envoy.yaml"), BEFORE).expect("can be written");
    let arguments = format!("{APPLY} --out-dir out --ecds /etc/envoy/btp");
    fs::create_dir(out.join("backend_traffic_policy.yaml")).expect("can be made");
    failed(&btp(&folder, &arguments), "backend_traffic_policy.yaml");
    assert_eq!(read(out.join("envoy.yaml")), BEFORE);
    assert_eq!(names(&out), ["backend_traffic_policy.yaml", "envoy.yaml"]);

    fs::remove_dir(out.join("backend_traffic_policy.yaml")).expect("is empty");
    succeeded(btp(&folder, &arguments));
    let plugin = about(out.join("backend_traffic_policy.yaml"));
    succeeded(btp(&folder, &arguments));
    let same = about(out.join("backend_traffic_policy.yaml"));
    assert_eq!(same.ino(), plugin.ino(), "nothing has changed");
    // Envoy notices only files that are moved to their place.
    succeeded(btp(&folder, &format!("{arguments} --wasm /opt/btp.wasm")));
    let other = about(out.join("backend_traffic_policy.yaml"));
    assert_ne!(other.ino(), plugin.ino());
    assert_eq!(names(&out), ["backend_traffic_policy.yaml", "envoy.yaml"]);
}

#[test]
fn what_is_refused_is_not_written() {
    let folder = folder("refused");
    fs::write(folder.join("out/envoy.yaml"), BEFORE).expect("can be written");
    let policy = read(folder.join("policy.yaml"));
    let wrong = policy.replace("spec:", "spec:\n  nonsense: 1");
    fs::write(folder.join("policy.yaml"), wrong).expect("can be written");
    for target in ["envoy.yaml", "new.yaml"] {
        let output = btp(&folder, &format!("{APPLY} -o out/{target}"));
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(text(&output.stdout), "");
    }
    assert_eq!(read(folder.join("out/envoy.yaml")), BEFORE);
    assert_eq!(names(&folder.join("out")), ["envoy.yaml"]);
}

#[test]
fn a_dry_run_reports_and_writes_nothing() {
    let folder = folder("dry-run");
    fs::write(folder.join("out/envoy.yaml"), BEFORE).expect("can be written");
    let wet = text(&succeeded(btp(&folder, &format!("{APPLY} -o out/wet.yaml"))).stdout);
    for more in ["", " -o out/envoy.yaml", " -o out/new.yaml"] {
        let output = succeeded(btp(&folder, &format!("{APPLY} --dry-run{more}")));
        assert_eq!(text(&output.stdout), wet, "{more}");
    }
    let output = succeeded(btp(&folder, &format!("{APPLY} --dry-run --out-dir out")));
    let wet = format!("{wet}to be written: envoy.yaml (read when Envoy starts)\n");
    assert_eq!(text(&output.stdout), wet);
    assert_eq!(read(folder.join("out/envoy.yaml")), BEFORE);
    assert_eq!(names(&folder.join("out")), ["envoy.yaml", "wet.yaml"]);
    let nowhere = btp(&folder, &format!("{APPLY} --dry-run --out-dir nowhere"));
    assert_eq!(nowhere.status.code(), Some(1));
}
