//! The commands of a documentation page, in order: the content of ```` ```sh ```` blocks
//! and of indented blocks, and the commands after `$` in ```` ```console ```` blocks with
//! their output. `scene` runs all of them.
//!
//! In expected output `...` on a line of its own stands for any number of lines, `…` within a
//! line for any text, such as a date or an id.

use std::fs;

use anyhow::{Context, Result, bail, ensure};

use crate::{readme, repo};

/// Blocks that show files or messages.
const CONTENTS: [&str; 4] = ["yaml", "json", "text", "toml"];

/// A page's commands.
#[derive(Clone, Debug)]
pub struct Page {
    /// The file, relative to the repository's root.
    pub file: String,
    /// Its commands.
    pub steps: Vec<Step>,
}

/// One command, and what it should print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Line number in the page.
    pub line: usize,
    /// The command as it is written.
    pub command: String,
    /// The output, line by line; without it the page says that the command succeeds.
    pub expected: Option<Vec<String>>,
}

impl Page {
    /// Reads a page.
    pub fn load(file: &str) -> Result<Self> {
        let text = fs::read_to_string(repo::path(file)).with_context(|| file.to_owned())?;
        let steps = parse(&text).with_context(|| file.to_owned())?;
        let file = file.to_owned();
        Ok(Self { file, steps })
    }
}

impl Step {
    /// Compares what the command has printed and its exit status with what the page says.
    pub fn check(&self, printed: &str, status: i32) -> Result<()> {
        match &self.expected {
            None => ensure!(status == 0, "exit status {status}:\n{printed}"),
            Some(expected) => {
                let actual = readme::lines(printed);
                if !readme::matches(expected, &actual) {
                    bail!("{}", readme::explain(expected, &actual));
                }
            }
        }
        Ok(())
    }
}

/// A block that is open.
enum Block {
    Commands,
    Console,
    Contents,
}

fn parse(text: &str) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let mut block: Option<Block> = None;
    let mut may_indent = true;
    let mut input = text.lines().enumerate();
    while let Some((number, line)) = input.next() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            block = match (&block, language) {
                (Some(_), _) => None,
                (None, "sh") => Some(Block::Commands),
                (None, "console") => Some(Block::Console),
                (None, it) if CONTENTS.contains(&it) => Some(Block::Contents),
                (None, other) => bail!("line {}: a block of {other:?}", number + 1),
            };
            continue;
        }
        let is_indented = may_indent && line.starts_with("    ");
        may_indent = line.trim().is_empty() || is_indented;
        let (first, expected) = match &block {
            Some(Block::Contents) => continue,
            Some(Block::Commands) if line.is_empty() || line.starts_with('#') => continue,
            Some(Block::Commands) => (line, None),
            Some(Block::Console) => match line.strip_prefix("$ ") {
                Some(command) => (command, Some(Vec::new())),
                None => {
                    let step = steps.last_mut().context("output without a command")?;
                    let output = step.expected.get_or_insert_default();
                    output.push(line.trim_end().to_owned());
                    continue;
                }
            },
            None if is_indented => (line.trim(), None),
            None => continue,
        };
        let mut command = first.to_owned();
        let until = heredoc(first);
        loop {
            let goes_on = match until {
                Some(end) => command.lines().last() != Some(end),
                None => command.ends_with('\\'),
            };
            if !goes_on {
                break;
            }
            let (_, more) = input.next().context("a command without an end")?;
            command.push('\n');
            command.push_str(more);
        }
        let line = number + 1;
        steps.push(Step {
            line,
            command,
            expected,
        });
    }
    for expected in steps.iter_mut().filter_map(|step| step.expected.as_mut()) {
        readme::drop_blank_end(expected);
    }
    Ok(steps)
}

/// The word that ends what is written into a command: `cat > file <<'EOF'`.
fn heredoc(line: &str) -> Option<&str> {
    let (_, word) = line.split_once("<<'")?;
    word.split('\'').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_commands_are_found() {
        let page = "\
# Title

    cargo xtask demo

- a list
    and more of it

```sh
# a comment
btp lint \\
  a.yaml
cat > a.yaml <<'EOF'
kind: X

EOF
```

```console
$ curl -s localhost
hello

$ true
```

```yaml
$ not: a command
```
";
        let steps = parse(page).unwrap();
        let commands = steps.iter().map(|it| (it.line, it.command.as_str()));
        assert_eq!(
            commands.collect::<Vec<_>>(),
            [
                (3, "cargo xtask demo"),
                (10, "btp lint \\\n  a.yaml"),
                (12, "cat > a.yaml <<'EOF'\nkind: X\n\nEOF"),
                (19, "curl -s localhost"),
                (22, "true"),
            ]
        );
        assert_eq!(steps[1].expected, None);
        assert_eq!(steps[3].expected, Some(vec!["hello".to_owned()]));
        assert_eq!(steps[4].expected, Some(Vec::new()));
    }

    #[test]
    fn a_block_that_nobody_would_run_or_read_is_an_error() {
        assert!(parse("```bash\nls\n```\n").is_err());
        assert!(parse("```\nls\n```\n").is_err());
    }

    #[test]
    fn output_and_status_are_compared() {
        let step = |expected: Option<&str>| Step {
            line: 1,
            command: String::new(),
            expected: expected.map(readme::lines),
        };
        assert!(step(None).check("anything", 0).is_ok());
        assert!(step(None).check("", 1).is_err());
        assert!(step(Some("a …\n...")).check("a b\r\nc\r\n", 1).is_ok());
        assert!(step(Some("a")).check("a\nb", 0).is_err());
        assert!(step(Some("")).check("a", 0).is_err());
    }
}
