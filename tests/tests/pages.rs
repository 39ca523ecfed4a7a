//! The examples of Envoy Gateway's and KubeLB's pages work as pasted: they go
//! through `btp lint`, `apply` and `explain`, and Envoy loads what comes of them.
//! What they do is in `pages_filter.rs` and `pages_native.rs`.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use btp_tests::measure::table_of;
use btp_tests::pages::{Example, Outcome, apply, btp, examples, place, succeeded};
use btp_tests::{Bootstrap, Envoy};
use serde_json::Value;

/// The parts of an example's specs that policies in force consist of.
fn parts(example: &Example) -> Result<Vec<String>> {
    let mut parts = Vec::new();
    let is_off = example.title.contains("switched off");
    for document in example.text.split("\n---\n") {
        let document: Value = serde_saphyr::from_str(document)?;
        let spec = document["spec"].as_object().filter(|_| !is_off);
        let names = spec.into_iter().flatten().map(|(name, _)| name.clone());
        let says_where = |it: &String| it.starts_with("target") || it == "mergeType";
        parts.extend(names.filter(|it| !says_where(it)));
    }
    Ok(parts)
}

async fn check(example: &Example) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    place(folder, example, |_| None)?;
    let applied = apply(folder)?;
    if let Outcome::Refused(field) = &example.outcome {
        let said = String::from_utf8_lossy(&applied.stderr);
        ensure!(applied.status.code() == Some(1), "is not refused: {said}");
        let reason = format!("]: {field}: ");
        ensure!(said.contains(&reason), "{said}");
        ensure!(
            !folder.join("out.yaml").exists(),
            "was written all the same"
        );
        return Ok(());
    }
    succeeded(&btp(
        folder,
        &["lint", "--bootstrap", "envoy.json", "example.yaml"],
    )?)?;
    let report = succeeded(&applied)?;
    for part in parts(example)? {
        ensure!(report.contains(&part), "{part} went nowhere:\n{report}");
    }
    succeeded(&btp(
        folder,
        &["explain", "--bootstrap", "envoy.json", "example.yaml"],
    )?)?;
    let bootstrap = Bootstrap::load(folder.join("out.yaml"))?;
    let validation = Envoy::validate(&bootstrap).await?;
    ensure!(validation.ok, "{}", validation.log);
    Ok(())
}

async fn wrong_with(example: Option<&Example>) -> Option<String> {
    let example = example?;
    let error = check(example).await.err()?;
    Some(format!(
        "{}, {}: {error:#}",
        example.page.address, example.title
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_comes_out_as_it_says() -> Result<()> {
    let examples = examples()?;
    ensure!(examples.len() >= 60, "{} examples", examples.len());
    let mut wrong = Vec::new();
    for some in examples.chunks(3) {
        let (first, second, third) = tokio::join!(
            wrong_with(some.first()),
            wrong_with(some.get(1)),
            wrong_with(some.get(2))
        );
        wrong.extend([first, second, third].into_iter().flatten());
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

/// The table of docs/COMPARE.md says what these tests say.
#[test]
fn the_page_on_comparisons_counts_the_examples() -> Result<()> {
    let mut pages: BTreeMap<(String, String), (usize, Vec<String>)> = BTreeMap::new();
    for it in examples()? {
        let (works, refused) = pages.entry((it.page.project, it.page.address)).or_default();
        match it.outcome {
            Outcome::Works => *works += 1,
            Outcome::Refused(field) => refused.push(field.replace("spec.", "")),
        }
    }
    let mut wanted =
        String::from("| page | examples | work as pasted | refused |\n|---|---|---|---|\n");
    for ((project, address), (works, mut refused)) in pages {
        let all = works + refused.len();
        let mut reason = String::from("–");
        if !refused.is_empty() {
            let count = refused.len();
            refused.dedup();
            reason = format!("{count}: `{}`", refused.join("`, `"));
        }
        wanted += &format!("| {project}: `{address}` | {all} | {works} | {reason} |\n");
    }
    let found = table_of("docs/COMPARE.md", "pages")?;
    ensure!(found == wanted, "docs/COMPARE.md should have\n{wanted}");
    Ok(())
}
