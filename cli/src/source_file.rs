//! Reads files, including stdin.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use crate::diagnostics::Source;
use crate::file_error::FileError;

/// What stdin is called where there are names of files.
const STDIN: &str = "<stdin>";

/// Whether a path stands for stdin.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// What a file is called, for people.
pub(crate) fn shown_name(path: &Path) -> String {
    match is_stdin(path) {
        true => STDIN.to_owned(),
        false => path.display().to_string(),
    }
}

/// Reads a file, or stdin to its end.
///
/// # Errors
/// It could not be read, or is no text.
pub(crate) fn read(path: &Path) -> Result<Source, FileError> {
    let bytes = if is_stdin(path) {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    Source::of(shown_name(path), bytes)
}
