//! For GitHub Actions: workflow commands that become annotations of a pull request.

use super::{Findings, positions};
use crate::diagnostic::Level;
use crate::span::LineIndex;

/// One workflow command for each diagnostic, each on a line (GitHub documentation, "Workflow commands").
pub fn github(findings: &Findings<'_>) -> String {
    let lines = LineIndex::new(findings.text);
    let line = |diagnostic: &crate::Diagnostic| {
        let command = match diagnostic.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "notice",
        };
        let (start, end) = positions(&lines, diagnostic.span);
        // GitHub takes columns only where start and end are on one line.
        let columns = if start.line == end.line {
            format!(
                ",col={},endColumn={}",
                start.column,
                end.column.max(start.column + 1) - 1
            )
        } else {
            String::new()
        };
        let help = diagnostic
            .help
            .as_ref()
            .map_or(String::new(), |help| format!("\nhelp: {help}"));
        format!(
            "::{command} file={},line={},endLine={}{columns},title={}::{}\n",
            property(findings.name),
            start.line,
            end.line,
            diagnostic.code,
            data(&format!("{}{help}", diagnostic.message)),
        )
    };
    findings.diagnostics.iter().map(line).collect()
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
