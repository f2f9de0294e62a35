//! Errors of the YAML text: in our words, and in those of libyaml, which CodeBuild shows.

use granit_parser::{ErrorKind, ScanError};

use super::too_deep;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::span::{LineIndex, SourceId, Span};

/// The diagnostic for an error of the YAML parser.
pub(super) fn syntax(error: &ScanError, text: &str, source: SourceId, offset: usize) -> Diagnostic {
    let at = text.floor_char_boundary(error.marker().byte_offset().unwrap_or(0) + offset);
    let span = underlined(text, source, at);
    let kind = error.kind();
    if matches!(kind, ErrorKind::RecursionLimitExceeded) {
        return too_deep(span);
    }
    let line = LineIndex::new(text).line(at);
    let message = kind.to_string();
    let problem = Diagnostic::new(
        Code::YamlSyntax,
        span,
        message.trim_start_matches("while parsing node, "),
    );
    let problem = match libyaml(kind, &text[at..]) {
        // libyaml counts lines from zero, and CodeBuild shows its number.
        Some(words) => problem.codebuild(format!("{words} at line {}", line - 1)),
        None => problem,
    };
    match help(kind, &text[at..]) {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// From the place of the error to the end of the line, but at most one word.
fn underlined(text: &str, source: SourceId, at: usize) -> Span {
    let rest = &text[at..];
    let length = rest.find(|c: char| c.is_whitespace()).unwrap_or(rest.len());
    let one = rest
        .chars()
        .next()
        .filter(|c| !matches!(c, '\n' | '\r'))
        .map_or(0, char::len_utf8);
    Span::new(source, at, at + length.max(one))
}

/// What libyaml says for the same error, as far as it has the same one.
fn libyaml(kind: &ErrorKind, rest: &str) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::MappingValueNotAllowed => "mapping values are not allowed in this context",
        ErrorKind::MappingKeyNotAllowed => "mapping keys are not allowed in this context",
        ErrorKind::BlockSequenceEntryNotAllowed | ErrorKind::BlockEntryInFlowCollection => {
            "block sequence entries are not allowed in this context"
        }
        ErrorKind::ExpectedBlockMappingKey => "did not find expected key",
        ErrorKind::ExpectedBlockSequenceEntry => "did not find expected '-' indicator",
        ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnclosedFlowCollection { open: '[' } => "did not find expected ',' or ']'",
        ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnclosedFlowCollection { .. } => "did not find expected ',' or '}'",
        ErrorKind::ExpectedNodeContent => "did not find expected node content",
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => "could not find expected ':'",
        ErrorKind::UnknownAnchor => "unknown anchor referenced",
        ErrorKind::UnclosedQuotedScalar => "found unexpected end of stream",
        ErrorKind::UnknownQuotedScalarEscape => "found unknown escape character",
        ErrorKind::TabInIndentation
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInPlainScalar
        | ErrorKind::UnexpectedCharacter { .. } => "found character that cannot start any token",
        _ if rest.starts_with(['\t', '@', '`', '%']) => {
            "found character that cannot start any token"
        }
        _ => return None,
    })
}

/// What to do about it.
fn help(kind: &ErrorKind, rest: &str) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::MappingValueNotAllowed => {
            "put a text that holds `: ` in quotes, or check that the line is indented like its neighbours"
        }
        ErrorKind::TabInIndentation
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInPlainScalar
        | ErrorKind::TabAtBlockScalarStart => "indent with blanks; YAML allows no tabs",
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::ExpectedBlockSequenceEntry => {
            "check that the line is indented like its neighbours, and that a text that begins with a quote ends with one"
        }
        ErrorKind::UnclosedQuotedScalar => "close the quote",
        ErrorKind::UnknownAnchor => {
            "put a text that begins with `*` in quotes, or define the anchor further up"
        }
        ErrorKind::UnknownQuotedScalarEscape => {
            "use single quotes, in which a backslash is a backslash"
        }
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => "write a key as `key: value`",
        _ if rest.starts_with('\t') => "indent with blanks; YAML allows no tabs",
        _ if rest.starts_with(['@', '`', '%']) => "put the text in quotes",
        _ => return None,
    })
}
