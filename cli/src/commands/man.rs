//! `btp man`: manual pages of `btp` and of each of its commands, as files for `man`.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_mangen::Man;

use super::{Error, Outcome};
use crate::file_error::FileError;
use crate::output::{self, Output};

/// The arguments of `btp man`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The folder to write btp.1, btp-lint.1 and so on to; it is created if it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// A manual page.
struct Page {
    /// What its file is called.
    name: String,
    text: String,
}

/// Writes the pages.
pub(super) fn run(arguments: &Arguments, command: Command) -> Result<Outcome, Error> {
    let folder = &arguments.folder;
    let failed = |error| FileError::unwritable(folder, error);
    let pages = pages(command).map_err(failed)?;
    fs::create_dir_all(folder).map_err(failed)?;
    let outputs: Vec<Output> = pages
        .into_iter()
        .map(|page| Output {
            path: folder.join(page.name),
            text: page.text,
            in_place: false,
        })
        .collect();
    output::write(&outputs)?;
    Ok(Outcome::Fine)
}

/// The page of the program, then those of its commands.
fn pages(command: Command) -> io::Result<Vec<Page>> {
    // `btp help` is explained by each page.
    let mut command = command.disable_help_subcommand(true);
    // Commands are given their full names, such as btp-lint.
    command.build();
    let version = command.get_version().unwrap_or_default();
    let source = format!("{} {version}", command.get_name());
    std::iter::once(&command)
        .chain(command.get_subcommands())
        .map(|it| page(it.clone(), &source))
        .collect()
}

fn page(command: Command, source: &str) -> io::Result<Page> {
    // An empty date would be left out, and what comes behind it move into its place.
    let man = Man::new(command).date(" ").source(source);
    let man = man.manual("User Commands");
    let mut text = Vec::new();
    man.render(&mut text)?;
    Ok(Page {
        name: man.get_filename(),
        text: String::from_utf8_lossy(&text).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command as Process;

    use clap::CommandFactory;

    use super::*;
    use crate::commands::Cli;

    /// A folder that is not there yet, with the pages in it.
    fn written(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("btp-{}-{name}", std::process::id()));
        let arguments = Arguments {
            folder: folder.join("man/man1"),
        };
        run(&arguments, Cli::command()).expect("can be written");
        // Once more, over what is there.
        run(&arguments, Cli::command()).expect("can be written");
        folder
    }

    fn read(file: &Path) -> String {
        fs::read_to_string(file).expect("is there")
    }

    #[test]
    fn the_program_and_every_command_have_a_page() {
        let folder = written("pages");
        let program = Cli::command();
        let names = program.get_subcommands().map(Command::get_name);
        let mut wanted: Vec<String> = names.map(|name| format!("btp-{name}.1")).collect();
        wanted.push("btp.1".to_owned());
        wanted.sort();
        let version = env!("CARGO_PKG_VERSION");
        let pages = folder.join("man/man1");
        let entries = fs::read_dir(&pages).expect("is a folder");
        let mut found: Vec<String> = entries
            .map(|it| it.expect("is there").file_name().into_string().unwrap())
            .collect();
        found.sort();
        assert_eq!(found, wanted);
        for name in &found {
            let text = read(&pages.join(name));
            let title = name.trim_end_matches(".1").replace('-', "\\-");
            let head = format!(" 1 \" \" \"btp {version}\" \"User Commands\"\n");
            let about = format!("{title} \\- ");
            for part in [head.as_str(), ".SH NAME\n", ".SH SYNOPSIS\n", &about] {
                assert!(text.contains(part), "{name}: {part}\n{text}");
            }
        }
        let lint = read(&pages.join("btp-lint.1"));
        assert!(lint.contains("\\-\\-portable"), "{lint}");
        assert!(!read(&pages.join("btp-apply.1")).contains("watch\\fR"));
        fs::remove_dir_all(folder).expect("is ours");
    }

    /// As `man` does it, where it is on the machine.
    #[test]
    fn pages_can_be_shown() {
        let folder = written("shown");
        let pages = folder.join("man/man1");
        for entry in fs::read_dir(&pages).expect("is a folder") {
            let page = entry.expect("is there").path();
            for (program, arguments) in [
                ("mandoc", ["-Tlint", "-Werror"]),
                ("man", ["--warnings", "-l"]),
            ] {
                let output = Process::new(program)
                    .args(arguments)
                    .arg(&page)
                    .env("MANROFFOPT", "")
                    .env("LC_ALL", "C.UTF-8")
                    .output();
                let Ok(output) = output else { continue };
                let said = String::from_utf8_lossy(&output.stderr);
                let file = page.display();
                assert!(output.status.success(), "{program} {file}: {said}");
                assert_eq!(said, "", "{program} {file}");
            }
        }
        fs::remove_dir_all(folder).expect("is ours");
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_an_error_with_its_name() {
        let folder = written("file");
        let arguments = Arguments {
            folder: folder.join("man/man1/btp.1"),
        };
        let error = run(&arguments, Cli::command()).expect_err("is a file");
        let said = error.to_string();
        assert!(
            said.starts_with("cannot write ") && said.contains("/btp.1: "),
            "{said}"
        );
        fs::remove_dir_all(folder).expect("is ours");
    }
}
