//! `btp` beside other programs: behind a pipe that nobody reads to its end, and on
//! terminals that show colours or do not.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// What decides about colours, and may be set around these tests.
const ABOUT_COLOURS: [&str; 5] = ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM", "CI"];

const WRONG: &str = "lint wrong.yaml";

/// A folder of a test's own, with a bootstrap, a policy and a wrong one in it.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("terminal-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("can be made");
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/apply");
    for file in ["envoy.yaml", "policy.yaml"] {
        fs::copy(case.join(file), folder.join(file)).expect("can be copied");
    }
    let policy = fs::read_to_string(folder.join("policy.yaml")).expect("is there");
    let wrong = policy.replacen("spec:\n", "spec:\n  timeouts: {}\n", 1);
    fs::write(folder.join("wrong.yaml"), wrong).expect("can be written");
    folder
}

fn btp(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_btp"));
    for name in ABOUT_COLOURS {
        command.env_remove(name);
    }
    command.args(arguments.split_whitespace());
    command.current_dir(folder);
    command
}

/// The end of a pipe that nobody reads from any more.
fn unread() -> Stdio {
    let (reader, writer) = io::pipe().expect("can be made");
    drop(reader);
    writer.into()
}

fn run(mut command: Command) -> Output {
    command.output().expect("btp runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("prints UTF-8")
}

/// Every command, refusing and not, with what it ends with.
const RUNS: [(&str, i32); 18] = [
    ("--help", 0),
    ("--version", 0),
    ("apply --help", 0),
    ("lint", 2),
    (WRONG, 1),
    ("lint --format json wrong.yaml", 1),
    ("lint --format github wrong.yaml", 1),
    ("lint --format json policy.yaml", 0),
    ("explain policy.yaml", 0),
    ("explain wrong.yaml", 1),
    ("explain --bootstrap envoy.yaml policy.yaml", 0),
    (
        "explain --bootstrap envoy.yaml --route nowhere policy.yaml",
        1,
    ),
    ("plugin-config -f policy.yaml --native-fields ignore", 0),
    ("schema", 0),
    ("completions zsh", 0),
    ("apply --bootstrap envoy.yaml -f policy.yaml", 0),
    ("apply --bootstrap envoy.yaml -f policy.yaml --diff", 1),
    ("apply --bootstrap envoy.yaml -f wrong.yaml --diff", 2),
];

#[test]
fn a_command_ends_as_it_would_where_nobody_reads() {
    let folder = folder("unread");
    for (arguments, code) in RUNS {
        let heard = run(btp(&folder, arguments));
        assert_eq!(heard.status.code(), Some(code), "{arguments}");

        let mut command = btp(&folder, arguments);
        command.stdout(unread()).stderr(Stdio::piped());
        let child = command.spawn().expect("btp runs");
        drop(command);
        let output = child.wait_with_output().expect("ends");
        assert_eq!(output.status.code(), Some(code), "{arguments} > no one");
        assert_eq!(text(&output.stderr), text(&heard.stderr), "{arguments}");

        let mut command = btp(&folder, arguments);
        command.stdout(Stdio::piped()).stderr(unread());
        let child = command.spawn().expect("btp runs");
        drop(command);
        let output = child.wait_with_output().expect("ends");
        assert_eq!(output.status.code(), Some(code), "{arguments} 2> no one");
        assert_eq!(text(&output.stdout), text(&heard.stdout), "{arguments}");
    }
}

/// As `btp schema | head -1`: the reader goes while there is more than a pipe holds.
#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let folder = folder("leaves");
    let mut command = btp(&folder, "schema");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("btp runs");
    let mut stdout = child.stdout.take().expect("is piped");
    let mut first = [0; 2];
    stdout.read_exact(&mut first).expect("prints");
    drop(stdout);
    let output = child.wait_with_output().expect("ends");
    assert_eq!(&first, b"{\n");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
}

/// A full disk is an error, unlike a reader that left.
#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_an_error() {
    let folder = folder("full");
    let full = File::options().write(true).open("/dev/full");
    let full = full.expect("Linux has it");
    for arguments in [
        "schema",
        "lint --format json policy.yaml",
        "explain policy.yaml",
    ] {
        let mut command = btp(&folder, arguments);
        command.stdout(full.try_clone().expect("is open"));
        let output = run(command);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {said}");
        let last = said.lines().last().unwrap_or_default();
        assert!(
            last.starts_with("error: cannot write to stdout: "),
            "{said}"
        );
    }
}

/// A text without the sequences that colour it.
fn plain(text: &str) -> String {
    let mut pieces = text.split('\u{1b}');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (_, shown) = piece.split_once('m').expect("only colours");
        out.push_str(shown);
    }
    out
}

fn is_coloured(text: &str) -> bool {
    text.contains('\u{1b}')
}

type Variables = &'static [(&'static str, &'static str)];

/// Whether there are colours where nothing is a terminal.
const BEHIND_A_PIPE: [(Variables, bool); 5] = [
    (&[], false),
    (&[("CLICOLOR_FORCE", "1")], true),
    (&[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")], true),
    (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
    (&[("CLICOLOR", "1")], false),
];

#[test]
fn colours_can_be_forced_and_refused() {
    let folder = folder("forced");
    for arguments in [
        WRONG,
        "apply --bootstrap envoy.yaml -f wrong.yaml",
        "apply --bootstrap nowhere.yaml -f policy.yaml",
        "explain --bootstrap envoy.yaml --route nowhere policy.yaml",
        "lint --no-such-option",
    ] {
        let without = text(&run(btp(&folder, arguments)).stderr);
        assert!(
            without.contains("error: ") || without.contains("error[BTP"),
            "{without}"
        );
        for (variables, coloured) in BEHIND_A_PIPE {
            let mut command = btp(&folder, arguments);
            command.envs(variables.iter().copied());
            let said = text(&run(command).stderr);
            assert_eq!(is_coloured(&said), coloured, "{variables:?} {arguments}");
            assert_eq!(plain(&said), without, "{variables:?} {arguments}");
        }
    }
}

#[test]
fn what_programs_read_has_no_colours() {
    let folder = folder("programs");
    for (arguments, _) in RUNS {
        if arguments.contains("--help") {
            continue;
        }
        let mut command = btp(&folder, arguments);
        command.env("CLICOLOR_FORCE", "1");
        assert!(!is_coloured(&text(&run(command).stdout)), "{arguments}");
    }
}

/// What a command says on a terminal of its own.
fn on_a_terminal(mut command: Command) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("can be opened");
    grantpt(&terminal).expect("is ours");
    unlockpt(&terminal).expect("is ours");
    let name = ptsname(&terminal, Vec::new()).expect("has a name");
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let end: OwnedFd = rustix::fs::open(&name, flags, Mode::empty()).expect("can be opened");
    command.stdout(Stdio::null()).stderr(Stdio::from(end));
    let mut child = command.spawn().expect("btp runs");
    // With the last one that has the terminal open, its text ends.
    drop(command);
    let mut said = Vec::new();
    // Linux ends it with an error.
    let _ = File::from(terminal).read_to_end(&mut said);
    child.wait().expect("ends");
    text(&said).replace("\r\n", "\n")
}

#[test]
fn a_terminal_has_colours_unless_they_are_refused() {
    let folder = folder("pseudo");
    let without = text(&run(btp(&folder, WRONG)).stderr);
    let cases: [(Variables, bool); 6] = [
        (&[("TERM", "xterm")], true),
        (&[("TERM", "xterm"), ("NO_COLOR", "1")], false),
        (&[("TERM", "xterm"), ("NO_COLOR", "")], true),
        (&[("TERM", "xterm"), ("CLICOLOR", "0")], false),
        (&[("TERM", "dumb")], false),
        (&[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")], true),
    ];
    for (variables, coloured) in cases {
        let mut command = btp(&folder, WRONG);
        command.envs(variables.iter().copied());
        let said = on_a_terminal(command);
        assert_eq!(is_coloured(&said), coloured, "{variables:?} {said}");
        assert_eq!(plain(&said), without, "{variables:?}");
    }
}
