//! YAML text in, a tree of nodes with byte ranges out. Everything that knows the YAML crate is here.
//!
//! The buildspec is not read through serde: serde stops at the first error, keeps no positions, hides
//! duplicate keys and turns `1.10` into `1.1`. Errors of the text itself end the reading; everything
//! else (duplicate keys, further documents) is collected.

mod build;
mod message;
mod print;
mod quick;

pub(crate) use print::print;

use std::borrow::Cow;

use granit_parser::Parser;

use crate::assumptions::{DEEPEST_NESTING, LARGEST_FILE_BYTES};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::span::{SourceId, Span};

/// A value of the file and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node<'t> {
    pub(crate) span: Span,
    pub(crate) kind: Kind<'t>,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind<'t> {
    /// A scalar as it was written, escapes and folds resolved.
    Scalar { text: Cow<'t, str>, plain: bool },
    /// A list.
    Sequence(Vec<Node<'t>>),
    /// A map in the order of the file: keys are scalars, none twice, merge keys resolved.
    Mapping(Vec<Entry<'t>>),
}

/// One key of a map and its value.
#[derive(Debug, Clone, PartialEq)]
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
    // A byte order mark shifts every offset.
    let offset = if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    if let Some(root) = quick::read(text, source, offset) {
        debug_assert_eq!(
            Some(&root),
            read_all(text, source, offset).root.as_ref(),
            "the quick reader sees something else in {text:?}"
        );
        return Document {
            root: Some(root),
            problems: Vec::new(),
        };
    }
    read_all(text, source, offset)
}

/// Reads all of YAML.
fn read_all(text: &str, source: SourceId, offset: usize) -> Document<'_> {
    // The parser counts bytes from the text it is given.
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Whether the quick reader reads a text. What it then gives is what the other one gives.
    fn agree(text: &str) -> bool {
        let source = SourceId::Buildspec;
        let Some(quick) = quick::read(text, source, 0) else {
            return false;
        };
        let all = read_all(text, source, 0);
        assert!(all.problems.is_empty(), "{text:?}: {:?}", all.problems);
        assert_eq!(Some(quick), all.root, "{text:?}");
        true
    }

    fn specs() -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/specs");
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        files
            .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
            .filter_map(|path| fs::read_to_string(path).ok())
            .collect()
    }

    #[test]
    fn the_quick_reader_gives_what_the_other_one_gives() {
        let specs = specs();
        let read = specs.iter().filter(|text| agree(text)).count();
        // It would be worth nothing if it declined the most of them.
        assert!(read * 3 > specs.len() * 2, "{read} of {}", specs.len());
    }

    /// Whether a node says what `serde_yaml` reads. Numbers and the like are compared as what their
    /// text says: the tree keeps it as it was written.
    fn says(node: &Node<'_>, value: &serde_yaml::Value) -> bool {
        match (&node.kind, value) {
            (_, serde_yaml::Value::Tagged(tagged)) => says(node, &tagged.value),
            (Kind::Scalar { text, .. }, serde_yaml::Value::String(value)) => text == value,
            (Kind::Scalar { text, .. }, value) => {
                serde_yaml::from_str(text).is_ok_and(|said: serde_yaml::Value| said == *value)
            }
            (Kind::Sequence(items), serde_yaml::Value::Sequence(values)) => {
                items.len() == values.len()
                    && items
                        .iter()
                        .zip(values)
                        .all(|(item, value)| says(item, value))
            }
            (Kind::Mapping(entries), serde_yaml::Value::Mapping(values)) => {
                entries.len() == values.len()
                    && entries.iter().all(|Entry { key, value, .. }| {
                        let typed = || serde_yaml::from_str::<serde_yaml::Value>(key).ok();
                        let found = values.get(key.as_ref());
                        let found = found.or_else(|| values.get(typed()?));
                        found.is_some_and(|found| says(value, found))
                    })
            }
            _ => false,
        }
    }

    #[test]
    fn serde_yaml_reads_the_same_tree() {
        let mut compared = 0;
        for text in specs() {
            let Document {
                root: Some(root),
                problems,
            } = read(&text, SourceId::Buildspec)
            else {
                continue;
            };
            let Ok(mut value) = serde_yaml::from_str::<serde_yaml::Value>(&text) else {
                continue;
            };
            if problems.is_empty() && value.apply_merge().is_ok() {
                assert!(says(&root, &value), "{text}\n{root:?}\n{value:?}");
                compared += 1;
            }
        }
        assert!(compared > 200, "{compared}");
    }

    /// Texts made of what the two could disagree about.
    #[test]
    fn the_quick_reader_declines_what_it_does_not_know() {
        const PIECES: [&str; 40] = [
            "a", "b: ", "c:", ":", "- ", "-", " ", "  ", "    ", "\n", "\n", "\n  ", "\n    ", "#",
            " # c", "'", "''", "\"", "\\n", "\\", "|", "|-\n", ">", ">-\n", "|+\n", "[", "]", ", ",
            "{", "}", "&a ", "*a", "!t ", "---", "...", "\t", "<<: ", "é", "\u{a0}", "~",
        ];
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut below = |limit: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % limit as u64).unwrap()
        };
        let specs = specs();
        let mut read = 0;
        for _ in 0..100_000 {
            let mut text = if below(3) == 0 {
                String::new()
            } else {
                specs[below(specs.len())].clone()
            };
            for _ in 0..=below(5) {
                let mut at = below(text.len() + 1);
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                let at = if text.len() < 40 { text.len() } else { at };
                text.insert_str(at, PIECES[below(PIECES.len())]);
            }
            read += usize::from(agree(&text));
        }
        assert!(read > 10_000, "{read}");
    }
}
