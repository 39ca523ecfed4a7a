//! The examples of public pages on BackendTrafficPolicies: their structure and
//! their fields, with other names and values.
//!
//! They lie in `tests/pages`, a file for each page. An example begins with a
//! line `# Example: WHAT. Works.` or `# Example: WHAT. Refused: FIELD`, and
//! goes on to the next such line.

mod stage;

use std::fs;

use anyhow::{Context, Result};

use crate::repo;
pub use stage::{Stage, apply, btp, find, place, succeeded};

/// An example of a page.
#[derive(Clone, Debug)]
pub struct Example {
    /// The page.
    pub page: Page,
    /// What it is about.
    pub title: String,
    /// What comes of it.
    pub outcome: Outcome,
    /// Its documents.
    pub text: String,
}

/// A public page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Whose it is.
    pub project: String,
    /// Its address below the project's documentation.
    pub address: String,
}

/// What comes of an example as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is applied, and Envoy runs it.
    Works,
    /// It is refused for this field.
    Refused(String),
}

/// Where Envoy Gateway's pages on traffic are.
pub const EG: &str = "tasks/traffic";
/// KubeLB's page on policies.
pub const KUBELB: &str = "tutorials/gatewayapi/backend-traffic-policy";

const EXAMPLE: &str = "# Example: ";

/// All examples, page by page.
pub fn examples() -> Result<Vec<Example>> {
    let mut files: Vec<_> = fs::read_dir(repo::path("tests/pages"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|file| !file.ends_with("envoy.yaml"));
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        all.extend(of_page(&text).with_context(|| format!("in {}", file.display()))?);
    }
    Ok(all)
}

/// The example of a page with this title.
pub fn example(address: &str, title: &str) -> Result<Example> {
    let mut all = examples()?.into_iter();
    all.find(|it| it.page.address == address && it.title == title)
        .with_context(|| format!("{address} has no example {title:?}"))
}

fn of_page(text: &str) -> Result<Vec<Example>> {
    let (head, rest) = text.split_once('\n').context("is empty")?;
    let page = head.strip_prefix("# Page: ").context("names no page")?;
    let (project, address) = page.split_once(", ").context("names no project")?;
    let page = Page {
        project: project.to_owned(),
        address: address.to_owned(),
    };
    let mut parts = rest.split(EXAMPLE);
    parts.next();
    parts
        .map(|part| {
            let (head, text) = part.split_once('\n').context("ends early")?;
            let (title, outcome) = head.split_once(". ").context("has no outcome")?;
            let outcome = match outcome.strip_prefix("Refused: ") {
                Some(field) => Outcome::Refused(field.to_owned()),
                None if outcome == "Works." => Outcome::Works,
                None => anyhow::bail!("{outcome:?} is no outcome"),
            };
            Ok(Example {
                page: page.clone(),
                title: title.to_owned(),
                outcome,
                text: text.to_owned(),
            })
        })
        .collect()
}
