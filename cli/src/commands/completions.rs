//! `btp completions`: shell completions for commands, options and files.

use clap::{Args, Command};
use clap_complete::Shell;

use super::{Error, Outcome};
use crate::output;

/// The arguments of `btp completions`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The shell to write the script for
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script for the shell.
pub(super) fn run(arguments: &Arguments, command: &Command) -> Result<Outcome, Error> {
    output::print(&script(arguments.shell, command))?;
    Ok(Outcome::Fine)
}

fn script(shell: Shell, command: &Command) -> String {
    let mut command = visible(command);
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// A command without what is hidden: shells would offer it.
fn visible(command: &Command) -> Command {
    let options = command.get_arguments().filter(|it| !it.is_hide_set());
    let commands = command.get_subcommands().filter(|it| !it.is_hide_set());
    let mut shown = Command::new(command.get_name().to_owned())
        .args(options.cloned())
        .subcommands(commands.map(visible));
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        shown = shown.version(version.to_owned());
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command as Process, Output, Stdio};

    use clap::{CommandFactory, ValueEnum};

    use super::*;
    use crate::commands::Cli;

    /// What a shell makes of a text on its stdin; `None` where there is no such shell.
    fn fed(shell: &str, arguments: &[&str], text: &str) -> Option<Output> {
        let mut process = Process::new(shell);
        process.args(arguments).stdin(Stdio::piped());
        process.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = process.spawn().ok()?;
        let mut stdin = child.stdin.take().expect("is piped");
        stdin.write_all(text.as_bytes()).expect("is read");
        drop(stdin);
        Some(child.wait_with_output().expect("ends"))
    }

    #[test]
    fn every_shell_learns_every_command_and_option() {
        let command = Cli::command();
        for shell in Shell::value_variants() {
            let script = script(*shell, &command);
            for sub in command.get_subcommands() {
                assert!(script.contains(sub.get_name()), "{shell}: btp {sub}");
                for option in sub.get_opts().filter(|it| !it.is_hide_set()) {
                    let name = option.get_long().expect("every option has a long name");
                    assert!(script.contains(name), "{shell}: btp {sub} --{name}");
                }
            }
            assert!(!script.contains("--watch"), "{shell}: is hidden");
        }
    }

    #[test]
    fn scripts_are_what_their_shells_can_read() {
        let mut read = Vec::new();
        for (shell, name) in [
            (Shell::Bash, "bash"),
            (Shell::Zsh, "zsh"),
            (Shell::Fish, "fish"),
        ] {
            let script = script(shell, &Cli::command());
            if let Some(output) = fed(name, &["-n"], &script) {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success() && said.is_empty(), "{name}: {said}");
                read.push(name);
            }
        }
        assert!(read.contains(&"bash"), "no bash on this machine: {read:?}");
    }

    /// What bash offers for the last of these words.
    fn offered(words: &[&str]) -> Vec<String> {
        let (last, before) = words.split_last().expect("there are words");
        let before = before.last().expect("there is a command");
        let script = script(Shell::Bash, &Cli::command());
        let asked = format!(
            "{script}\nCOMP_WORDS=({words}); COMP_CWORD={index}\n_btp btp '{last}' '{before}'\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            words = words.join(" "),
            index = words.len() - 1,
        );
        let output = fed("bash", &["--norc"], &asked).expect("there is bash");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let offered = String::from_utf8(output.stdout).expect("prints UTF-8");
        offered.lines().map(str::to_owned).collect()
    }

    #[test]
    fn bash_completes_commands_options_and_their_values() {
        assert_eq!(offered(&["btp", "sch"]), ["schema"]);
        assert_eq!(offered(&["btp", "apply", "--dry"]), ["--dry-run"]);
        let formats = ["text", "json", "github", "sarif"];
        assert_eq!(offered(&["btp", "lint", "--format", ""]), formats);
        assert_eq!(offered(&["btp", "completions", "zs"]), ["zsh"]);
    }
}
