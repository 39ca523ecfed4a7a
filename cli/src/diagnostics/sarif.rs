//! Findings as SARIF 2.1.0, which code scanning services and editors read.

use std::collections::BTreeSet;

use btp_policy::Code;
use serde_json::{Value, json};

use super::{Finding, Source, codes, source_of, work};

/// The log of one run.
pub(super) fn log(findings: &[Finding], sources: &[Source]) -> Value {
    let used: BTreeSet<Code> = findings.iter().map(|it| it.problem.code).collect();
    let rules: Vec<Value> = used.iter().map(|code| rule(*code)).collect();
    let place = |code: Code| used.iter().position(|it| *it == code);
    let results = findings.iter().map(|finding| {
        work::done(1);
        json!({
            "ruleId": finding.problem.code.to_string(),
            "ruleIndex": place(finding.problem.code),
            "level": finding.severity.name(),
            "message": { "text": finding.problem.to_string() },
            "locations": locations(finding, sources),
        })
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "btp",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

fn rule(code: Code) -> Value {
    let section = codes::section(code);
    json!({
        "id": code.to_string(),
        "name": format!("{code:?}"),
        "shortDescription": { "text": code.title() },
        "help": { "text": section, "markdown": section },
    })
}

fn locations(finding: &Finding, sources: &[Source]) -> Value {
    let Some(source) = source_of(finding, sources) else {
        return json!([]);
    };
    let mut physical = json!({ "artifactLocation": { "uri": uri(&source.name) } });
    let mark = finding.problem.mark;
    if mark.is_known() {
        let mut region = json!({ "startLine": mark.line, "startColumn": mark.column });
        if let Some((line, column)) = mark.end() {
            region["endLine"] = line.into();
            region["endColumn"] = column.into();
        }
        physical["region"] = region;
    }
    json!([{ "physicalLocation": physical }])
}

/// A path as a relative or absolute reference, other characters escaped.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                uri.push(char::from(byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn names_of_files_are_references() {
        assert_eq!(uri("team/a-b_1.yaml"), "team/a-b_1.yaml");
        assert_eq!(uri("<stdin>"), "%3Cstdin%3E");
        assert_eq!(uri("a b:\u{e4}"), "a%20b%3A%C3%A4");
    }
}
