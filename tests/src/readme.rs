//! Runs what a README shows: the curl commands of its ```` ```console ````
//! blocks, and compares what they print.
//!
//! In a block, `$ … curl …` is a command (continued while lines end with `\`)
//! and the lines up to the next `$` are its expected output. `...` on a line
//! of its own stands for any number of lines, `…` within a line for any text.
//! Other commands, and blocks of other languages, are for the reader only.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

const ANY_LINES: &str = "...";
const ANY_TEXT: char = '…';

/// A README's commands.
#[derive(Clone, Debug)]
pub struct Readme {
    file: String,
    steps: Vec<Step>,
}

/// One command and what it should print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Line number in the README.
    pub line: usize,
    /// The command, without `$`.
    pub command: String,
    /// The output, line by line.
    pub expected: Vec<String>,
}

impl Readme {
    /// Reads a README; one without a curl command is an error.
    pub fn load(file: &Path) -> Result<Self> {
        let name = file.display().to_string();
        let text = fs::read_to_string(file).with_context(|| format!("reading {name}"))?;
        let steps = parse(&text);
        if steps.is_empty() {
            bail!("{name} has no curl command in a console block");
        }
        Ok(Self { file: name, steps })
    }

    /// What comes before the first line with this text, and what comes after it: for what a
    /// reader does between two commands.
    pub fn split_at(self, text: &str) -> Result<(Self, Self)> {
        let lines = fs::read_to_string(&self.file)?;
        let at = lines.lines().position(|line| line.contains(text));
        let at = at.with_context(|| format!("{}: no line has {text:?}", self.file))?;
        let (before, after) = self.steps.into_iter().partition(|step| step.line <= at);
        let part = |steps| Self {
            file: self.file.clone(),
            steps,
        };
        Ok((part(before), part(after)))
    }

    /// The curl commands in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Runs every command after replacing texts in it, as in `("localhost:10000",
    /// "127.0.0.1:43210")`. The first wrong output is the error.
    pub async fn run(&self, replacements: &[(&str, String)]) -> Result<()> {
        for step in &self.steps {
            let mut command = step.command.clone();
            for (from, to) in replacements {
                command = command.replace(from, to);
            }
            let output = tokio::task::spawn_blocking(move || shell(&command)).await??;
            let actual = lines(&output);
            if !matches(&step.expected, &actual) {
                let Step { line, command, .. } = step;
                let difference = explain(&step.expected, &actual);
                bail!("{}:{line}: $ {command}\n{difference}", self.file);
            }
        }
        Ok(())
    }
}

fn shell(command: &str) -> Result<String> {
    let output = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {command}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut in_console = false;
    let mut in_curl = false;
    let mut input = text.lines().enumerate();
    while let Some((number, line)) = input.next() {
        if line.trim_start().starts_with("```") {
            in_console = !in_console && line.trim() == "```console";
            in_curl = false;
        } else if !in_console {
        } else if let Some(command) = line.strip_prefix("$ ") {
            let mut command = command.to_string();
            while command.ends_with('\\') {
                command.pop();
                command.push_str(input.next().map_or("", |(_, more)| more));
            }
            in_curl = command.contains("curl ");
            if in_curl {
                steps.push(Step {
                    line: number + 1,
                    command,
                    expected: Vec::new(),
                });
            }
        } else if in_curl && let Some(step) = steps.last_mut() {
            step.expected.push(line.trim_end().into());
        }
    }
    for step in &mut steps {
        drop_blank_end(&mut step.expected);
    }
    steps
}

pub(crate) fn lines(output: &str) -> Vec<String> {
    let mut lines: Vec<_> = output.lines().map(|l| l.trim_end().to_string()).collect();
    drop_blank_end(&mut lines);
    lines
}

pub(crate) fn drop_blank_end(lines: &mut Vec<String>) {
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
}

pub(crate) fn matches(expected: &[String], actual: &[String]) -> bool {
    match (expected.split_first(), actual.split_first()) {
        (None, _) => actual.is_empty(),
        (Some((first, rest)), _) if first == ANY_LINES => {
            (0..=actual.len()).any(|skipped| matches(rest, &actual[skipped..]))
        }
        (Some((first, rest)), Some((line, more))) => {
            line_matches(first, line) && matches(rest, more)
        }
        (Some(_), None) => false,
    }
}

fn line_matches(pattern: &str, line: &str) -> bool {
    let Some((head, tail)) = pattern.split_once(ANY_TEXT) else {
        return pattern == line;
    };
    let Some(rest) = line.strip_prefix(head) else {
        return false;
    };
    rest.char_indices()
        .map(|(at, _)| at)
        .chain([rest.len()])
        .any(|at| line_matches(tail, &rest[at..]))
}

/// Both texts whole, the first expected line that cannot be reached marked.
pub(crate) fn explain(expected: &[String], actual: &[String]) -> String {
    let good = (0..expected.len())
        .take_while(|count| {
            let mut start = expected[..=*count].to_vec();
            start.push(ANY_LINES.into());
            matches(&start, actual)
        })
        .count();
    let mut message = "expected:\n".to_owned();
    for (i, line) in expected.iter().enumerate() {
        let mark = if i == good { '-' } else { ' ' };
        let _ = writeln!(message, "{mark} {line}");
    }
    if good == expected.len() {
        message.push_str("- (end of output)\n");
    }
    message.push_str("printed:\n");
    for line in actual {
        let _ = writeln!(message, "  {line}");
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(lines: &[&str]) -> Vec<String> {
        lines.iter().map(ToString::to_string).collect()
    }

    fn matching(expected: &[&str], actual: &[&str]) -> bool {
        matches(&owned(expected), &owned(actual))
    }

    #[test]
    fn finds_curl_commands_in_console_blocks() {
        let readme = "\
# Title
```console
$ cargo xtask demo
built
$ curl -i \\
    localhost:10000/a
HTTP/1.1 200 OK

hello

$ curl -s localhost:10000/b
```
```sh
$ curl not-run
```
";
        let steps = parse(readme);
        assert_eq!(steps.len(), 2);
        assert_eq!(steps[0].line, 5);
        assert_eq!(steps[0].command, "curl -i     localhost:10000/a");
        assert_eq!(steps[0].expected, owned(&["HTTP/1.1 200 OK", "", "hello"]));
        assert_eq!(steps[1].command, "curl -s localhost:10000/b");
        assert!(steps[1].expected.is_empty());
    }

    #[test]
    fn carriage_returns_and_blank_ends_do_not_count() {
        assert_eq!(lines("a\r\n\r\nb\r\n\n"), owned(&["a", "", "b"]));
    }

    #[test]
    fn matches_line_by_line() {
        assert!(matching(&["a", "b"], &["a", "b"]));
        assert!(!matching(&["a", "b"], &["a"]));
        assert!(!matching(&["a"], &["a", "b"]));
        assert!(!matching(&[], &["a"]));
    }

    #[test]
    fn dots_match_any_lines() {
        assert!(matching(&["a", "...", "z"], &["a", "z"]));
        assert!(matching(&["a", "...", "z"], &["a", "b", "z", "c", "z"]));
        assert!(matching(&["..."], &[]));
        assert!(!matching(&["...", "z"], &["a"]));
    }

    #[test]
    fn an_ellipsis_matches_any_text() {
        assert!(line_matches("date: …", "date: today"));
        assert!(line_matches("a…c…e", "abcde"));
        assert!(line_matches("…", ""));
        assert!(line_matches("ü…ä", "üöä"));
        assert!(!line_matches("a…c", "abd"));
        assert!(!line_matches("a", "ab"));
    }

    #[test]
    fn a_mismatch_is_marked() {
        let message = explain(&owned(&["same", "other"]), &owned(&["same", "actual"]));
        assert_eq!(
            message,
            "expected:\n  same\n- other\nprinted:\n  same\n  actual\n"
        );
    }
}
