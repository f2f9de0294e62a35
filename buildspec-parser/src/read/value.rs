//! Values that many keys share: texts, lists, switches, maps.

use super::Reader;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::model::Map;
use crate::span::Spanned;
use crate::yaml::{Entry, Kind, Node};

impl Reader<'_> {
    /// The keys of a map; nothing counts as an empty map.
    pub(super) fn mapping<'n, 't>(&mut self, node: &'n Node<'t>, what: &str) -> &'n [Entry<'t>] {
        match &node.kind {
            Kind::Mapping(entries) => entries,
            _ if node.is_null() => &[],
            _ => {
                self.wrong_type(node, what, "a map of keys to values");
                &[]
            }
        }
    }

    /// A scalar's source text; nothing is the empty text.
    pub(super) fn text(&mut self, node: &Node<'_>, what: &str) -> Option<Spanned<String>> {
        match &node.kind {
            Kind::Scalar { .. } if node.is_null() => Some(Spanned::new(String::new(), node.span)),
            Kind::Scalar { text, .. } => Some(Spanned::new(text.clone().into_owned(), node.span)),
            _ => {
                self.wrong_type(node, what, "a single value");
                None
            }
        }
    }

    /// A scalar's source text; nothing is as if the key were absent.
    pub(super) fn some_text(&mut self, node: &Node<'_>, what: &str) -> Option<Spanned<String>> {
        if node.is_null() {
            None
        } else {
            self.text(node, what)
        }
    }

    /// A list of texts. One single text is taken as a list of one, with a warning.
    pub(super) fn texts(&mut self, node: &Node<'_>, what: &str) -> Vec<Spanned<String>> {
        match &node.kind {
            Kind::Sequence(items) => {
                let element = format!("an element of {what}");
                items
                    .iter()
                    .filter_map(|item| self.text(item, &element))
                    .collect()
            }
            Kind::Scalar { .. } if node.is_null() => Vec::new(),
            Kind::Scalar { text, .. } => {
                let message = format!("{what} is documented as a list, and this is a single value");
                self.note(
                    Diagnostic::new(Code::ScalarForList, node.span, message)
                        .help("write it as `- …`"),
                );
                vec![Spanned::new(text.clone().into_owned(), node.span)]
            }
            Kind::Mapping(_) => {
                self.wrong_type(node, what, "a list");
                Vec::new()
            }
        }
    }

    /// A switch: `yes`, `no`, `true`, `false`, `on`, `off`, in quotes or not, in any case.
    pub(super) fn flag(&mut self, node: &Node<'_>, what: &str) -> Option<Spanned<bool>> {
        let text = self.some_text(node, what)?;
        let value = match text.value.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" | "y" => true,
            "no" | "false" | "off" | "n" => false,
            "" => return None,
            _ => {
                let message = format!("{what} is yes or no, not `{}`", text.value);
                self.note(Diagnostic::new(Code::InvalidFlag, node.span, message));
                return None;
            }
        };
        Some(Spanned::new(value, node.span))
    }

    /// A map of names to texts.
    pub(super) fn texts_by_name(&mut self, node: &Node<'_>, what: &str) -> Map<Spanned<String>> {
        let element = format!("a value of {what}");
        let entries = self.mapping(node, what);
        entries
            .iter()
            .filter_map(|entry| Some((name(entry), self.text(&entry.value, &element)?)))
            .collect()
    }

    /// `run-as`: a user name (buildspec reference, run-as).
    pub(super) fn user(&mut self, node: &Node<'_>) -> Option<Spanned<String>> {
        let user = self.some_text(node, "`run-as`")?;
        if user.value.is_empty()
            || user
                .value
                .contains(|c: char| c.is_whitespace() || c.is_control() || c == ':')
        {
            let message = "`run-as` is the name of a user in the image";
            self.note(Diagnostic::new(Code::InvalidRunAs, node.span, message));
            return None;
        }
        Some(user)
    }
}

/// A key as a name with its place.
pub(super) fn name(entry: &Entry<'_>) -> Spanned<String> {
    Spanned::new(entry.key.clone().into_owned(), entry.key_span)
}
