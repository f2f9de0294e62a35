//! Comments that switch findings off.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::assumptions::MOST_DIAGNOSTICS;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::span::{LineIndex, SourceId, Span};

const MARK: &str = "buildspec-agent:";

/// The switches of a text.
pub(super) struct Switches {
    file: BTreeSet<Code>,
    places: Vec<(Code, Range<usize>)>,
}

impl Switches {
    /// Reads the comments; codes that do not exist are noted.
    pub(super) fn read(text: &str, problems: &mut Vec<Diagnostic>) -> Self {
        let mut switches = Self {
            file: BTreeSet::new(),
            places: Vec::new(),
        };
        if !text.contains(MARK) {
            return switches;
        }
        let lines = LineIndex::new(text);
        for number in 1..=lines.line_count() {
            let range = lines.line_range(number);
            let line = &text[range.clone()];
            let Some((before, comment)) = comment(line) else {
                continue;
            };
            let Some((verb, codes)) = comment.trim().split_once('=') else {
                continue;
            };
            let first = if before.trim().is_empty() {
                number + 1
            } else {
                number
            };
            for name in codes.split([',', ' ']).filter(|name| !name.is_empty()) {
                match (name.parse(), verb.trim()) {
                    (Ok(code), "disable-file") => drop(switches.file.insert(code)),
                    (Ok(code), "disable") if switches.places.len() < MOST_DIAGNOSTICS => {
                        switches.places.push((code, block(&lines, first)));
                    }
                    (Ok(_), _) => {}
                    (Err(error), _) => {
                        let start = range.start + line.find(name).unwrap_or(0);
                        let span = Span::new(SourceId::Buildspec, start, start + name.len());
                        problems.push(Diagnostic::new(
                            Code::UnknownLintCode,
                            span,
                            error.to_string(),
                        ));
                    }
                }
            }
        }
        problems.truncate(MOST_DIAGNOSTICS);
        switches
    }

    /// Whether a diagnostic is switched off.
    pub(super) fn hold(&self, diagnostic: &Diagnostic) -> bool {
        let at = diagnostic.span.start;
        self.file.contains(&diagnostic.code)
            || self
                .places
                .iter()
                .any(|(code, range)| *code == diagnostic.code && range.contains(&at))
    }
}

/// What stands before the comment of a line, and the text after the mark in it.
fn comment(line: &str) -> Option<(&str, &str)> {
    let at = line.find(MARK)?;
    let before = line[..at].trim_end().strip_suffix('#')?;
    let separate = before.is_empty() || before.ends_with([' ', '\t']);
    separate.then(|| (before, &line[at + MARK.len()..]))
}

/// Bytes of a line and of those below it that are indented deeper.
fn block(lines: &LineIndex<'_>, first: usize) -> Range<usize> {
    let indent = |range: &Range<usize>| {
        let line = &lines.text()[range.clone()];
        (!line.trim().is_empty()).then(|| line.len() - line.trim_start_matches(' ').len())
    };
    let own = lines.line_range(first);
    let own_indent = indent(&own).unwrap_or(0);
    let below = (first + 1..=lines.line_count()).map(|number| lines.line_range(number));
    let deeper = below.take_while(|range| indent(range).is_none_or(|indent| indent > own_indent));
    let end = deeper.last().map_or(own.end, |range| range.end);
    own.start..end + 1
}
