//! `btp schema`: the JSON Schema of the filter's configuration, or of a policy.

use super::{Error, Outcome};
use crate::output;

/// Print the JSON Schema of the filter's configuration, or of a policy
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Print the schema of a BackendTrafficPolicy document, for editors
    #[arg(long)]
    policy: bool,
}

/// Prints it.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Error> {
    let schema = match arguments.policy {
        true => btp_policy::policy::json_schema(),
        false => btp_policy::config::json_schema(),
    };
    output::print(&format!("{schema:#}\n"))?;
    Ok(Outcome::Fine)
}
