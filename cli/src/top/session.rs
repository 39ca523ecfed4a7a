//! A live view on the whole screen of a terminal. However it ends, by a key, a signal, an
//! error or a panic, it restores the terminal.

use std::io::{self, Stdout, stdout};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

use ratatui_core::terminal::Terminal;
use ratatui_crossterm::CrosstermBackend;
use ratatui_crossterm::crossterm::cursor::{Hide, Show};
use ratatui_crossterm::crossterm::event::{
    self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers,
};
use ratatui_crossterm::crossterm::execute;
use ratatui_crossterm::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::flag::register_usize;
use signal_hook::low_level::emulate_default_handler;

use super::error::Error;
use super::model::{Key, Model, Next};
use super::poll;
use super::reading::{Reading, Source};
use super::screen::{self, Look};
use super::view::View;

/// Between two looks at keys, answers and signals.
const TICK: Duration = Duration::from_millis(100);

const SECOND: Duration = Duration::from_secs(1);

/// How old a look may be, beyond the interval, before its age is shown.
const LATE: Duration = Duration::from_secs(3);

/// Signals that end a program.
const ENDS: [i32; 3] = [SIGHUP, SIGINT, SIGTERM];

/// What is shown, and of whom.
pub(super) struct Session {
    pub(super) source: Source,
    pub(super) interval: Duration,
    pub(super) look: Look,
    pub(super) model: Model,
}

/// The screen; it is given back when dropped.
struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Session {
    /// Shows what an Envoy says, from the first look on, until a person has seen enough.
    pub(super) fn run(mut self, first: Reading) -> Result<(), Error> {
        let signal = Arc::new(AtomicUsize::new(0));
        for end in ENDS {
            let number = usize::try_from(end).unwrap_or_default();
            register_usize(end, Arc::clone(&signal), number).map_err(Error::Terminal)?;
        }
        give_back_at_a_panic();
        let mut screen = Screen::take().map_err(Error::Terminal)?;
        let done = self.watch(&mut screen, &signal, first);
        drop(screen);
        let signal = i32::try_from(signal.load(Ordering::Relaxed)).unwrap_or_default();
        if ENDS.contains(&signal) {
            // Who sent it sees that it was heeded.
            emulate_default_handler(signal).map_err(Error::Terminal)?;
        }
        done
    }

    fn watch(
        &mut self,
        screen: &mut Screen,
        signal: &AtomicUsize,
        first: Reading,
    ) -> Result<(), Error> {
        self.model.show(View::between(None, &first));
        let mut before = first;
        let answers = poll::start(self.source.clone(), self.interval);
        let mut drawn = None;
        while signal.load(Ordering::Relaxed) == 0 {
            match answers.try_recv() {
                Ok(Ok(reading)) => {
                    self.model.trouble = None;
                    self.model.show(View::between(Some(&before), &reading));
                    before = reading;
                    drawn = None;
                }
                Ok(Err(error)) => self.model.trouble = Some((error.to_string(), before.at)),
                // It has panicked, and said so.
                Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) => self.notice_delay(before.at),
            }
            // The age of what is shown goes on.
            let has_aged = |it: Instant| self.model.trouble.is_some() && it.elapsed() > SECOND;
            if drawn.is_none_or(has_aged) {
                self.draw(screen).map_err(Error::Terminal)?;
                drawn = Some(Instant::now());
            }
            let mut patience = TICK;
            while event::poll(patience).map_err(Error::Terminal)? {
                patience = Duration::ZERO;
                drawn = None;
                let Some(key) = key_of(&event::read().map_err(Error::Terminal)?) else {
                    continue;
                };
                match self.model.press(key) {
                    Next::Go => {}
                    Next::Quit => return Ok(()),
                    Next::Suspend => screen.suspend().map_err(Error::Terminal)?,
                }
            }
        }
        Ok(())
    }

    /// Says so if an answer has been due for a while.
    fn notice_delay(&mut self, last: Instant) {
        if self.model.trouble.is_none() && last.elapsed() > self.interval + LATE {
            let words = format!("{} has not answered since", self.source.address);
            self.model.trouble = Some((words, last));
        }
    }

    fn draw(&mut self, screen: &mut Screen) -> io::Result<()> {
        let Self {
            source,
            look,
            model,
            ..
        } = self;
        screen.terminal.draw(|frame| {
            let now = Instant::now();
            screen::draw(frame.buffer_mut(), model, &source.address, *look, now);
        })?;
        Ok(())
    }
}

impl Screen {
    fn take() -> io::Result<Self> {
        enter().inspect_err(|_| leave())?;
        Ok(Self {
            terminal: Terminal::new(CrosstermBackend::new(stdout())).inspect_err(|_| leave())?,
        })
    }

    /// Stops, as other programs do when a person wants the shell for a while.
    fn suspend(&mut self) -> io::Result<()> {
        leave();
        emulate_default_handler(SIGTSTP)?;
        enter()?;
        // One that takes the screen to be empty, as it is.
        self.terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, Hide)
}

/// Nothing can be done if the terminal is gone.
fn leave() {
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

/// Shows the message of a panic on the former screen. The terminal must be restored here,
/// because a build that aborts drops nothing.
fn give_back_at_a_panic() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        leave();
        before(what);
    }));
}

/// The key that was pressed, if it is one that matters.
fn key_of(event: &Event) -> Option<Key> {
    let Event::Key(KeyEvent {
        code,
        modifiers,
        kind: KeyEventKind::Press | KeyEventKind::Repeat,
        ..
    }) = event
    else {
        return None;
    };
    if modifiers.contains(KeyModifiers::CONTROL) {
        return match code {
            KeyCode::Char('c') => Some(Key::Interrupt),
            KeyCode::Char('z') => Some(Key::Suspend),
            _ => None,
        };
    }
    Some(match code {
        KeyCode::Char(letter) => Key::Char(*letter),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Tab | KeyCode::BackTab => Key::Tab,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs::File;
    use std::io::Read;
    use std::mem;
    use std::os::fd::OwnedFd;
    use std::process::{Command, Stdio};

    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::tcgetattr;

    use super::*;

    /// Has the test below panic, in a process of its own.
    const PANICS: &str = "BTP_TOP_PANICS";

    #[test]
    fn a_panic_gives_the_screen_back_before_it_is_told() {
        if env::var_os(PANICS).is_some() {
            give_back_at_a_panic();
            // As where it is built to abort, nothing is dropped.
            mem::forget(Screen::take());
            panic!("planted");
        }
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("can be opened");
        grantpt(&terminal).expect("is ours");
        unlockpt(&terminal).expect("is ours");
        let name = ptsname(&terminal, Vec::new()).expect("has a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let end: OwnedFd = rustix::fs::open(&name, flags, Mode::empty()).expect("can be opened");
        let stdio = || Stdio::from(end.try_clone().expect("is open"));
        let mut command = Command::new(env::current_exe().expect("is this test"));
        let test = "top::session::tests::a_panic_gives_the_screen_back_before_it_is_told";
        command
            .args(["--exact", test, "--nocapture"])
            .env(PANICS, "1");
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        let modes = || tcgetattr(&end).expect("is a terminal").local_modes;
        let before = modes();
        let mut child = command.spawn().expect("runs");
        drop(command);
        let status = child.wait().expect("ends");
        let after = modes();
        drop(end);
        let mut written = Vec::new();
        // Linux ends it with an error.
        let _ = File::from(terminal).read_to_end(&mut written);
        let written = String::from_utf8_lossy(&written);
        assert!(!status.success(), "{written}");
        assert_eq!(after, before, "{written}");
        let places = ["\u{1b}[?1049h", "\u{1b}[?1049l", "\u{1b}[?25h", "planted"];
        let places = places.map(|it| written.find(it));
        assert!(
            places.iter().all(Option::is_some) && places.is_sorted(),
            "{written:?}"
        );
    }
}
