//! `btp apply --out-dir` on files that an Envoy could be watching: what is
//! written and in which order, what is left alone, and what is refused.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const BTP: &str = env!("CARGO_BIN_EXE_btp");

const CDS: &str = r#"# clusters, by hand
resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: up   # both routes send here
"#;

const RDS: &str = r#"resources:
- "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
  name: table
  virtual_hosts:
  - name: all
    domains: ["*"]
    routes:
    - {name: shop, match: {prefix: /shop}, route: {cluster: up}}
    - {name: cart, match: {prefix: /cart}, route: {cluster: up}}
"#;

const LDS: &str = r#"resources:
- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: edge
  filter_chains:
  - filters:
    - name: hcm
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        rds: {route_config_name: table, config_source: {path_config_source: {path: LIVE/rds.yaml}}}
        http_filters: [{name: router}]
"#;

const BOOTSTRAP: &str = "node: {id: a, cluster: b}
dynamic_resources:
  lds_config: {path_config_source: {path: LIVE/lds.yaml}}
  cds_config: {path_config_source: {path: LIVE/cds.yaml}}
";

const ALL: [&str; 4] = ["cds.yaml", "envoy.yaml", "lds.yaml", "rds.yaml"];

/// What a run says that has given each phase a time.
const ADDED: &str = "written: cds.yaml\nthen: rds.yaml\n";

/// A folder of a test's own.
struct Folder(PathBuf);

impl Folder {
    /// With what a person wrote in `own`, and an empty `live`.
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("delivery-{name}"));
        let _ = fs::remove_dir_all(&folder);
        let it = Self(folder);
        for name in ["own", "live"] {
            fs::create_dir_all(it.0.join(name)).expect("can be made");
        }
        for (name, text) in [
            ("cds.yaml", CDS),
            ("rds.yaml", RDS),
            ("lds.yaml", LDS),
            ("envoy.yaml", BOOTSTRAP),
        ] {
            let text = text.replace("LIVE", &it.0.join("live").display().to_string());
            it.write(&format!("own/{name}"), &text);
        }
        it.set_connections(100);
        it
    }

    /// The policy of route `shop`.
    fn set_connections(&self, connections: u32) {
        let policy = format!(
            "kind: BackendTrafficPolicy\nmetadata: {{name: p}}\nspec:\n  targetRefs: [{{group: \
             gateway.networking.k8s.io, kind: HTTPRoute, name: shop}}]\n  circuitBreaker: \
             {{maxConnections: {connections}}}\n"
        );
        self.write("policy.yaml", &policy);
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("can be written");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).expect("is there")
    }

    fn live(&self, name: &str) -> String {
        self.read(&format!("live/{name}"))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.join("live")).expect("is a folder");
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("is text");
        let mut names: Vec<String> = entries.map(|it| name(it.expect("is there"))).collect();
        names.sort();
        names
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(BTP);
        command.arg("apply").args(arguments.split_whitespace());
        command.current_dir(&self.0);
        command
    }

    fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().expect("btp runs")
    }

    /// With policies or without, into `live`; gives what it says at its end.
    fn apply(&self, policies: &str, options: &str) -> String {
        let output = self.run(&format!(
            "--bootstrap own/envoy.yaml --out-dir live {policies} {options}"
        ));
        assert!(output.status.success(), "{}", text(&output.stderr));
        let said = text(&output.stdout);
        let at = said.find("written:").expect("says what is written");
        said[at..].to_owned()
    }

    /// Fails with an exit code and these words.
    fn fails(&self, options: &str, code: i32, words: &[&str]) {
        let output = self.run(&format!(
            "--bootstrap own/envoy.yaml --out-dir live {options}"
        ));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in {said}");
        }
    }
}

const WITH: &str = "-f policy.yaml";
const FAST: &str = "--wait 1ms";

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("prints UTF-8")
}

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
    assert_eq!(said, "written: nothing, as all files are so already\n");
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
    // The files are older than that.
    thread::sleep(Duration::from_millis(800));
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
        &["another btp apply writes to live", "run this one again"],
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

#[test]
fn options_for_a_folder_are_refused_without_one() {
    let folder = Folder::new("options");
    for (options, words) in [
        (
            "--admin localhost:9901",
            "--admin needs --out-dir DIR: phases are",
        ),
        ("--wait 1s -o x", "--wait needs --out-dir DIR: phases are"),
        ("--at-once", "--at-once needs --out-dir DIR: phases are"),
        (
            "--ecds /etc/envoy",
            "--ecds needs --out-dir DIR: the filter's",
        ),
    ] {
        let output = folder.run(&format!("--bootstrap own/envoy.yaml {options}"));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains(words) && said.contains("or leave --"),
            "{said}"
        );
    }
    folder.fails(
        "--admin http://localhost:9901",
        2,
        &["is HOST:PORT, without a scheme"],
    );
    folder.fails("--admin ::1", 2, &["without brackets: [::1]:PORT"]);
    folder.fails("--wait 1.5s", 2, &["must be a duration such as 500ms"]);
    folder.fails(
        "--at-once --admin localhost:9901",
        2,
        &["cannot be used with"],
    );
    assert!(folder.names().is_empty());
}

#[test]
fn two_files_of_one_name_have_no_place_in_one_folder() {
    let folder = Folder::new("names");
    fs::create_dir(folder.0.join("own/rds")).expect("can be made");
    fs::rename(
        folder.0.join("own/rds.yaml"),
        folder.0.join("own/rds/cds.yaml"),
    )
    .expect("can be moved");
    let lds = folder.read("own/lds.yaml");
    let live = folder.0.join("live/rds.yaml").display().to_string();
    folder.write("own/lds.yaml", &lds.replace(&live, "rds/cds.yaml"));
    folder.fails("", 1, &["--out-dir: cannot hold two files named cds.yaml"]);
    assert!(folder.names().is_empty());
}

/// Envoy refuses the whole file, so it is refused here.
#[test]
fn a_file_with_what_envoy_does_not_take_there_is_refused() {
    let folder = Folder::new("kinds");
    let table = RDS.replacen("resources:\n", "", 1);
    folder.write("own/cds.yaml", &format!("{CDS}{table}"));
    folder.fails(
        "",
        1,
        &["resources[1]: is a RouteConfiguration", "own/cds.yaml"],
    );
    folder.write("own/cds.yaml", CDS);
    let second = table.replace("name: table", "name: other");
    let rds = folder.read("own/rds.yaml");
    folder.write("own/rds.yaml", &format!("{rds}{second}"));
    folder.fails("", 1, &["resources[1]: is the second RouteConfiguration"]);
    folder.write("own/rds.yaml", &rds);
    let bootstrap = folder
        .read("own/envoy.yaml")
        .replace("live/lds.yaml", "live/cds.yaml");
    folder.write("own/envoy.yaml", &bootstrap);
    folder.fails("", 1, &["is named for resources of two kinds"]);
}

/// Answers as an admin interface whose counters never change; `None` where
/// this machine has no such address.
fn idle_envoy(address: &str) -> Option<SocketAddr> {
    let listener = TcpListener::bind(address).ok()?;
    let address = listener.local_addr().ok()?;
    let counters =
        "cluster_manager.cds.update_success: 1\nlistener_manager.lds.update_success: 1\n";
    let answer = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n{:x}\r\n{counters}\r\n0\r\n\r\n",
        counters.len()
    );
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("connects");
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap_or(0);
            assert!(
                request[..length].starts_with(b"GET /"),
                "asks for anything else"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    Some(address)
}

#[test]
fn an_envoy_that_takes_nothing_stops_the_run_and_the_clusters_of_before_are_there() {
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let Some(address) = idle_envoy(host) else {
            eprintln!("NOT TESTED on this machine: no address {host}");
            continue;
        };
        let folder = Folder::new("idle");
        folder.apply("", FAST);
        let rds = folder.live("rds.yaml");
        let words = [
            "cds.yaml is not taken (cluster_manager.cds.update_success) after 200ms",
            "written: cds.yaml\nnot written: rds.yaml\n",
            "No request is lost",
            "run this again",
        ];
        folder.fails(&format!("{WITH} --admin {address} --wait 200ms"), 3, &words);
        assert_eq!(folder.live("rds.yaml"), rds);
        assert!(folder.live("cds.yaml").starts_with(CDS));
        // Without it the same goes on from there.
        assert_eq!(folder.apply(WITH, FAST), "written: rds.yaml\n");
    }
}

#[test]
fn nobody_is_asked_where_nobody_can_be_watching_or_nothing_changes() {
    let folder = Folder::new("unasked");
    let nobody = TcpListener::bind("127.0.0.1:0")
        .expect("can be bound")
        .local_addr()
        .expect("has one");
    let options = format!("--admin {nobody}");
    folder.apply("", &options);
    folder.apply("", &options);
    folder.fails(
        &format!("{WITH} {options}"),
        2,
        &["cannot be asked", "Nothing is written"],
    );
    assert_eq!(folder.live("cds.yaml"), CDS);
}
