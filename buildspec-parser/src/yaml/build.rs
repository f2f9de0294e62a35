//! Puts the parser's events together to a tree, within the limits of a hostile file.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use granit_parser::{Event, ScalarStyle, Span as Marks};

use super::{Entry, Kind, Node, too_deep};
use crate::assumptions::{
    COPIED_NODE_COST, DEEPEST_NESTING, LARGEST_ALIAS_EXPANSION, MOST_DIAGNOSTICS, MOST_VALUES,
};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::span::{SourceId, Span};

/// Whether the document goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    More,
    Done,
}

/// The tree so far.
#[derive(Debug)]
pub(super) struct Builder<'t> {
    text: &'t str,
    source: SourceId,
    offset: usize,
    stack: Vec<Frame<'t>>,
    /// Finished nodes that have an anchor, with their cost; by the parser's number of the anchor.
    anchors: BTreeMap<usize, (Node<'t>, usize)>,
    copied: usize,
    values: usize,
    pub(super) root: Option<Node<'t>>,
    pub(super) problems: Vec<Diagnostic>,
}

/// A list or map that is not closed yet.
#[derive(Debug)]
struct Frame<'t> {
    span: Span,
    anchor: usize,
    cost: usize,
    open: Open<'t>,
}

#[derive(Debug)]
enum Open<'t> {
    Sequence(Vec<Node<'t>>),
    Mapping {
        pairs: Vec<(Node<'t>, Node<'t>)>,
        key: Option<Node<'t>>,
    },
}

impl<'t> Builder<'t> {
    pub(super) fn new(text: &'t str, source: SourceId, offset: usize) -> Self {
        Self {
            text,
            source,
            offset,
            stack: Vec::new(),
            anchors: BTreeMap::new(),
            copied: 0,
            values: 0,
            root: None,
            problems: Vec::new(),
        }
    }

    /// Takes one event; an error ends the reading.
    pub(super) fn event(
        &mut self,
        event: Event<'t>,
        marks: Marks,
    ) -> Result<Step, Box<Diagnostic>> {
        self.count(marks)?;
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let cost = COPIED_NODE_COST + text.len();
                let plain = style == ScalarStyle::Plain;
                let node = Node {
                    span: self.span(marks),
                    kind: Kind::Scalar { text, plain },
                };
                self.finish(node, anchor, cost)?;
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(marks, anchor, Open::Sequence(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, _) => {
                self.open(
                    marks,
                    anchor,
                    Open::Mapping {
                        pairs: Vec::new(),
                        key: None,
                    },
                )?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(marks)?,
            Event::Alias(anchor) => self.alias(anchor, marks)?,
            Event::DocumentEnd => return Ok(Step::Done),
            _ => {}
        }
        Ok(Step::More)
    }

    /// The end of a list or map counts like its beginning: what is bounded is work.
    fn count(&mut self, marks: Marks) -> Result<(), Box<Diagnostic>> {
        self.values += 1;
        if self.values > MOST_VALUES {
            let message = format!("the file has more than {MOST_VALUES} values");
            let span = self.span(marks);
            return Err(Box::new(Diagnostic::new(
                Code::TooManyValues,
                span,
                message,
            )));
        }
        Ok(())
    }

    fn open(&mut self, marks: Marks, anchor: usize, open: Open<'t>) -> Result<(), Box<Diagnostic>> {
        let span = self.span(marks);
        if self.stack.len() >= DEEPEST_NESTING {
            return Err(Box::new(too_deep(span)));
        }
        self.stack.push(Frame {
            span,
            anchor,
            cost: COPIED_NODE_COST,
            open,
        });
        Ok(())
    }

    fn close(&mut self, marks: Marks) -> Result<(), Box<Diagnostic>> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let closing = self.span(marks);
        let (kind, last) = match frame.open {
            Open::Sequence(items) => {
                let last = items.last().map(|item| item.span);
                (Kind::Sequence(items), last)
            }
            Open::Mapping { pairs, .. } => {
                let last = pairs.last().map(|(key, value)| key.span.to(value.span));
                (Kind::Mapping(self.entries(pairs)?), last)
            }
        };
        // A block ends where its last value does; only a flow collection has a closing character. The
        // last value may be a copy from further up: then the end of the block is not known so well.
        let end = if closing.is_empty() {
            last.map_or(frame.span.end, |last| last.end)
        } else {
            closing.end
        };
        let span = Span::new(self.source, frame.span.start, end.max(frame.span.end));
        self.finish(Node { span, kind }, frame.anchor, frame.cost)
    }

    /// Puts a finished node where it belongs.
    fn finish(
        &mut self,
        node: Node<'t>,
        anchor: usize,
        cost: usize,
    ) -> Result<(), Box<Diagnostic>> {
        if anchor != 0 {
            self.spend(cost, node.span)?;
            self.anchors.insert(anchor, (node.clone(), cost));
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.cost += cost;
        match &mut frame.open {
            Open::Sequence(items) => items.push(node),
            Open::Mapping { pairs, key } => match key.take() {
                None => *key = Some(node),
                Some(key) => pairs.push((key, node)),
            },
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, marks: Marks) -> Result<(), Box<Diagnostic>> {
        let span = self.span(marks);
        let Some((node, cost)) = self.anchors.get(&anchor).cloned() else {
            let message = "the anchor holds itself";
            return Err(Box::new(Diagnostic::new(Code::YamlSyntax, span, message)));
        };
        self.spend(cost, span)?;
        self.finish(node, 0, cost)
    }

    fn spend(&mut self, cost: usize, span: Span) -> Result<(), Box<Diagnostic>> {
        self.copied += cost;
        if self.copied > LARGEST_ALIAS_EXPANSION {
            let message =
                format!("anchors and aliases unfold to more than {LARGEST_ALIAS_EXPANSION} bytes");
            return Err(Box::new(Diagnostic::new(Code::AliasBudget, span, message)));
        }
        Ok(())
    }

    /// Resolves merge keys and duplicates: own keys before merged ones, the last of equals counts.
    fn entries(
        &mut self,
        pairs: Vec<(Node<'t>, Node<'t>)>,
    ) -> Result<Vec<Entry<'t>>, Box<Diagnostic>> {
        let mut own = Vec::with_capacity(pairs.len());
        let mut merged = Vec::new();
        for (key, value) in pairs {
            match key.kind {
                Kind::Scalar { text, plain: true } if text == "<<" => {
                    merge_sources(value, &mut merged)?;
                }
                Kind::Scalar { text, .. } => own.push(Entry {
                    key: text,
                    key_span: key.span,
                    value,
                }),
                _ => {
                    let message = "a key is a single value, not a list or a map";
                    let help = "put text that starts with `{` or `[` in quotes";
                    return Err(Box::new(
                        Diagnostic::new(Code::InvalidKey, key.span, message).help(help),
                    ));
                }
            }
        }
        let mut entries = self.without_duplicates(own);
        if !merged.is_empty() {
            let mut known: BTreeSet<Cow<'t, str>> =
                entries.iter().map(|entry| entry.key.clone()).collect();
            entries.extend(
                merged
                    .into_iter()
                    .filter(|entry| known.insert(entry.key.clone())),
            );
        }
        Ok(entries)
    }

    fn without_duplicates(&mut self, entries: Vec<Entry<'t>>) -> Vec<Entry<'t>> {
        if is_distinct(&entries) {
            return entries;
        }
        let last: BTreeMap<Cow<'t, str>, usize> = entries
            .iter()
            .enumerate()
            .map(|(at, entry)| (entry.key.clone(), at))
            .collect();
        let mut kept = Vec::with_capacity(last.len());
        for (at, entry) in entries.into_iter().enumerate() {
            if last[&entry.key] == at {
                kept.push(entry);
            } else if self.problems.len() < MOST_DIAGNOSTICS {
                let message = format!(
                    "`{}` is given again further down; this one is ignored",
                    entry.key
                );
                let problem = Diagnostic::new(Code::DuplicateKey, entry.key_span, message);
                self.problems.push(problem.help("keep one of the two"));
            }
        }
        kept
    }

    /// The range of an event in the whole text, without the line ends a block scalar takes along.
    fn span(&self, marks: Marks) -> Span {
        let place = |offset: Option<usize>| {
            self.text
                .floor_char_boundary(offset.unwrap_or(0) + self.offset)
        };
        let (start, end) = (
            place(marks.start.byte_offset()),
            place(marks.end.byte_offset()),
        );
        let end = start
            + self
                .text
                .get(start..end)
                .map_or(0, |text| text.trim_end().len());
        Span::new(self.source, start, end)
    }
}

/// Maps up to this size are searched key by key: that is faster than any set.
const SMALL_MAP: usize = 16;

/// Whether no key is there twice.
pub(super) fn is_distinct(entries: &[Entry<'_>]) -> bool {
    if entries.len() > SMALL_MAP {
        let mut known = HashSet::with_capacity(entries.len());
        return entries.iter().all(|entry| known.insert(entry.key.as_ref()));
    }
    entries
        .iter()
        .enumerate()
        .all(|(at, entry)| entries[..at].iter().all(|other| other.key != entry.key))
}

/// The maps a merge key names: one, or a list of which the first has precedence.
fn merge_sources<'t>(value: Node<'t>, merged: &mut Vec<Entry<'t>>) -> Result<(), Box<Diagnostic>> {
    let span = value.span;
    match value.kind {
        Kind::Mapping(entries) => merged.extend(entries),
        Kind::Sequence(items)
            if items
                .iter()
                .all(|item| matches!(item.kind, Kind::Mapping(_))) =>
        {
            for item in items {
                merge_sources(item, merged)?;
            }
        }
        _ => {
            let message = "`<<` merges maps, and this is none";
            let words = "map merge requires map or sequence of maps as the value";
            return Err(Box::new(
                Diagnostic::new(Code::InvalidMerge, span, message).codebuild(words),
            ));
        }
    }
    Ok(())
}
