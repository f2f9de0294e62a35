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
        let mut starts = Vec::new();
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
                    (Ok(code), "disable") if starts.len() < MOST_DIAGNOSTICS => {
                        starts.push((code, first));
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
        switches.places = places(&lines, starts);
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

/// For each switch the bytes of the line it begins with and of those below that are indented deeper. Each
/// line is looked at once, however many switches hold for it. `starts` are in the order of the lines.
fn places(lines: &LineIndex<'_>, starts: Vec<(Code, usize)>) -> Vec<(Code, Range<usize>)> {
    let mut places: Vec<(Code, Range<usize>)> = Vec::with_capacity(starts.len());
    let mut starts = starts.into_iter().peekable();
    // Indentation and index of the places that go on, the deepest last.
    let mut open: Vec<(usize, usize)> = Vec::new();
    for number in 1..=lines.line_count() {
        let range = lines.line_range(number);
        let indent = indent(&lines.text()[range.clone()]);
        if let Some(indent) = indent {
            while let Some((_, place)) = open.pop_if(|(outer, _)| *outer >= indent) {
                places[place].1.end = range.start;
            }
        }
        while let Some((code, _)) = starts.next_if(|(_, first)| *first == number) {
            open.extend(indent.map(|indent| (indent, places.len())));
            places.push((code, range.start..range.end + 1));
        }
    }
    for (_, place) in open {
        places[place].1.end = lines.text().len() + 1;
    }
    places
}

/// Number of blanks a line begins with; a line of nothing but blanks has none.
fn indent(line: &str) -> Option<usize> {
    (!line.trim().is_empty()).then(|| line.len() - line.trim_start_matches(' ').len())
}
