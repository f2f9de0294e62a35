//! A quick reader of the plain part of YAML, in which nearly every buildspec is written: block maps
//! and lists, scalars and lists of them on one line, blocks of text.
//!
//! It gives the same tree as the reader of all of YAML, or nothing: whatever it does not know, an
//! error included, is left to that one, which alone knows what is wrong and how to say so. The tests
//! hold the two against each other.

mod scalar;

use std::borrow::Cow;

use self::scalar::Beginning;
use super::build::is_distinct;
use super::{Entry, Kind, Node};
use crate::span::{SourceId, Span};

/// Deepest nesting that is read here, well below what is refused.
const DEEPEST: usize = 32;

/// Most lines, and items of lists within lines, that are read here: a line has at most two scalars
/// and begins few lists and maps, so that the limit of values is out of reach.
const MOST_LINES: usize = 4096;

/// Longest key in bytes; the limit of YAML is 1,024 characters.
const LONGEST_KEY: usize = 1000;

/// Reads a text whose byte order mark, if any, ends at `offset`. `None` if something else than the
/// plain part of YAML is in it.
pub(super) fn read(text: &str, source: SourceId, offset: usize) -> Option<Node<'_>> {
    if !has_plain_characters(&text[offset..]) {
        return None;
    }
    let mut reader = Quick {
        text,
        source,
        line: Line::default(),
        next: offset,
        lines: 0,
        depth: 0,
    };
    reader.advance()?;
    if reader.line.is_end() || reader.line.indent != 0 || reader.is_item() {
        return None;
    }
    let root = reader.mapping()?;
    reader.line.is_end().then_some(root)
}

/// Whether there are no characters in a text that YAML does not allow, or that one could take for
/// the end of a line.
fn has_plain_characters(text: &str) -> bool {
    let is_control = |byte: u8| (byte < b' ' && byte != b'\n' && byte != b'\t') || byte == 0x7f;
    // Looks at all bytes, so that the compiler can take many at a time.
    let controls = text
        .bytes()
        .fold(false, |found, byte| found | is_control(byte));
    !controls
        && (text.is_ascii()
            || !text.chars().any(|character| {
                matches!(character, '\u{80}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{fdd0}'..='\u{ffff}')
            }))
}

/// A line with something on it, or what is left of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Line {
    /// Where its content begins.
    start: usize,
    /// Column of the content, from 0.
    indent: usize,
    /// Where the line ends, without the line feed.
    end: usize,
}

impl Line {
    /// Whether the text is over.
    fn is_end(self) -> bool {
        self.start == self.end
    }
}

#[derive(Debug)]
struct Quick<'t> {
    text: &'t str,
    source: SourceId,
    line: Line,
    /// Where the line after this one begins.
    next: usize,
    lines: usize,
    depth: usize,
}

impl<'t> Quick<'t> {
    /// Goes on to the next line that is not blank and not a comment.
    fn advance(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        loop {
            let begin = self.next;
            if begin >= bytes.len() {
                self.line = Line {
                    start: bytes.len(),
                    indent: 0,
                    end: bytes.len(),
                };
                return Some(());
            }
            self.lines += 1;
            if self.lines > MOST_LINES {
                return None;
            }
            let end = self.end_of_line(begin);
            self.next = end + 1;
            let indent = count_spaces(&bytes[begin..end]);
            let start = begin + indent;
            match bytes.get(start) {
                Some(b'\t') => return None,
                Some(b'#' | b'\n') | None => {}
                Some(_) => {
                    let is_first = self.line == Line::default();
                    self.line = Line { start, indent, end };
                    if indent > 0 || !self.content().starts_with(['-', '.']) {
                        return Some(());
                    }
                    match self.content() {
                        "---" if is_first => {}
                        content if content.starts_with("---") || content.starts_with("...") => {
                            return None;
                        }
                        _ => return Some(()),
                    }
                }
            }
        }
    }

    fn end_of_line(&self, from: usize) -> usize {
        self.text[from..]
            .find('\n')
            .map_or(self.text.len(), |length| from + length)
    }

    /// What is left of the line.
    fn content(&self) -> &'t str {
        &self.text[self.line.start..self.line.end]
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.source, start, end)
    }

    /// Whether the line begins an item of a list.
    fn is_item(&self) -> bool {
        let content = self.content().as_bytes();
        content.first() == Some(&b'-') && matches!(content.get(1), None | Some(b' '))
    }

    /// The list or map that begins at the line.
    fn collection(&mut self) -> Option<Node<'t>> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let node = if self.is_item() {
            self.sequence()
        } else {
            self.mapping()
        };
        self.depth -= 1;
        node
    }

    fn sequence(&mut self) -> Option<Node<'t>> {
        let Line { start, indent, .. } = self.line;
        let mut items = Vec::with_capacity(4);
        while self.line.indent == indent && self.is_item() {
            items.push(self.item(indent)?);
        }
        let end = items.last().map_or(start, |item| item.span.end);
        Some(Node {
            span: self.span(start, end),
            kind: Kind::Sequence(items),
        })
    }

    /// Reads one item of a list at column `indent` and goes on to the line after it.
    fn item(&mut self, indent: usize) -> Option<Node<'t>> {
        let Line { start, end, .. } = self.line;
        let spaces = count_spaces(&self.text.as_bytes()[start + 1..end]);
        let content = start + 1 + spaces;
        if content == end || self.text.as_bytes()[content] == b'#' {
            // Where a null item stands is for the other reader to say.
            return self.below(indent, indent + 1, None);
        }
        self.line = Line {
            start: content,
            indent: self.line.indent + 1 + spaces,
            end,
        };
        if self.is_item() {
            return None;
        }
        if self.beginning()? != Beginning::Value {
            let map = self.collection()?;
            return (self.line.indent <= indent).then_some(map);
        }
        self.scalar(indent)
    }

    fn mapping(&mut self) -> Option<Node<'t>> {
        let Line { start, indent, .. } = self.line;
        let mut entries: Vec<Entry<'t>> = Vec::with_capacity(4);
        while self.line.indent == indent && !self.line.is_end() && !self.is_item() {
            entries.push(self.entry(indent)?);
        }
        if !is_distinct(&entries) {
            return None;
        }
        let last = entries.last()?;
        let end = last.key_span.end.max(last.value.span.end);
        Some(Node {
            span: self.span(start, end),
            kind: Kind::Mapping(entries),
        })
    }

    /// Reads one entry of a map at column `indent` and goes on to the line after it.
    fn entry(&mut self, indent: usize) -> Option<Entry<'t>> {
        let Line { start, end, .. } = self.line;
        let Beginning::Key(colon) = self.beginning()? else {
            return None;
        };
        let (key, length) = scalar::key(&self.text[start..colon])?;
        if length > LONGEST_KEY || key == "<<" {
            return None;
        }
        let after = colon + 1;
        let content = after + count_spaces(&self.text.as_bytes()[after..end]);
        let value = if content == end || self.text.as_bytes()[content] == b'#' {
            self.below(indent, indent, Some(colon))?
        } else {
            self.line.indent += content - start;
            self.line.start = content;
            if self.is_item() || self.beginning()? != Beginning::Value {
                return None;
            }
            self.scalar(indent)?
        };
        Some(Entry {
            key,
            key_span: self.span(start, start + length),
            value,
        })
    }

    /// Reads the list or map on the lines below a key or a dash at column `indent`, of which a list
    /// may begin at `list_indent`. Where there is none, the value is null, and stands at `null_at`.
    fn below(
        &mut self,
        indent: usize,
        list_indent: usize,
        null_at: Option<usize>,
    ) -> Option<Node<'t>> {
        self.advance()?;
        let is_item = self.is_item();
        let is_below = self.line.indent > indent;
        let is_list_beside = is_item && self.line.indent == list_indent;
        if self.line.is_end() || !(is_below || is_list_beside) {
            return Some(self.null(null_at?));
        }
        if !is_item && self.beginning()? == Beginning::Value {
            return None;
        }
        let dash = self.line;
        let mut node = self.collection()?;
        if !is_below {
            // The other reader lets such a list begin after its first dash.
            let item = self.text[dash.start + 1..dash.end].trim_start_matches(' ');
            if item.is_empty() || item.starts_with('#') {
                return None;
            }
            node.span.start = dash.end - item.len();
        }
        (self.line.indent <= indent).then_some(node)
    }

    /// A value that is not there, at its place.
    fn null(&self, at: usize) -> Node<'t> {
        Node {
            span: self.span(at, at),
            kind: Kind::Scalar {
                text: Cow::Borrowed("~"),
                plain: true,
            },
        }
    }

    /// Reads the scalar that fills the rest of the line, and goes on to the line after it.
    /// `indent` is the column of the list or map it is in.
    fn scalar(&mut self, indent: usize) -> Option<Node<'t>> {
        let node = match self.text.as_bytes()[self.line.start] {
            b'|' | b'>' => self.block(indent)?,
            b'\'' | b'"' => self.quoted()?,
            b'[' => self.flow()?,
            _ => self.plain()?,
        };
        self.advance()?;
        // What is further in would go on with the scalar.
        (self.line.indent <= indent).then_some(node)
    }
}

fn count_spaces(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|byte| *byte != b' ')
        .unwrap_or(bytes.len())
}
