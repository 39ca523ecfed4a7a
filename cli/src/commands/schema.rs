//! `btp schema`: the JSON Schema of the filter's configuration.

use super::{Error, Outcome};
use crate::output;

/// Prints it.
pub(super) fn run() -> Result<Outcome, Error> {
    output::print(&format!("{:#}\n", btp_policy::config::json_schema()))?;
    Ok(Outcome::Fine)
}
