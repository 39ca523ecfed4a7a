//! `btp explain`: which policy applies where, from policies alone or for the routes of a
//! configuration.

mod answer;
mod bodies;
mod decisions;
mod policies;
mod routes;

use std::net::IpAddr;
use std::path::PathBuf;

use btp_policy::Code;
use btp_policy::scalar::Quantity;
use clap::Args;

use super::files::{Files, required};
use super::json::ReportFormat;
use super::{Error, Outcome};
use crate::diagnostics;
use crate::envoy::plugin::Build;
use crate::output;
use crate::plugin_config_builder::Instance;
use decisions::Known;
use routes::Question;

/// The arguments of `btp explain`.
#[derive(Args, Debug)]
#[command(group = required(&[]))]
pub(super) struct Arguments {
    #[command(flatten)]
    files: Files,
    /// Name of an Envoy route; by default every targeted route
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// The Envoy configuration that the policies are for, `-` for stdin: shows for each of
    /// its routes where each field is enforced
    #[arg(long, value_name = "FILE", conflicts_with_all = ["listener", "native_fields", "enforce"])]
    bootstrap: Option<PathBuf>,
    /// Explain the route that matches this request, such as "POST https://shop/api", and
    /// the filter's decisions; without a host, as in "GET /api", the first matching route
    /// of each listener
    #[arg(
        long,
        value_name = "REQUEST",
        requires = "bootstrap",
        conflicts_with = "route"
    )]
    request: Option<String>,
    /// A header of the request, such as "x-user: alice"; repeat it for several
    #[arg(
        short = 'H',
        long = "header",
        value_name = "NAME: VALUE",
        requires = "request",
        value_parser = Known::header
    )]
    headers: Vec<(String, String)>,
    /// The client's address, as Envoy determines it
    #[arg(long, value_name = "ADDRESS", requires = "request")]
    source_ip: Option<IpAddr>,
    /// The size of the request's body, such as 2Mi
    #[arg(long, value_name = "SIZE", requires = "request", value_parser = Known::size)]
    body_size: Option<Quantity>,
    /// Explain what `btp apply --module` does; by default, what it does for the build of
    /// the filter in the configuration
    #[arg(long, requires = "bootstrap")]
    module: bool,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
    #[command(flatten)]
    instance: Instance,
}

/// Explains; false if something was refused or nothing was found.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Error> {
    let Arguments {
        files,
        route,
        bootstrap,
        request,
        headers,
        source_ip,
        body_size,
        module,
        format,
        instance,
    } = arguments;
    if let Some(code) = files.only().filter(|it| Code::number_in(it).is_some()) {
        let code = diagnostics::code(code).map_err(Error::NoCode)?;
        output::print(&format!("{}\n", diagnostics::codes::section(code)))?;
        return Ok(Outcome::Fine);
    }
    let Some(bootstrap) = bootstrap else {
        return policies::run(files, route.as_deref(), instance, *format);
    };
    let known = Known {
        headers: headers.clone(),
        source: *source_ip,
        body: *body_size,
    };
    let question = match (route, request) {
        (_, Some(request)) => Question::Request(request, &known),
        (Some(route), None) => Question::Route(route),
        (None, None) => Question::All,
    };
    let build = module.then_some(Build::Module);
    routes::run(
        bootstrap,
        files,
        instance.gateway.as_deref(),
        build,
        question,
        *format,
    )
}
