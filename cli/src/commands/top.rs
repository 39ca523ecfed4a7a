//! `btp top`: what the filter does in a running Envoy.

use std::time::Duration;

use btp_policy::scalar;
use clap::Args;

use super::json::ReportFormat;
use super::{Error, Outcome};
use crate::host_port::HostPort;
use crate::terminal;
use crate::top::Options;

/// The longest interval: nobody waits longer for a first line.
const LONGEST: Duration = Duration::from_secs(3600);

/// The arguments of `btp top`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The admin interface of Envoy
    #[arg(long, value_name = "HOST:PORT")]
    admin: HostPort,
    /// The time between two readings, over which rates are computed
    #[arg(long, value_name = "DURATION", value_parser = interval, default_value = "2s")]
    interval: Duration,
    /// Read twice, print the result, and exit
    #[arg(long)]
    once: bool,
    /// How to print it: without --once, json prints a line after each interval
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
    /// Show counters since Envoy's start instead of rates; the key t switches between them
    #[arg(long)]
    totals: bool,
    /// Also show the filter's debug metrics
    #[arg(long)]
    debug: bool,
}

/// Shows it.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Error> {
    let Arguments {
        admin,
        interval,
        once,
        format,
        totals,
        debug,
    } = arguments;
    let options = Options {
        address: admin.clone(),
        interval: *interval,
        shows_totals: *totals,
        with_debug: *debug,
    };
    match (format, once) {
        (ReportFormat::Json, true) => options.print_object()?,
        (ReportFormat::Json, false) => options.print_objects()?,
        (ReportFormat::Text, true) => options.print_table()?,
        (ReportFormat::Text, false) => match terminal::has_whole_screen() {
            true => options.watch()?,
            false => {
                terminal::say("stdout is not a terminal with a screen: a table, as with --once\n");
                options.print_table()?;
            }
        },
    }
    Ok(Outcome::Fine)
}

fn interval(text: &str) -> Result<Duration, String> {
    let duration = scalar::Duration::parse(text).map(|it| Duration::from_nanos(it.as_nanos()));
    let least = Duration::from_millis(100);
    duration
        .filter(|it| (least..=LONGEST).contains(it))
        .ok_or_else(|| "must be a duration from 100ms to 1h, such as 500ms, 2s or 1m".to_owned())
}
