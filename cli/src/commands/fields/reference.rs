//! Files generated from the tables: the schemas, and tables of the reference's pages.
//! `UPDATE_GOLDEN=1 cargo test -p btp` writes them.

use std::fs;
use std::path::{Path, PathBuf};

use btp_policy::schema::Object;

use super::enforcers;
use super::find::find;
use super::words;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether the file has this text; with `UPDATE_GOLDEN` it gets it.
fn is_there(path: &Path, text: &str) -> bool {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, text).expect("can be written");
    }
    fs::read_to_string(path).unwrap_or_default() == text
}

/// The fields of an object and of the objects in it, one row each.
fn table(object: &Object) -> String {
    let mut text =
        "| field | type | default | bounds | meaning |\n|---|---|---|---|---|\n".to_owned();
    rows(object, "", &mut text);
    text
}

fn rows(object: &Object, above: &str, text: &mut String) {
    for field in object.fields {
        let choices = words::choices(&field.shape).map(|names| {
            let names: Vec<String> = names.iter().map(|name| code(name)).collect();
            names.join(", ")
        });
        let default = match (field.default, field.required) {
            (_, true) => "required".to_owned(),
            (Some(default), _) if is_word(default) => format!("`{default}`"),
            (default, _) => default.unwrap_or("–").to_owned(),
        };
        let cells = [
            format!(
                "`{above}{}`{}",
                field.name,
                if field.extension { " *ext*" } else { "" }
            ),
            words::kind(&field.shape),
            default,
            choices
                .or_else(|| words::bounds(&field.shape))
                .unwrap_or_default(),
            field.description.to_owned(),
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        text.push_str(&format!(
            "| {} |\n",
            cells.join(" | ").replace("|  |", "| |")
        ));
        if let (btp_policy::schema::Shape::Object(below), true) = (&field.shape, above.is_empty()) {
            rows(below, &format!("{}.", field.name), text);
        }
    }
}

/// A choice, set as code.
fn code(name: &str) -> String {
    match name {
        "" => "`\"\"`".to_owned(),
        name => format!("`{name}`"),
    }
}

/// Whether a default is written as it stands, and no sentence about it.
fn is_word(default: &str) -> bool {
    !default.contains(' ')
}

/// The page with every marked section as the tables have it.
fn renewed(page: &str) -> String {
    let mut text = String::new();
    let mut is_inside = false;
    for line in page.lines() {
        if line == "<!-- end -->" {
            is_inside = false;
        }
        if !is_inside {
            text.push_str(line);
            text.push('\n');
        }
        let whole = match line {
            "<!-- every field -->" => Some(enforcers::sections()),
            "<!-- refused -->" => Some(enforcers::refused()),
            _ => None,
        };
        if let Some(table) = whole {
            is_inside = true;
            text.push_str(&format!("\n{table}\n"));
        }
        let marker = line.strip_prefix("<!-- fields ");
        if let Some(path) = marker.and_then(|rest| rest.strip_suffix(" -->")) {
            is_inside = true;
            let object = find(path).expect(path).object.expect(path);
            text.push_str(&format!("\n{}\n", table(object)));
        }
    }
    assert!(!is_inside, "a section has no end");
    text
}

#[test]
fn the_pages_have_the_tables() {
    let mut sections = 0;
    let mut old = Vec::new();
    for entry in fs::read_dir(root().join("docs/reference")).expect("is there") {
        let path = entry.expect("can be listed").path();
        let page = fs::read_to_string(&path).expect("can be read");
        sections += page.matches("<!-- fields ").count();
        if page.contains("<!-- end -->") && !is_there(&path, &renewed(&page)) {
            old.push(path);
        }
    }
    assert!(sections >= 6, "{sections}");
    assert!(old.is_empty(), "not as the tables have it: {old:?}");
}

#[test]
fn the_schemas_are_shipped() {
    for (name, schema) in [
        ("plugin.json", btp_policy::config::json_schema()),
        ("policy.json", btp_policy::policy::json_schema()),
    ] {
        let path = root().join("docs/schema").join(name);
        let text = format!("{schema:#}\n");
        assert!(is_there(&path, &text), "{} is old", path.display());
    }
}

#[test]
fn every_example_tells_editors_its_schema() {
    let mut found = 0;
    for entry in fs::read_dir(root().join("examples")).expect("is there") {
        let path = entry.expect("can be listed").path().join("policy.yaml");
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let first = text.lines().next().unwrap_or_default();
        let modeline = "# yaml-language-server: $schema=../../docs/schema/policy.json";
        assert_eq!(first, modeline, "{}", path.display());
        found += 1;
    }
    assert!(found >= 15, "{found}");
}
