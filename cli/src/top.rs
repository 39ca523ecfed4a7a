//! Shows what the filter does in a running Envoy, by the statistics of its admin interface:
//! one table, objects for programs, or a live view.

mod error;
mod figures;
mod health;
mod json;
mod model;
mod poll;
mod reading;
#[cfg(test)]
mod sample;
mod screen;
mod session;
mod stats;
mod table;
mod text;
mod view;

use std::thread;
use std::time::Duration;

pub(crate) use error::Error;

use crate::host_port::HostPort;
use crate::output;
use crate::terminal;
use model::Model;
use reading::{Reading, Source};
use screen::Look;
use session::Session;
use view::View;

/// What to look at, and how to show it.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) address: HostPort,
    /// Between two looks.
    pub(crate) interval: Duration,
    /// Whether totals are shown at first, and not rates.
    pub(crate) shows_totals: bool,
    /// Whether what is counted to look for faults is shown, too.
    pub(crate) with_debug: bool,
}

impl Options {
    fn source(&self) -> Source {
        Source {
            address: self.address.clone(),
            with_debug: self.with_debug,
        }
    }

    /// Prints a table.
    ///
    /// # Errors
    /// Nobody answers, or no filter counts there, or it cannot be printed.
    pub(crate) fn print_table(&self) -> Result<(), Error> {
        let view = self.look_twice()?;
        let mut model = Model::new(self.shows_totals);
        model.show(view);
        output::print(&text::page(&self.address, &model))?;
        Ok(())
    }

    /// Prints an object for programs.
    ///
    /// # Errors
    /// As of [`Self::print_table`].
    pub(crate) fn print_object(&self) -> Result<(), Error> {
        let view = self.look_twice()?;
        output::print(&json::text(&self.address, &view, true))?;
        Ok(())
    }

    /// Prints an object on a line of its own after each interval, as long as somebody reads.
    /// Later on, an Envoy that does not answer is waited for.
    ///
    /// # Errors
    /// Nobody answers at first, or it cannot be printed.
    pub(crate) fn print_objects(&self) -> Result<(), Error> {
        let source = self.source();
        let mut before = source.ask()?;
        loop {
            thread::sleep(self.interval);
            match source.ask() {
                Ok(now) => {
                    let view = View::between(Some(&before), &now);
                    let line = json::text(&self.address, &view, false);
                    if !output::print_while_read(&line)? {
                        return Ok(());
                    }
                    before = now;
                }
                Err(error) => terminal::say_error(None, &error),
            }
        }
    }

    /// Shows a view that goes on.
    ///
    /// # Errors
    /// Nobody answers at first, or the terminal cannot be used.
    pub(crate) fn watch(&self) -> Result<(), Error> {
        let source = self.source();
        let first = source.ask()?;
        let session = Session {
            interval: self.interval,
            look: Look {
                has_colours: terminal::has_colours_on_stdout(),
            },
            model: Model::new(self.shows_totals),
            source,
        };
        session.run(first)
    }

    /// A view that has rates.
    fn look_twice(&self) -> Result<View, Error> {
        let source = self.source();
        let before = source.ask()?;
        thread::sleep(self.interval);
        let now: Reading = source.ask()?;
        match now.has_filter() {
            true => Ok(View::between(Some(&before), &now)),
            false => Err(Error::NoFilter(self.address.clone())),
        }
    }
}
