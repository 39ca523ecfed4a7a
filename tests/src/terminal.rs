//! A shell on a pseudo-terminal, given one command after another as a person types them: what
//! it shows is what the person would see, errors, colours and progress meters included.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Around the exit status, which the shell shows after each command.
const MARK: char = '\u{1e}';

/// The longest command waits for half a minute.
const PATIENCE: Duration = Duration::from_secs(300);

/// A shell; it ends with what it has started when dropped.
#[derive(Debug)]
pub struct Terminal {
    shell: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
}

/// What a command has shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Without colours, and with plain ends of lines.
    pub text: String,
    /// Whether there were colours.
    pub coloured: bool,
    /// The exit status.
    pub status: i32,
}

impl Terminal {
    /// Opens a terminal with a shell, for which the caller chooses folder and environment.
    pub fn open(edit: impl FnOnce(&mut Command)) -> Result<Self> {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&terminal)?;
        unlockpt(&terminal)?;
        let name = ptsname(&terminal, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let end: OwnedFd = rustix::fs::open(&name, flags, Mode::empty())?;
        let mut shell = Command::new("sh");
        shell
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::from(end.try_clone()?))
            .stderr(Stdio::from(end))
            // What is started in the background ends with it.
            .process_group(0);
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
            shell.env_remove(name);
        }
        edit(&mut shell);
        let mut child = shell.spawn().context("running sh")?;
        let input = child.stdin.take().context("no input of the shell")?;
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut terminal = File::from(terminal);
            let mut bytes = [0; 4096];
            // Linux ends it with an error.
            while let Ok(count @ 1..) = terminal.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            shell: child,
            input,
            output,
        })
    }

    /// Has the shell run a command, and waits until it has ended.
    pub fn run(&mut self, command: &str) -> Result<Shown> {
        // In braces folder and variables stay as the command leaves them.
        let line = format!("{{\n{command}\n}} < /dev/null\nprintf '\\036%d\\036' $?\n");
        self.input.write_all(line.as_bytes())?;
        let started = Instant::now();
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes);
            let mut parts = text.splitn(3, MARK);
            if let (Some(shown), Some(status), Some(_)) = (parts.next(), parts.next(), parts.next())
            {
                return Ok(Shown {
                    coloured: shown.contains("\u{1b}["),
                    text: plain(shown),
                    status: status.parse()?,
                });
            }
            let left = PATIENCE.saturating_sub(started.elapsed());
            match self.output.recv_timeout(left) {
                Ok(more) => bytes.extend(more),
                Err(RecvTimeoutError::Timeout) => bail!("it does not end:\n{text}"),
                Err(RecvTimeoutError::Disconnected) => bail!("the shell has ended:\n{text}"),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let group = format!("-{}", self.shell.id());
        let _ = Command::new("kill")
            .args(["-s", "KILL", "--", &group])
            .status();
        let _ = self.shell.wait();
    }
}

/// A text without the sequences that colour it or make links of it, and with plain ends of
/// lines.
fn plain(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let mut pieces = text.split('\u{1b}');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        // A colour, the target of a link, and the end of that.
        let ends = [('[', "m"), (']', "\u{7}"), ('\\', "\\")];
        let of_it = ends.iter().find(|(begin, _)| piece.starts_with(*begin));
        let shown = match of_it {
            Some((_, end)) => piece.split_once(end).map_or("", |(_, shown)| shown),
            None => piece,
        };
        out.push_str(shown);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_remembers_and_shows_what_a_person_sees() {
        let open = Terminal::open(|shell| {
            shell.current_dir("/");
        });
        let mut terminal = open.unwrap();
        let cases = [
            ("cd /tmp; here=yes", "", 0),
            ("pwd; echo $here", "/tmp\nyes\n", 0),
            ("echo wrong >&2; false", "wrong\n", 1),
            ("cat <<'END'\na $b\nEND", "a $b\n", 0),
            ("test -t 1 && cat", "", 0),
            ("sleep 100 &", "", 0),
        ];
        for (command, text, status) in cases {
            let shown = terminal.run(command).unwrap();
            assert_eq!(
                (shown.text.as_str(), shown.status),
                (text, status),
                "{command}"
            );
            assert!(!shown.coloured);
        }
        let shown = terminal.run("printf '\\033[31mred\\033[0m'").unwrap();
        assert!(shown.coloured && shown.text == "red", "{shown:?}");
        let link = "printf 'a \\033]8;;http://x/\\033\\\\http://x/\\033]8;;\\033\\\\ b'";
        let shown = terminal.run(link).unwrap();
        assert!(
            !shown.coloured && shown.text == "a http://x/ b",
            "{shown:?}"
        );
    }
}
