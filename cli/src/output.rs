//! Writes a command's results without damage to existing files.
//!
//! A file is written beside its place and moved there, so that no reader sees half of it.
//! That is right only for regular files. Links are followed, devices, pipes and open
//! descriptors are written to as they are, and a file that cannot be replaced without
//! losing something (its owner, its other names, a mount) is written in place. Nothing is
//! changed before everything is ready, and unfinished files are removed if it fails.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown, symlink};
use std::path::{Path, PathBuf};

use crate::file_error::FileError;

/// Links that are followed before it is taken for a loop, as in Linux.
const MOST_LINKS: usize = 40;

/// A text and the path it goes to.
#[derive(Debug)]
pub(crate) struct Output {
    /// Where it goes.
    pub(crate) path: PathBuf,
    /// What is written.
    pub(crate) text: String,
    /// Whether to replace the content of an existing file in place, because a watcher of it
    /// sees nothing else.
    pub(crate) in_place: bool,
}

/// An output that is ready to be written.
#[derive(Debug)]
struct Prepared<'a> {
    output: &'a Output,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Stdout,
    /// The new file lies beside its place, and is moved there.
    Move {
        fresh: Fresh,
        place: PathBuf,
    },
    /// The content of a regular file is exchanged.
    Overwrite(PathBuf),
    /// A device, a pipe, an open descriptor.
    Send(PathBuf),
}

/// A file that is removed unless it is moved to its place.
#[derive(Debug)]
struct Fresh(PathBuf);

/// Where a path leads when links are followed.
enum Destination {
    Path(PathBuf),
    /// To what a process has open (`/dev/stdout`, `/dev/fd/3`).
    Descriptor,
}

/// Whether a path is another name of stdout, such as `-` or `/dev/stdout`.
pub(crate) fn is_stdout(path: &Path) -> bool {
    if path == Path::new("-") {
        return true;
    }
    let stdout = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    match (
        fs::metadata(path),
        stdout.and_then(|stdout| stdout.metadata()),
    ) {
        (Ok(path), Ok(stdout)) => path.dev() == stdout.dev() && path.ino() == stdout.ino(),
        _ => false,
    }
}

/// Prints to stdout.
pub(crate) fn print(text: &str) -> Result<(), FileError> {
    to_stdout(text).map_err(FileError::Stdout)
}

/// Prints to stdout, and says whether somebody may still be reading.
pub(crate) fn print_while_read(text: &str) -> Result<bool, FileError> {
    match write_to_stdout(text) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(FileError::Stdout(error)),
    }
}

/// Writes all outputs, or says which cannot be written.
pub(crate) fn write(outputs: &[Output]) -> Result<(), FileError> {
    let mut prepared = Vec::new();
    for output in outputs {
        let way = prepare(output).map_err(|error| FileError::unwritable(&output.path, error))?;
        prepared.push(Prepared { output, way });
    }
    for Prepared { output, way } in prepared {
        perform(way, &output.text).map_err(|error| FileError::unwritable(&output.path, error))?;
    }
    Ok(())
}

/// Says which of the outputs cannot be written, and writes none.
pub(crate) fn check(outputs: &[Output]) -> Result<(), FileError> {
    for output in outputs {
        prepare(output).map_err(|error| FileError::unwritable(&output.path, error))?;
    }
    Ok(())
}

/// Writes all outputs so that a watcher of their folder notices: links are created anew,
/// too.
pub(crate) fn replace(outputs: &[Output]) -> Result<(), FileError> {
    write(outputs)?;
    for output in outputs {
        // What a process has open is nobody's to watch.
        if let Ok(Destination::Path(_)) = follow(&output.path) {
            relink(&output.path).map_err(|error| FileError::unwritable(&output.path, error))?;
        }
    }
    Ok(())
}

/// Finds out how an output can be written, and does what can be done without
/// touching what is there.
fn prepare(output: &Output) -> io::Result<Way> {
    if is_stdout(&output.path) {
        return Ok(Way::Stdout);
    }
    let Destination::Path(place) = follow(&output.path)? else {
        return Ok(Way::Send(output.path.clone()));
    };
    let there = match fs::metadata(&place) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match &there {
        Some(it) if it.is_dir() => return Err(ErrorKind::IsADirectory.into()),
        Some(it) if !it.is_file() => return Ok(Way::Send(place)),
        // A file that may not be written is not replaced either.
        Some(_) => drop(OpenOptions::new().write(true).open(&place)?),
        None => {}
    }
    if there
        .as_ref()
        .is_some_and(|it| it.nlink() > 1 || output.in_place)
    {
        return Ok(Way::Overwrite(place));
    }
    match beside(&place, there.as_ref(), &output.text) {
        Ok(fresh) => Ok(Way::Move { fresh, place }),
        // The folder takes no new file: there is the old one still.
        Err(error) if there.is_some() && is_of_the_folder(&error) => Ok(Way::Overwrite(place)),
        Err(error) => Err(error),
    }
}

fn perform(way: Way, text: &str) -> io::Result<()> {
    match way {
        Way::Stdout => to_stdout(text),
        Way::Send(place) => {
            // Opened like this, a descriptor of a regular file begins at its
            // beginning; the shell that opened it with `>` has emptied it.
            let mut file = OpenOptions::new().write(true).open(place)?;
            file.write_all(text.as_bytes())
        }
        Way::Overwrite(place) => overwrite(&place, text),
        Way::Move { fresh, place } => match fs::rename(&fresh.0, &place) {
            // A mount point cannot be moved over.
            Err(_) if place.is_file() => overwrite(&place, text),
            moved => moved,
        },
    }
}

/// A reader that has gone away is no error.
fn to_stdout(text: &str) -> io::Result<()> {
    match write_to_stdout(text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn write_to_stdout(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes a new file in the folder of `place`, with the mode and the owner of
/// what is there.
fn beside(place: &Path, there: Option<&Metadata>, text: &str) -> io::Result<Fresh> {
    let (mut file, fresh) = create_beside(place, there.is_some())?;
    if let Some(there) = there {
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (there.uid(), there.gid()) {
            fchown(&file, Some(there.uid()), Some(there.gid()))?;
        }
        // After the owner, whose change clears the set-user-id bits.
        file.set_permissions(Permissions::from_mode(there.mode() & 0o7777))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(fresh)
}

/// A file that nobody else may read, as it may become one with secrets, if
/// `is_private`.
fn create_beside(place: &Path, is_private: bool) -> io::Result<(File, Fresh)> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    if is_private {
        options.mode(0o600);
    }
    make_beside(place, |path| options.open(path))
}

/// Makes something in the folder of `place`, under a name that nobody has.
fn make_beside<T>(place: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(T, Fresh)> {
    let folder = place.parent().unwrap_or(Path::new(""));
    for number in 0.. {
        let mut name = OsString::from(".");
        name.push(place.file_name().unwrap_or_default());
        name.push(format!(".btp-{}-{number}", std::process::id()));
        let path = folder.join(name);
        match make(&path) {
            Ok(made) => return Ok((made, Fresh(path))),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// Moves the same link over a link.
fn relink(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_symlink() {
        return Ok(());
    }
    let target = fs::read_link(path)?;
    let ((), fresh) = make_beside(path, |fresh| symlink(&target, fresh))?;
    fs::rename(&fresh.0, path)
}

/// Exchanges the content of a regular file; if it fails, the old content is
/// put back.
fn overwrite(place: &Path, text: &str) -> io::Result<()> {
    let before = fs::read(place)?;
    let put = |content: &[u8]| {
        let mut file = OpenOptions::new().write(true).open(place)?;
        file.write_all(content)?;
        file.set_len(u64::try_from(content.len()).unwrap_or(u64::MAX))?;
        file.sync_all()
    };
    put(text.as_bytes()).inspect_err(|_| {
        // If this fails as well, the first error says why.
        let _ = put(&before);
    })
}

/// Whether a new file failed because of its folder or its owner, and not
/// because of the disk.
fn is_of_the_folder(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
    )
}

/// Follows links; the last one may lead to a file that is not there yet.
fn follow(path: &Path) -> io::Result<Destination> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let is_link = fs::symlink_metadata(&path).is_ok_and(|it| it.is_symlink());
        if !is_link {
            return Ok(Destination::Path(path));
        }
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder.canonicalize()?,
            _ => Path::new(".").canonicalize()?,
        };
        // There, links are not what they print: they are what is open.
        if folder.starts_with("/proc") {
            return Ok(Destination::Descriptor);
        }
        path = folder.join(fs::read_link(&path)?);
    }
    Err(ErrorKind::Other.into())
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // After it was moved there is nothing left to remove.
        let _ = fs::remove_file(&self.0);
    }
}
