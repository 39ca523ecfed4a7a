//! A terminal with `btp top` on it, and a person who types.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use super::admin::Admin;
use super::screen::Screen;

const PATIENCE: Duration = Duration::from_secs(60);

/// The screen of its own is entered and left, and the cursor is there again.
const ENTERED: &str = "\u{1b}[?1049h";
const LEFT: &str = "\u{1b}[?1049l";
const CURSOR: &str = "\u{1b}[?25h";

pub(crate) struct Terminal {
    child: Child,
    keys: File,
    /// Kept open, so that its modes can be read when `btp` has ended.
    end: OwnedFd,
    output: Receiver<Vec<u8>>,
    /// All that was written.
    written: String,
    screen: Screen,
}

impl Terminal {
    pub(crate) fn start(admin: &Admin, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("can be opened");
        grantpt(&terminal).expect("is ours");
        unlockpt(&terminal).expect("is ours");
        let name = ptsname(&terminal, Vec::new()).expect("has a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let end: OwnedFd = rustix::fs::open(&name, flags, Mode::empty()).expect("can be opened");
        tcsetwinsize(&end, size(120, 30)).expect("is a terminal");
        let mut command = Command::new(env!("CARGO_BIN_EXE_btp"));
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
            command.env_remove(name);
        }
        command
            .args(["top", "--admin", &admin.address.to_string()])
            .args(arguments)
            .env("TERM", "xterm")
            .envs(variables.iter().copied())
            .stdin(Stdio::from(end.try_clone().expect("is open")))
            .stdout(Stdio::from(end.try_clone().expect("is open")))
            .stderr(Stdio::from(end.try_clone().expect("is open")));
        let child = command.spawn().expect("btp runs");
        let keys = File::from(terminal);
        let mut reader = keys.try_clone().expect("is open");
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Linux ends it with an error.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            keys,
            end,
            output,
            written: String::new(),
            screen: Screen::new(120, 30),
        }
    }

    /// How the terminal is set.
    pub(crate) fn modes(&self) -> String {
        let Termios {
            input_modes,
            output_modes,
            control_modes,
            local_modes,
            ..
        } = tcgetattr(&self.end).expect("is a terminal");
        format!("{input_modes:?} {output_modes:?} {control_modes:?} {local_modes:?}")
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("is open");
    }

    /// Waits until this is on the screen.
    pub(crate) fn wait_for(&mut self, text: &str) {
        self.wait_until(text, |it| it.screen.text().contains(text));
    }

    /// Waits until this is on the screen no more.
    pub(crate) fn wait_for_no(&mut self, text: &str) {
        self.wait_until(text, |it| !it.screen.text().contains(text));
    }

    fn wait_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            let shown = self.screen.text();
            assert!(begun.elapsed() < PATIENCE, "{what:?}: it shows\n{shown}");
            self.hear(Duration::from_millis(50));
        }
    }

    /// Takes in what is shown next; whether there was something.
    fn hear(&mut self, patience: Duration) -> bool {
        match self.output.recv_timeout(patience) {
            Ok(bytes) => {
                // A letter may be in two pieces, and none of those matter.
                let text = String::from_utf8_lossy(&bytes);
                self.written.push_str(&text);
                self.screen.write(&text);
                true
            }
            Err(_) => false,
        }
    }

    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        while self.hear(Duration::ZERO) {}
        self.screen = Screen::new(usize::from(columns), usize::from(rows));
        tcsetwinsize(&self.end, size(columns, rows)).expect("is a terminal");
        // It is not the terminal of the child's session, which the kernel would tell.
        self.signal(Signal::WINCH);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it runs");
    }

    /// Waits until the child has stopped.
    pub(crate) fn is_stopped(&self) {
        let stopped = waitid(WaitId::Pid(self.pid()), WaitIdOptions::STOPPED);
        let stopped = stopped.expect("is a child").expect("has news");
        assert!(stopped.stopped(), "{stopped:?}");
    }

    /// Waits until the screen is given back and the terminal is set as it was.
    pub(crate) fn is_restored(&mut self, before: &str) {
        self.wait_until("restored", |it| {
            let left = it.written.rfind(LEFT);
            let is_left = left.is_some() && left > it.written.rfind(ENTERED);
            is_left && it.written.ends_with(CURSOR) && it.modes() == before
        });
    }

    /// Waits for the end; with all that was written.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let begun = Instant::now();
        let status = loop {
            self.hear(Duration::from_millis(20));
            if let Some(status) = self.child.try_wait().expect("is a child") {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
        };
        while self.hear(Duration::from_millis(100)) {}
        (status, std::mem::take(&mut self.written))
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}
