//! Writes a tree of nodes as YAML that every reader understands alike.

use std::fmt::Write as _;

use super::{Kind, Node};

/// Blanks for each level of nesting.
const INDENT: usize = 2;

/// The tree as block YAML, ending with a line break.
pub(crate) fn print(node: &Node<'_>) -> String {
    let mut out = String::new();
    match &node.kind {
        Kind::Mapping(entries) if !entries.is_empty() => value(&mut out, node, 0),
        Kind::Sequence(items) if !items.is_empty() => value(&mut out, node, 0),
        _ => inline(&mut out, node),
    }
    out.push('\n');
    out.trim_start_matches('\n').to_owned()
}

/// What follows a key or a dash: on the same line, or on the lines below at `depth`.
fn value(out: &mut String, node: &Node<'_>, depth: usize) {
    match &node.kind {
        Kind::Mapping(entries) if !entries.is_empty() => {
            for entry in entries {
                new_line(out, depth);
                scalar(out, &entry.key);
                out.push(':');
                nested(out, &entry.value, depth + 1);
            }
        }
        Kind::Sequence(items) if !items.is_empty() => {
            for item in items {
                new_line(out, depth);
                out.push('-');
                nested(out, item, depth + 1);
            }
        }
        _ => {
            out.push(' ');
            inline(out, node);
        }
    }
}

fn nested(out: &mut String, node: &Node<'_>, depth: usize) {
    match &node.kind {
        Kind::Scalar { text, plain: false } if fits_block(text) => block(out, text, depth),
        _ => value(out, node, depth),
    }
}

fn inline(out: &mut String, node: &Node<'_>) {
    match &node.kind {
        Kind::Mapping(_) => out.push_str("{}"),
        Kind::Sequence(_) => out.push_str("[]"),
        Kind::Scalar { text, plain: true } => out.push_str(text),
        Kind::Scalar { text, plain: false } => scalar(out, text),
    }
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', depth * INDENT));
}

/// A text of several lines that a literal block gives back unchanged.
fn fits_block(text: &str) -> bool {
    let lines = text.strip_suffix('\n').unwrap_or(text);
    lines.contains('\n')
        && !lines.ends_with('\n')
        && !text.starts_with([' ', '\n'])
        && text.chars().all(|c| c == '\n' || is_printable(c))
}

fn block(out: &mut String, text: &str, depth: usize) {
    out.push_str(if text.ends_with('\n') { " |" } else { " |-" });
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if line.is_empty() {
            out.push('\n');
        } else {
            new_line(out, depth);
            out.push_str(line);
        }
    }
}

/// A text as a plain scalar where that cannot be misread, else in double quotes.
fn scalar(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c => {
                // Writing to a text cannot fail.
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
        }
    }
    out.push('"');
}

/// Words that no version of YAML takes for anything but text.
fn is_plain(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ');
    let reserved = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(word)
        && !text.ends_with(' ')
        && !reserved
            .iter()
            .any(|reserved| reserved.eq_ignore_ascii_case(text))
}

/// Characters that are safe as they are: no control characters, no exotic line breaks, no marks.
fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
}
