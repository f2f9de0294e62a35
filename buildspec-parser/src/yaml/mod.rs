//! YAML text in, a tree of nodes with byte ranges out. Everything that knows the YAML crate is here.
//!
//! The buildspec is not read through serde: serde stops at the first error, keeps no positions, hides
//! duplicate keys and turns `1.10` into `1.1`. Errors of the text itself end the reading; everything
//! else (duplicate keys, further documents) is collected.

mod build;
mod message;
mod print;

pub(crate) use print::print;

use std::borrow::Cow;

use granit_parser::Parser;

use crate::assumptions::{DEEPEST_NESTING, LARGEST_FILE_BYTES};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::span::{SourceId, Span};

/// A value of the file and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node<'t> {
    pub(crate) span: Span,
    pub(crate) kind: Kind<'t>,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Kind<'t> {
    /// A scalar as it was written, escapes and folds resolved.
    Scalar { text: Cow<'t, str>, plain: bool },
    /// A list.
    Sequence(Vec<Node<'t>>),
    /// A map in the order of the file: keys are scalars, none twice, merge keys resolved.
    Mapping(Vec<Entry<'t>>),
}

/// One key of a map and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'t> {
    pub(crate) key: Cow<'t, str>,
    pub(crate) key_span: Span,
    pub(crate) value: Node<'t>,
}

impl Node<'_> {
    /// Whether the node is YAML's null: nothing, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true }
            if matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// What the node is, for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar { .. } if self.is_null() => "nothing",
            Kind::Scalar { .. } => "a single value",
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a map",
        }
    }
}

/// The first document of a text.
#[derive(Debug)]
pub(crate) struct Document<'t> {
    /// Its root; `None` where the text holds nothing or is not YAML.
    pub(crate) root: Option<Node<'t>>,
    /// What was found on the way.
    pub(crate) problems: Vec<Diagnostic>,
}

/// Reads the first document of a text.
pub(crate) fn read(text: &str, source: SourceId) -> Document<'_> {
    if text.len() > LARGEST_FILE_BYTES {
        let message = format!(
            "the buildspec is {} bytes, the limit is {LARGEST_FILE_BYTES}",
            text.len()
        );
        return refused(Diagnostic::new(
            Code::FileTooLarge,
            Span::new(source, 0, 0),
            message,
        ));
    }
    // The parser counts bytes from the text it is given, so a mark at the start shifts every offset.
    let offset = if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    let body = &text[offset..];
    let mut builder = build::Builder::new(text, source, offset);
    for event in Parser::new_from_str(body) {
        let step = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => Err(Box::new(message::syntax(&error, text, source, offset))),
        };
        match step {
            Ok(build::Step::More) => {}
            Ok(build::Step::Done) => break,
            Err(problem) => {
                builder.problems.push(*problem);
                return Document {
                    root: None,
                    problems: builder.problems,
                };
            }
        }
    }
    Document {
        root: builder.root,
        problems: builder.problems,
    }
}

fn refused(problem: Diagnostic) -> Document<'static> {
    Document {
        root: None,
        problems: vec![problem],
    }
}

fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::new(
        Code::NestingTooDeep,
        span,
        format!("lists and maps are nested more than {DEEPEST_NESTING} levels deep"),
    )
}
