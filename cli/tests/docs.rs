//! The reference page shows what `btp` really prints, the commands of another install what
//! it says, and the comparison with Envoy Gateway has what was counted.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/policy.md");

/// The fenced blocks of a page: language and text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

#[test]
fn every_example_prints_what_the_page_says() {
    let page = fs::read_to_string(PAGE).expect("the page is there");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs");
    fs::create_dir_all(&directory).expect("can be made");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let _ = fs::remove_file(directory.join("examples"));
    symlink(examples, directory.join("examples")).expect("can be made");
    let mut runs = 0;
    for (language, text) in blocks(&page) {
        if language == "yaml" {
            fs::write(directory.join("policy.yaml"), text).expect("can be written");
            continue;
        }
        let (command, wanted) = text.split_once('\n').expect("has a command");
        let arguments = command.strip_prefix("$ btp ").expect("runs btp");
        let output = Command::new(env!("CARGO_BIN_EXE_btp"))
            .args(arguments.split_whitespace())
            .current_dir(&directory)
            .output()
            .expect("btp runs");
        let printed = [output.stderr, output.stdout].concat();
        let printed = String::from_utf8(printed).expect("prints UTF-8");
        assert_eq!(printed, wanted, "{command}");
        runs += 1;
    }
    assert!(runs >= 3, "only {runs} examples");
}

/// The commands install what the page says, in a home that has nothing yet.
#[test]
fn completions_and_manual_pages_are_installed_as_the_page_says() {
    let page = Path::new(PAGE).with_file_name("command-line.md");
    let page = fs::read_to_string(page).expect("the page is there");
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("home");
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home).expect("can be made");
    let btp = Path::new(env!("CARGO_BIN_EXE_btp"));
    let mut path = btp.parent().expect("is in a folder").as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    for (language, text) in blocks(&page) {
        if language == "console" {
            prints_what_is_shown(&text);
            continue;
        }
        // Others, such as a modeline or a schema, are no commands.
        if language != "sh" {
            continue;
        }
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", &text]);
        let output = shell.env("HOME", &home).env("PATH", &path).output();
        let output = output.expect("there is a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{text}{said}");
    }
    for (file, begins) in [
        (".local/share/bash-completion/completions/btp", "_btp() {"),
        (".local/share/man/man1/btp.1", ".ie "),
        (".local/share/man/man1/btp-lint.1", ".ie "),
    ] {
        let text = fs::read_to_string(home.join(file)).expect(file);
        assert!(text.starts_with(begins), "{file}: {text}");
    }
}

/// Runs the command of a block, and compares what it prints with the rest of it.
fn prints_what_is_shown(block: &str) {
    let (command, wanted) = block.split_once('\n').expect("has a command");
    let arguments = command.strip_prefix("$ btp ").expect("runs btp");
    let output = Command::new(env!("CARGO_BIN_EXE_btp"))
        .args(arguments.split(' '))
        .output()
        .expect("btp runs");
    let shown = String::from_utf8(output.stdout).expect("is text");
    assert_eq!(shown, wanted, "{command}");
}

/// The page's table has the counts of the raw data, which add up.
#[test]
fn the_comparison_with_envoy_gateway_shows_its_counts() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let page = fs::read_to_string(docs.join("COMPARE.md")).expect("the page is there");
    let (_, rest) = page.split_once("<!-- envoy-gateway -->\n").expect("begins");
    let (table, below) = rest.split_once("<!-- /envoy-gateway -->").expect("ends");
    let mut shown = table.lines().skip(2);
    let data = fs::read_to_string(docs.join("compare/envoy-gateway.csv")).expect("is there");
    let mut sums = [0; 3];
    for line in data.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let counts: Vec<u32> = cells[1..].iter().map(|it| it.parse().unwrap()).collect();
        let [_, values, identical, different] = counts[..] else {
            panic!("{line}");
        };
        assert_eq!(values, identical + different, "{line}");
        for (sum, count) in sums.iter_mut().zip(&counts[1..]) {
            *sum += count;
        }
        let row = shown
            .next()
            .expect("a row for each family")
            .replace('`', "");
        let wanted = format!("| {} |", cells[..4].join(" | "));
        assert!(row.starts_with(&wanted), "{row}: {wanted}");
        let reasons = row.strip_prefix(&wanted).unwrap_or_default().trim();
        let expected = match different {
            0 => "– |".to_owned(),
            _ => format!("{different}: "),
        };
        assert!(reasons.starts_with(&expected), "{row}");
    }
    assert_eq!(shown.next(), None);
    let [values, identical, different] = sums;
    let said = format!("Of {values} values {identical} are identical");
    assert!(below.contains(&said), "{said}");
    assert!(below.contains(&format!("{different} differ,")));
}
