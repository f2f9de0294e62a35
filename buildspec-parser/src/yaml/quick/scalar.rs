//! The scalars that the quick reader knows.

use std::borrow::Cow;

use super::{Line, MOST_LINES, Quick, count_spaces};
use crate::yaml::{Kind, Node};

/// What a line begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// A key, after which a colon stands here.
    Key(usize),
    /// A value.
    Value,
}

impl<'t> Quick<'t> {
    /// What the rest of the line begins with. `None` for what is not known here.
    pub(super) fn beginning(&self) -> Option<Beginning> {
        let Line { start, end, .. } = self.line;
        let content = &self.text.as_bytes()[start..end];
        match content.first()? {
            b'|' | b'>' | b'[' => return Some(Beginning::Value),
            quote @ (b'\'' | b'"') => {
                let length = quoted_length(content, *quote)?;
                let spaces = count_spaces(&content[length..]);
                let colon = length + spaces;
                let is_key = content.get(colon) == Some(&b':')
                    && matches!(content.get(colon + 1), None | Some(b' '));
                return Some(if is_key {
                    Beginning::Key(start + colon)
                } else {
                    Beginning::Value
                });
            }
            first => {
                if !can_begin_plain(*first, content.get(1).copied()) {
                    return None;
                }
            }
        }
        let mut at = 0;
        while let Some(step) = content[at..]
            .iter()
            .position(|byte| matches!(byte, b':' | b'#' | b'\t'))
        {
            at += step;
            match content[at] {
                b'\t' => return None,
                b'#' if at > 0 && content[at - 1] == b' ' => break,
                b':' if matches!(content.get(at + 1), None | Some(b' ')) => {
                    return Some(Beginning::Key(start + at));
                }
                _ => at += 1,
            }
        }
        Some(Beginning::Value)
    }

    /// The plain scalar that fills the line up to a comment.
    pub(super) fn plain(&self) -> Option<Node<'t>> {
        let Line { start, .. } = self.line;
        let content = self.content();
        if content.contains('\t') {
            return None;
        }
        let text = content.find(" #").map_or(content, |at| &content[..at]);
        let text = text.trim_end_matches(' ');
        Some(Node {
            span: self.span(start, start + text.trim_end().len()),
            kind: Kind::Scalar {
                text: Cow::Borrowed(text),
                plain: true,
            },
        })
    }

    /// The quoted scalar that fills the line up to a comment.
    pub(super) fn quoted(&self) -> Option<Node<'t>> {
        let Line { start, .. } = self.line;
        let content = self.content();
        let length = quoted_length(content.as_bytes(), content.as_bytes()[0])?;
        if !is_nothing(&content[length..]) {
            return None;
        }
        Some(Node {
            span: self.span(start, start + length),
            kind: Kind::Scalar {
                text: unquoted(&content[..length])?,
                plain: false,
            },
        })
    }

    /// The list of scalars in brackets that fills the line up to a comment.
    pub(super) fn flow(&mut self) -> Option<Node<'t>> {
        let start = self.line.start;
        let content = self.content();
        let mut items = Vec::new();
        let mut at = 1;
        loop {
            at += count_spaces(&content.as_bytes()[at..]);
            match content.as_bytes().get(at)? {
                b']' => break,
                b'\'' | b'"' => {
                    let quote = content.as_bytes()[at];
                    let length = quoted_length(&content.as_bytes()[at..], quote)?;
                    items.push(self.flow_item(at, length, false)?);
                    at += length;
                }
                first => {
                    // Fewer characters than could be there: none that means something in a list.
                    let is_plain = |byte: u8| {
                        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/' | b'.' | b'$')
                    };
                    if !is_plain(*first) {
                        return None;
                    }
                    let rest = &content[at..];
                    let length = rest.find([',', ']'])?;
                    let text = rest[..length].trim_end_matches(' ');
                    let is_known =
                        |byte: u8| is_plain(byte) || matches!(byte, b'-' | b'*' | b' ' | b'=');
                    if !text.bytes().all(is_known) {
                        return None;
                    }
                    items.push(self.flow_item(at, text.len(), true)?);
                    at += text.len();
                }
            }
            at += count_spaces(&content.as_bytes()[at..]);
            match content.as_bytes().get(at)? {
                b',' => at += 1,
                b']' => break,
                _ => return None,
            }
        }
        self.lines += items.len();
        if self.lines > MOST_LINES || !is_nothing(&content[at + 1..]) {
            return None;
        }
        Some(Node {
            span: self.span(start, start + at + 1),
            kind: Kind::Sequence(items),
        })
    }

    fn flow_item(&self, at: usize, length: usize, plain: bool) -> Option<Node<'t>> {
        let text = &self.content()[at..at + length];
        let start = self.line.start + at;
        Some(Node {
            span: self.span(start, start + length),
            kind: Kind::Scalar {
                text: if plain {
                    Cow::Borrowed(text)
                } else {
                    unquoted(text)?
                },
                plain,
            },
        })
    }

    /// The block of text that begins with the `|` or `>` at the line. `parent` is the column of the
    /// list or map it is in.
    pub(super) fn block(&mut self, parent: usize) -> Option<Node<'t>> {
        let header = self.content().trim_end_matches(' ');
        let is_folded = header.starts_with('>');
        let is_stripped = match &header[1..] {
            "" => false,
            "-" => true,
            _ => return None,
        };
        let bytes = self.text.as_bytes();
        let first = self.next;
        let indent = count_spaces(bytes.get(first..)?);
        // A blank line before the text is left to the other reader.
        if indent <= parent || matches!(bytes.get(first + indent), None | Some(b'\n' | b'\t')) {
            return None;
        }
        let mut text = String::new();
        let (mut content_end, mut kept) = (first, 0);
        while self.next < bytes.len() {
            let (begin, end) = (self.next, self.end_of_line(self.next));
            let spaces = count_spaces(&bytes[begin..end]).min(indent);
            let is_blank = begin + spaces == end;
            if !is_blank && spaces < indent {
                // It ends the block, unless it is no YAML.
                if spaces > parent || bytes[begin + spaces] == b'\t' {
                    return None;
                }
                break;
            }
            if is_folded && kept > 0 {
                // Lines that are not simply joined are left to the other reader.
                if is_blank || text.len() > kept || matches!(bytes[begin + spaces], b' ' | b'\t') {
                    return None;
                }
                text.pop();
                text.push(' ');
            }
            self.lines += 1;
            text.push_str(&self.text[begin + spaces..end]);
            text.push('\n');
            if !is_blank {
                content_end = end;
                kept = text.len();
            }
            self.next = end + 1;
        }
        text.truncate(kept - usize::from(is_stripped));
        let end = self.text[..content_end].trim_end().len();
        Some(Node {
            span: self.span(first + indent, end),
            kind: Kind::Scalar {
                text: Cow::Owned(text),
                plain: false,
            },
        })
    }
}

/// Whether the rest of a line after a closing character is blank or a comment.
fn is_nothing(rest: &str) -> bool {
    let after = rest.trim_start_matches(' ');
    after.is_empty() || (after.starts_with('#') && after.len() < rest.len())
}

/// A key and its length in the text, without spaces before the colon.
pub(super) fn key(text: &str) -> Option<(Cow<'_, str>, usize)> {
    let text = text.trim_end_matches(' ');
    let key = if text.starts_with(['\'', '"']) {
        unquoted(text)?
    } else {
        Cow::Borrowed(text)
    };
    Some((key, text.trim_end().len()))
}

/// Whether a plain scalar may begin like this.
fn can_begin_plain(first: u8, second: Option<u8>) -> bool {
    match first {
        b'-' => !matches!(second, None | Some(b' ')),
        b'?' | b':' | b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'>'
        | b'%' | b'@' | b'`' => false,
        _ => true,
    }
}

/// Length of a scalar in quotes, with them, if it ends on the line.
fn quoted_length(content: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        at += content.get(at..)?.iter().position(|byte| {
            *byte == quote || *byte == b'\t' || (*byte == b'\\' && quote == b'"')
        })?;
        match content[at] {
            b'\t' => return None,
            b'\\' => at += 2,
            _ if quote == b'\'' && content.get(at + 1) == Some(&b'\'') => at += 2,
            _ => return Some(at + 1),
        }
    }
}

/// The value of a scalar in quotes.
fn unquoted(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.get(1..text.len() - 1)?;
    if text.starts_with('\'') {
        return Some(if inner.contains('\'') {
            Cow::Owned(inner.replace("''", "'"))
        } else {
            Cow::Borrowed(inner)
        });
    }
    let Some(mut escape) = inner.find('\\') else {
        return Some(Cow::Borrowed(inner));
    };
    let (mut value, mut rest) = (String::with_capacity(inner.len()), inner);
    loop {
        value.push_str(&rest[..escape]);
        value.push(match rest.as_bytes().get(escape + 1)? {
            b'n' => '\n',
            b't' => '\t',
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            _ => return None,
        });
        rest = &rest[escape + 2..];
        let Some(next) = rest.find('\\') else {
            value.push_str(rest);
            return Some(Cow::Owned(value));
        };
        escape = next;
    }
}
