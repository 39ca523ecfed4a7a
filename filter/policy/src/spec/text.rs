//! Bodies and header values, in which `%` has a meaning for Envoy.

use crate::problem::Problems;
use crate::read::At;

/// The text that `template` stands for: `%%` is a percent sign. Envoy's
/// command operators (`%RESPONSE_CODE%`, …) are refused, so that no client
/// ever gets to see one unexpanded.
pub fn read_text(at: At<'_>, template: &str, problems: &mut Problems) -> Option<String> {
    let parts: Vec<&str> = template.split("%%").collect();
    if parts.iter().any(|part| part.contains('%')) {
        at.refuse(
            problems,
            "contains a command operator, which this version of the filter does not expand; \
             write %% for a percent sign",
        );
        return None;
    }
    Some(parts.join("%"))
}
