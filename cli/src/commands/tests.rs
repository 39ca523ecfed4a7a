//! What `--help` says, of every command and option.

use std::collections::BTreeMap;

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory};

use super::Cli;

/// What is said of something, if that is more than its name.
fn says(help: Option<&StyledStr>, name: &str) -> Option<String> {
    let letters = |text: &str| -> String {
        let letters = text.chars().filter(|it| it.is_alphanumeric());
        letters.collect::<String>().to_lowercase()
    };
    let help = help?.to_string();
    (letters(&help) != letters(name) && !help.trim().is_empty()).then_some(help)
}

fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|it| !it.is_hide_set())
}

/// The program and its commands, as a person sees them.
fn commands() -> Vec<Command> {
    let mut program = Cli::command();
    program.build();
    let subcommands: Vec<Command> = program.get_subcommands().cloned().collect();
    let mut commands = vec![program];
    commands.extend(subcommands);
    commands
}

#[test]
fn everything_has_a_description_that_is_not_its_name() {
    let mut described = 0;
    for command in commands() {
        let name = command.get_name();
        assert!(says(command.get_about(), name).is_some(), "btp {name}");
        for option in options(&command) {
            let id = option.get_id().as_str();
            let place = format!("btp {name}: {id}");
            let help = says(option.get_help(), id).expect(&place);
            for value in option.get_value_names().unwrap_or_default() {
                assert!(says(option.get_help(), value).is_some(), "{place}");
            }
            for value in option.get_possible_values() {
                let name = value.get_name();
                // The names of shells say it.
                let is_clear = command.get_name() == "completions";
                assert!(
                    is_clear || says(value.get_help(), name).is_some(),
                    "{place} {name}"
                );
            }
            // Half a sentence, as everywhere.
            assert!(!help.ends_with('.'), "{place}: {help}");
            let begins = help.starts_with(|it: char| it.is_uppercase());
            assert!(begins, "{place}: {help}");
            described += 1;
        }
    }
    assert!(described > 40, "only {described} options");
}

/// Two options that are described in the same words are not described: which is which?
#[test]
fn no_two_options_of_a_command_are_described_in_the_same_words() {
    for command in commands() {
        let mut seen = BTreeMap::new();
        for option in options(&command) {
            let help = option.get_help().expect("has one").to_string();
            let other = seen.insert(help, option.get_id().clone());
            assert_eq!(other, None, "{}: {}", command.get_name(), option.get_id());
        }
    }
}

/// The test above notices what is missing.
#[test]
fn a_name_in_other_letters_is_no_description() {
    let said = |text: &'static str| says(Some(&text.into()), "out_dir");
    assert_eq!(said("Out dir"), None);
    assert_eq!(said("--out-dir"), None);
    assert_eq!(said(""), None);
    assert_eq!(says(None, "out_dir"), None);
    assert!(said("The folder").is_some());
}
