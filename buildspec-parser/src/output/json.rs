//! For programs: one JSON object for each file.

use serde::Serialize;

use super::{Findings, Verdict, positions};
use crate::diagnostic::{Diagnostic, Fix};
use crate::span::{LineIndex, Span};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'f> {
    #[serde(rename = "file")]
    name: &'f str,
    verdict: &'static str,
    diagnostics: Vec<Item<'f>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'f> {
    code: &'static str,
    level: &'static str,
    message: &'f str,
    #[serde(flatten)]
    place: Place,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    codebuild_message: Option<&'f str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fix: Vec<Change<'f>>,
}

#[derive(Serialize)]
struct Change<'f> {
    #[serde(flatten)]
    place: Place,
    replacement: &'f str,
}

/// Lines and columns from 1, columns and length in characters; the end is the position after it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    length: usize,
}

/// One line for each file, without a line break at the end:
/// `{"file", "verdict": "accept" | "warn" | "refuse", "diagnostics": [{"code", "level", "message", "line",
/// "column", "endLine", "endColumn", "length", "help"?, "codebuildMessage"?, "fix"?}]}`.
pub fn json(findings: &Findings<'_>) -> String {
    let lines = LineIndex::new(findings.text);
    let report = Report {
        name: findings.name,
        verdict: Verdict::of(findings.diagnostics).as_str(),
        diagnostics: findings
            .diagnostics
            .iter()
            .map(|diagnostic| item(&lines, diagnostic))
            .collect(),
    };
    // Texts and numbers are always representable.
    serde_json::to_string(&report).unwrap_or_default()
}

fn item<'f>(lines: &LineIndex<'_>, diagnostic: &'f Diagnostic) -> Item<'f> {
    Item {
        code: diagnostic.code.as_str(),
        level: diagnostic.level.as_str(),
        message: &diagnostic.message,
        place: place(lines, diagnostic.span),
        help: diagnostic.help.as_deref(),
        codebuild_message: diagnostic.codebuild_message.as_deref(),
        fix: diagnostic
            .fix
            .as_ref()
            .map(|fix| changes(lines, fix))
            .unwrap_or_default(),
    }
}

fn changes<'f>(lines: &LineIndex<'_>, fix: &'f Fix) -> Vec<Change<'f>> {
    let change = |edit: &'f crate::Edit| Change {
        place: place(lines, edit.span),
        replacement: &edit.replacement,
    };
    fix.edits.iter().map(change).collect()
}

fn place(lines: &LineIndex<'_>, span: Span) -> Place {
    let (start, end) = positions(lines, span);
    Place {
        line: start.line,
        column: start.column,
        end_line: end.line,
        end_column: end.column,
        length: lines.length(span),
    }
}
