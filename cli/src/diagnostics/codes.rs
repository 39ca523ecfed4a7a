//! The documentation of each code: `docs/reference/codes.md`, section by section.

use btp_policy::Code;

const PAGE: &str = include_str!("../../../docs/reference/codes.md");

/// The section of a code, its heading included.
pub(crate) fn section(code: Code) -> &'static str {
    let heading = format!("\n## {code} ");
    let Some(begin) = PAGE.find(&heading) else {
        return "";
    };
    let text = &PAGE[begin + 1..];
    let ends = ["\n## ", "\n# "].map(|heading| text.find(heading).unwrap_or(text.len()));
    text[..ends[0].min(ends[1])].trim_end()
}
