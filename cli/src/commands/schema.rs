//! `btp schema`: the JSON Schema of the filter's configuration.

use crate::output;

/// Prints it.
pub(super) fn run() -> Result<bool, String> {
    output::print(&format!("{:#}\n", btp_policy::schema::json_schema()))?;
    Ok(true)
}
