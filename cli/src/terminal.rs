//! Messages to a person while a command works: on stderr, in colours where a terminal shows
//! them.
//!
//! A failed write is ignored: it is no reason to stop the work, and there is nowhere to
//! report it.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use btp_policy::Code;
use clap::builder::styling::{AnsiColor, Style};

/// How a result on stdout is set off, where that can be seen.
pub(crate) struct Styles {
    has_colours: bool,
}

/// As clap has it for headings.
const HEADING: Style = Style::new().bold();

/// As clap has it for wrong usage.
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// Whether stderr has colours: if it is a terminal, unless `NO_COLOR` is set, or with
/// `CLICOLOR_FORCE`. `--help` uses the same rule.
pub(crate) fn has_colours() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// The same of stdout.
pub(crate) fn has_colours_on_stdout() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

/// Whether stdout is a terminal on which every place can be written to.
pub(crate) fn has_whole_screen() -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|it| it == "dumb");
    io::stdout().is_terminal() && !is_dumb
}

impl Styles {
    /// Those for stdout, by the same rules as for stderr.
    pub(crate) fn of_stdout() -> Self {
        Self {
            has_colours: has_colours_on_stdout(),
        }
    }

    /// A name or a heading.
    pub(crate) fn bold(&self, text: &str) -> String {
        match self.has_colours {
            true => format!("{HEADING}{text}{HEADING:#}"),
            false => text.to_owned(),
        }
    }
}

/// Says a text as it is.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Says why a command fails, with the code of that if it has one.
pub(crate) fn say_error(code: Option<Code>, reason: &dyn Display) {
    let code = code.map(|it| format!("[{it}]")).unwrap_or_default();
    say(&match has_colours() {
        true => format!("{ERROR}error{code}:{ERROR:#} {reason}\n"),
        false => format!("error{code}: {reason}\n"),
    });
}
