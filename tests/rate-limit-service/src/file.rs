//! The file of limits: read at the start, and again whenever it changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::service::Service;

const PAUSE: Duration = Duration::from_millis(50);

/// What it contains.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Has the service read it again when its text is no longer `known`. One that is refused
/// leaves in force what was; so does one that is missing or empty, as it may be while it is
/// being written.
pub(crate) async fn follow(path: PathBuf, mut known: String, service: Arc<Service>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        if text.is_empty() || text == known {
            continue;
        }
        match service.load(&text) {
            Ok(()) => eprintln!("{}: loaded", path.display()),
            Err(error) => eprintln!("{}: refused: {error:#}", path.display()),
        }
        known = text;
    }
}
