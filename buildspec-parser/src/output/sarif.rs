//! For code scanning: SARIF 2.1.0, one document for all files.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Findings, positions};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Level};
use crate::lint::RULES;
use crate::span::{LineIndex, Span};

/// The SARIF document. `version` is the version of the program that reports.
pub fn sarif(files: &[Findings<'_>], version: &str) -> String {
    let results: Vec<Value> = files.iter().flat_map(results).collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "buildspec-agent",
                "version": version,
                "rules": Code::ALL.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    document.to_string()
}

fn rule(code: Code) -> Value {
    let rationale = RULES
        .iter()
        .find(|rule| rule.code == code)
        .map_or(code.summary(), |rule| rule.rationale);
    json!({
        "id": code.as_str(),
        "shortDescription": { "text": code.summary() },
        "fullDescription": { "text": rationale },
        "defaultConfiguration": { "level": level(code.level()) },
    })
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "note",
    }
}

fn results(findings: &Findings<'_>) -> Vec<Value> {
    let lines = LineIndex::new(findings.text);
    findings
        .diagnostics
        .iter()
        .map(|diagnostic| result(findings.name, &lines, diagnostic))
        .collect()
}

fn result(name: &str, lines: &LineIndex<'_>, diagnostic: &Diagnostic) -> Value {
    let text = match &diagnostic.help {
        Some(help) => format!("{}; {help}", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    let mut result = json!({
        "ruleId": diagnostic.code.as_str(),
        "ruleIndex": Code::ALL.iter().position(|code| *code == diagnostic.code),
        "level": level(diagnostic.level),
        "message": { "text": text },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri(name) },
            "region": region(lines, diagnostic.span),
        }}],
    });
    if let Some(fix) = &diagnostic.fix {
        let replacements: Vec<Value> = fix
            .edits
            .iter()
            .map(|edit| {
                json!({
                    "deletedRegion": region(lines, edit.span),
                    "insertedContent": { "text": edit.replacement },
                })
            })
            .collect();
        result["fixes"] = json!([{ "artifactChanges": [{
            "artifactLocation": { "uri": uri(name) },
            "replacements": replacements,
        }]}]);
    }
    result
}

fn region(lines: &LineIndex<'_>, span: Span) -> Value {
    let (start, end) = positions(lines, span);
    json!({
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
    })
}

/// A path as a relative reference: everything but letters, digits and the signs of paths is escaped.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
