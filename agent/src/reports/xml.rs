//! Streams an XML file through a format, within limits: one token at a time is in memory.

use std::io::{self, BufRead, Read};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::ReadError;

/// Largest token (a tag with its attributes, a piece of text), in bytes.
const LONGEST_TOKEN: usize = 16 * 1024 * 1024;

/// Most attributes of an element.
const MOST_ATTRIBUTES: usize = 256;

/// Deepest nesting of elements.
const DEEPEST: usize = 256;

/// Most text that is kept of an element, in bytes.
const LONGEST_TEXT: usize = 64 * 1024;

/// A format that is written in XML.
pub(super) trait XmlFormat {
    /// The element it starts with; the last one is named to the user.
    const ROOTS: &'static [&'static str];

    /// An element begins.
    fn start(&mut self, element: &Element<'_>);

    /// An element ends; `text` is what stands directly in it, after its last child.
    fn end(&mut self, name: &str, text: &str);
}

/// The beginning of an element. Names are without their namespace.
#[derive(Debug)]
pub(super) struct Element<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Name of the element it stands in; empty for the root.
    pub(super) parent: &'a str,
    attributes: Vec<(&'a str, String)>,
}

impl Element<'_> {
    /// The value of an attribute, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The value of an attribute; empty if it is missing.
    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// A count; 0 if it is missing or none.
    pub(super) fn count(&self, name: &str) -> u64 {
        let value = self.get(name).unwrap_or_default().trim();
        value.parse().unwrap_or(0)
    }

    /// A time in seconds, as nanoseconds.
    pub(super) fn seconds(&self, name: &str) -> u64 {
        super::tests_of_report::nanoseconds(self.get(name).unwrap_or_default())
    }
}

/// Reads a file to its end.
pub(super) fn read<F: XmlFormat>(file: impl BufRead, format: &mut F) -> Result<(), ReadError> {
    let mut reader = Reader::from_reader(Limited {
        inner: file,
        left: LONGEST_TOKEN,
    });
    reader.config_mut().allow_dangling_amp = true;
    let mut buffer = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut text = String::new();
    let mut seen_root = false;
    loop {
        reader.get_mut().left = LONGEST_TOKEN;
        buffer.clear();
        match reader.read_event_into(&mut buffer)? {
            Event::Start(tag) => {
                start(&tag, &open, format, &mut seen_root)?;
                open.push(tag.local_name().as_ref().to_owned());
                if open.len() > DEEPEST {
                    return Err(ReadError::Refused("elements are nested too deeply"));
                }
                text.clear();
            }
            Event::Empty(tag) => {
                start(&tag, &open, format, &mut seen_root)?;
                format.end(tag.local_name().as_ref(), "");
                text.clear();
            }
            Event::End(tag) => {
                format.end(tag.local_name().as_ref(), text.trim());
                open.pop();
                text.clear();
            }
            Event::Text(part) => append(&mut text, &part.into_inner()),
            Event::CData(part) => append(&mut text, &part.into_inner()),
            Event::GeneralRef(reference) => {
                // No entity but XML's own is known, so that none can grow.
                let raw = format!("&{};", &*reference);
                append(
                    &mut text,
                    &quick_xml::escape::unescape(&raw).unwrap_or_default(),
                );
            }
            Event::DocType(declaration) if declaration.contains('[') => {
                return Err(ReadError::Refused("the document declares entities"));
            }
            Event::Eof => break,
            _ => {}
        }
    }
    match open.last() {
        _ if !seen_root => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        Some(_) => Err(ReadError::Refused("the document ends inside an element")),
        None => Ok(()),
    }
}

fn start<F: XmlFormat>(
    tag: &BytesStart<'_>,
    open: &[String],
    format: &mut F,
    seen_root: &mut bool,
) -> Result<(), ReadError> {
    let name = tag.local_name();
    let name = name.as_ref();
    if open.is_empty() && !F::ROOTS.contains(&name) {
        return Err(ReadError::OtherElement {
            expected: F::ROOTS.last().copied().unwrap_or_default(),
            found: name.chars().take(100).collect(),
        });
    }
    *seen_root = true;
    let mut attributes = Vec::new();
    // The check for duplicates compares each with each.
    for attribute in tag.attributes().with_checks(false) {
        let attribute = attribute.map_err(quick_xml::Error::from)?;
        if attributes.len() == MOST_ATTRIBUTES {
            return Err(ReadError::Refused("an element has too many attributes"));
        }
        let raw = &attribute.value;
        let value = quick_xml::escape::unescape(raw).map_or_else(|_| raw.to_string(), String::from);
        attributes.push((attribute.key.local_name().into_inner(), value));
    }
    format.start(&Element {
        name,
        parent: open.last().map_or("", String::as_str),
        attributes,
    });
    Ok(())
}

fn append(text: &mut String, part: &str) {
    let room = LONGEST_TEXT.saturating_sub(text.len());
    text.push_str(&part[..part.floor_char_boundary(room)]);
}

/// Ends a file that has a token without an end.
struct Limited<R> {
    inner: R,
    left: usize,
}

impl<R: BufRead> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl<R: BufRead> BufRead for Limited<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::Error::other(
                "refused: a tag or text is larger than 16 MiB",
            ));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount);
        self.inner.consume(amount);
    }
}
