//! Files without findings are remembered, so that only what has changed is read again.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Hashes of files, together with the rules that they follow.
pub(crate) struct Clean {
    /// Where they are kept, if they are.
    list: Option<PathBuf>,
    known: BTreeSet<u64>,
    rules: u64,
}

impl Clean {
    /// Reads the list of an earlier run; `folder` has the rules.
    pub(crate) fn read(list: Option<PathBuf>, folder: &Path) -> Result<Self> {
        let mut known = BTreeSet::new();
        if let Some(list) = &list {
            let text = fs::read_to_string(list).unwrap_or_default();
            known.extend(text.lines().filter_map(|it| it.parse::<u64>().ok()));
        }
        Ok(Self {
            list,
            known,
            rules: hash_rules(folder)?,
        })
    }

    /// Identifies a file with this content.
    pub(crate) fn key(&self, file: &Path, content: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.rules, file, content).hash(&mut hasher);
        hasher.finish()
    }

    pub(crate) fn has(&self, key: u64) -> bool {
        self.known.contains(&key)
    }

    /// Replaces the list by these.
    pub(crate) fn keep(&self, keys: &BTreeSet<u64>) -> Result<()> {
        let Some(list) = &self.list else {
            return Ok(());
        };
        let lines: String = keys.iter().map(|key| format!("{key}\n")).collect();
        fs::write(list, lines).with_context(|| format!("cannot write {}", list.display()))
    }
}

/// Another rule or another build of this program makes another hash.
fn hash_rules(folder: &Path) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for list in ["off.txt", "words.txt"] {
        let list = folder.join(list);
        fs::read_to_string(&list)
            .with_context(|| format!("no {}", list.display()))?
            .hash(&mut hasher);
    }
    crate::rules::sources(&folder.join("rules"))?.hash(&mut hasher);
    let program = std::env::current_exe()?.metadata()?;
    (program.len(), program.modified()?).hash(&mut hasher);
    Ok(hasher.finish())
}
