//! The commit of the sources, which built files contain.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sh;

/// The variable in which the compiler gets it. A build without a repository can set it.
pub(crate) const VARIABLE: &str = "BTP_COMMIT";

/// What is built.
const SOURCES: [&str; 4] = ["filter", "cli", "Cargo.toml", "Cargo.lock"];

/// How many digits are enough.
const DIGITS: usize = 12;

/// The first digits of the commit, with `-dirty` behind them if what is built has changed
/// since; `unknown` if there is no repository.
pub(crate) fn of(root: &Path) -> String {
    let given = env::var(VARIABLE).ok().filter(|it| is_plain(it));
    given
        .or_else(|| by_git(root))
        .or_else(|| by_hand(root))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// It is put into a text as it is.
fn is_plain(commit: &str) -> bool {
    let plain = |it: char| it.is_ascii_alphanumeric() || "-._+".contains(it);
    (1..=64).contains(&commit.len()) && commit.chars().all(plain)
}

fn by_git(root: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(root).args(arguments);
        sh::read(&mut command).ok()
    };
    let commit = short(git(&["rev-parse", "HEAD"])?.trim())?;
    let changed = ["status", "--porcelain", "--untracked-files=no", "--"];
    let changed = git(&[&changed[..], &SOURCES].concat())?;
    Some(match changed.is_empty() {
        true => commit,
        false => format!("{commit}-dirty"),
    })
}

/// For a machine without git, or with one that does not trust the folder: a container that
/// has it mounted.
fn by_hand(root: &Path) -> Option<String> {
    let folder = git_folder(root)?;
    let head = fs::read_to_string(folder.join("HEAD")).ok()?;
    let Some(name) = head.trim().strip_prefix("ref: ") else {
        return short(head.trim());
    };
    // A work tree of its own has its branches where the others have theirs.
    let common = fs::read_to_string(folder.join("commondir"));
    let common = common.map_or(folder.clone(), |it| folder.join(it.trim()));
    if let Ok(commit) = fs::read_to_string(common.join(name)) {
        return short(commit.trim());
    }
    let packed = fs::read_to_string(common.join("packed-refs")).ok()?;
    let mut lines = packed.lines().filter_map(|line| line.split_once(' '));
    lines.find_map(|(commit, other)| (other == name).then(|| short(commit))?)
}

fn git_folder(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let text = fs::read_to_string(git).ok()?;
    Some(root.join(text.trim().strip_prefix("gitdir: ")?))
}

fn short(commit: &str) -> Option<String> {
    let is_hash = commit.len() >= 40 && commit.chars().all(|it| it.is_ascii_hexdigit());
    is_hash.then(|| commit.chars().take(DIGITS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    /// A folder with these files of a repository.
    fn repository(files: &[(&str, String)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = root.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        root
    }

    #[test]
    fn a_commit_is_found_without_git() {
        let branch = "ref: refs/heads/main\n".to_owned();
        let line = format!("{COMMIT}\n");
        let detached = vec![(".git/HEAD", line.clone())];
        let loose = vec![
            (".git/HEAD", branch.clone()),
            (".git/refs/heads/main", line.clone()),
        ];
        let packed = vec![
            (".git/HEAD", branch.clone()),
            (
                ".git/packed-refs",
                format!(
                    "# pack-refs\n{} refs/heads/a\n{COMMIT} refs/heads/main\n",
                    "f".repeat(40)
                ),
            ),
        ];
        let work_tree = vec![
            (".git", "gitdir: common/worktrees/w\n".to_owned()),
            ("common/worktrees/w/HEAD", branch),
            ("common/worktrees/w/commondir", "../..\n".to_owned()),
            ("common/refs/heads/main", line),
        ];
        for files in [detached, loose, packed, work_tree] {
            let root = repository(&files);
            assert_eq!(
                by_hand(root.path()).as_deref(),
                Some("0123456789ab"),
                "{files:?}"
            );
        }
    }

    #[test]
    fn what_is_no_repository_has_no_commit() {
        let nothing = repository(&[]);
        assert_eq!(by_hand(nothing.path()), None);
        let no_branch = repository(&[(".git/HEAD", "ref: refs/heads/new\n".to_owned())]);
        assert_eq!(by_hand(no_branch.path()), None);
        let no_hash = repository(&[(".git/HEAD", "0123\n".to_owned())]);
        assert_eq!(by_hand(no_hash.path()), None);
    }

    #[test]
    fn what_is_handed_in_cannot_break_out_of_a_text() {
        assert!(is_plain("v1.2-dirty"));
        for text in ["", "a\"", "a b", "a\n"] {
            assert!(!is_plain(text), "{text}");
        }
        assert!(!is_plain(&"a".repeat(65)));
    }
}
