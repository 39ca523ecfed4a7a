//! Runs `btp` as a person would, in a folder.

#![allow(dead_code, reason = "not every test gives input")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// How a run without input ended, what it printed, and what it said.
pub(crate) fn btp(folder: &Path, arguments: &str) -> (i32, String, String) {
    btp_with(folder, arguments, "")
}

/// The same of a run whose stdin this is.
pub(crate) fn btp_with(folder: &Path, arguments: &str, stdin: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_btp"));
    command
        .args(arguments.split_whitespace())
        .current_dir(folder);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("btp runs");
    let mut pipe = child.stdin.take().expect("is piped");
    // Who refuses its arguments does not read it.
    let _ = pipe.write_all(stdin.as_bytes());
    drop(pipe);
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().expect("ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("prints UTF-8");
    (
        status.code().expect("ends by itself"),
        text(stdout),
        text(stderr),
    )
}
