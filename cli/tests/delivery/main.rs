//! `btp apply --out-dir` on files that an Envoy could be watching: what is
//! written and in which order, and what is left alone.

mod asked;
mod folder;
mod limits;
mod refused;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use folder::{ADDED, ALL, CDS, FAST, Folder, WITH, text};

#[test]
fn the_first_run_writes_everything_at_once_and_a_second_nothing() {
    let folder = Folder::new("first");
    let began = Instant::now();
    let said = folder.apply(WITH, "--wait 1m");
    assert_eq!(said, "written: cds.yaml, rds.yaml, lds.yaml, envoy.yaml\n");
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(folder.names(), ALL);
    let numbers = || {
        ALL.map(|it| {
            fs::metadata(folder.0.join("live").join(it))
                .expect("is there")
                .ino()
        })
    };
    let before = numbers();
    let said = folder.apply(WITH, "--wait 1m");
    assert_eq!(said, "written: nothing, all files are up to date\n");
    assert_eq!(numbers(), before);
}

#[test]
fn only_what_changes_is_written_in_phases() {
    let folder = Folder::new("phases");
    folder.apply("", FAST);
    assert_eq!(folder.apply(WITH, FAST), ADDED);
    assert!(folder.live("cds.yaml").starts_with(CDS));
    let said = folder.apply("", FAST);
    assert_eq!(said, "written: rds.yaml\nthen: cds.yaml\n");
    assert_eq!(folder.live("cds.yaml"), CDS);
    assert_eq!(folder.live("rds.yaml"), folder.read("own/rds.yaml"));
    let dry = folder.run("--bootstrap own/envoy.yaml --out-dir live -f policy.yaml --dry-run");
    let planned = text(&dry.stdout);
    assert!(
        planned.ends_with("to be written: cds.yaml\nthen: rds.yaml\n"),
        "{planned}"
    );
    assert_eq!(folder.live("cds.yaml"), CDS);
    assert_eq!(folder.names(), ALL);
}

#[test]
fn each_phase_is_given_its_time() {
    let folder = Folder::new("time");
    folder.apply("", "--wait 1ms");
    let began = Instant::now();
    folder.apply(WITH, "--wait 700ms");
    assert!(began.elapsed() >= Duration::from_millis(700));
    // Files that are older than that are not waited for, but these are new.
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    for name in ALL {
        let file = File::options()
            .write(true)
            .open(folder.0.join("live").join(name))
            .expect("is there");
        file.set_modified(hour_ago).expect("can be set");
    }
    let began = Instant::now();
    folder.apply("", "--wait 700ms");
    assert!(began.elapsed() >= Duration::from_millis(700));
}

/// The files beside the bootstrap are a person's, and those where Envoy is
/// told to look are results, though both are there.
#[test]
fn results_are_no_input_where_the_same_file_is_beside_the_bootstrap() {
    let folder = Folder::new("input");
    folder.apply(WITH, FAST);
    let more = "- \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: more\n";
    folder.write("own/cds.yaml", &format!("{CDS}{more}"));
    assert_eq!(folder.apply(WITH, FAST), "written: cds.yaml\n");
    assert!(folder.live("cds.yaml").contains("name: more"));
    folder.write("own/cds.yaml", CDS);
    assert_eq!(folder.apply(WITH, FAST), "written: cds.yaml\n");
    assert!(!folder.live("cds.yaml").contains("name: more"));
}

#[test]
fn the_folder_may_be_that_of_the_input() {
    let folder = Folder::new("same");
    let run = |options: &str| {
        let output = folder.run(&format!(
            "--bootstrap live/envoy.yaml --out-dir live {FAST} {options}"
        ));
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    for name in ALL {
        fs::copy(
            folder.0.join("own").join(name),
            folder.0.join("live").join(name),
        )
        .expect("can be copied");
    }
    run(WITH);
    assert!(folder.live("rds.yaml").contains("up-default-p"));
    run("");
    for name in ALL {
        assert_eq!(folder.live(name), folder.read(&format!("own/{name}")));
    }
}

#[test]
fn a_run_that_is_killed_between_phases_is_ended_by_the_next() {
    for input in ["own", "live"] {
        let folder = Folder::new(&format!("killed-{input}"));
        folder.apply("", FAST);
        let arguments = format!("--bootstrap {input}/envoy.yaml --out-dir live {WITH}");
        let mut command = folder.command(&format!("{arguments} --wait 1m"));
        let mut child = command.stdout(Stdio::null()).spawn().expect("btp runs");
        let deadline = Instant::now() + Duration::from_secs(30);
        while folder.live("cds.yaml") == CDS {
            assert!(Instant::now() < deadline, "the first phase is not written");
            thread::sleep(Duration::from_millis(10));
        }
        child.kill().expect("can be killed");
        child.wait().expect("ends");
        assert_eq!(folder.names(), ALL, "something is left behind");
        assert!(!folder.live("rds.yaml").contains("up-default-p"));
        let output = folder.run(&format!("{arguments} {FAST}"));
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(folder.live("rds.yaml").contains("up-default-p"));
        // And back to the bytes of before.
        let output = folder.run(&format!(
            "--bootstrap {input}/envoy.yaml --out-dir live {FAST}"
        ));
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(folder.live("cds.yaml"), CDS);
        assert_eq!(folder.live("rds.yaml"), folder.read("own/rds.yaml"));
    }
}

#[test]
fn two_runs_at_once_do_not_mix() {
    let folder = Folder::new("lock");
    folder.apply("", FAST);
    let held = File::open(folder.0.join("live")).expect("is there");
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).expect("locks");
    folder.fails(
        WITH,
        2,
        &[
            "another btp apply is writing to live",
            "run this command again",
        ],
    );
    assert_eq!(folder.live("cds.yaml"), CDS);
    // To look, and to write elsewhere, nobody has to wait.
    let dry = folder.run("--bootstrap own/envoy.yaml --out-dir live -f policy.yaml --dry-run");
    assert!(dry.status.success());
    drop(held);
    assert_eq!(folder.apply(WITH, FAST), ADDED);
}

#[test]
fn modes_and_links_stay_and_links_are_put_anew_for_who_watches_the_folder() {
    let folder = Folder::new("links");
    folder.apply("", FAST);
    let live = folder.0.join("live");
    fs::create_dir(live.join("..v1")).expect("can be made");
    symlink("..v1", live.join("..data")).expect("can be linked");
    fs::rename(live.join("cds.yaml"), live.join("..v1/cds.yaml")).expect("can be moved");
    symlink("..data/cds.yaml", live.join("cds.yaml")).expect("can be linked");
    fs::set_permissions(live.join("rds.yaml"), Permissions::from_mode(0o640)).expect("can be set");
    let link = fs::symlink_metadata(live.join("cds.yaml")).expect("is there");
    folder.apply(WITH, FAST);
    let anew = fs::symlink_metadata(live.join("cds.yaml")).expect("is there");
    assert!(anew.is_symlink() && anew.ino() != link.ino());
    assert_eq!(
        fs::read_link(live.join("cds.yaml")).expect("is a link"),
        Path::new("..data/cds.yaml")
    );
    assert!(folder.live("..v1/cds.yaml").contains("up-default-p"));
    let mode = fs::metadata(live.join("rds.yaml"))
        .expect("is there")
        .mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(
        folder.names(),
        [
            "..data",
            "..v1",
            "cds.yaml",
            "envoy.yaml",
            "lds.yaml",
            "rds.yaml"
        ]
    );
}
