//! Collects the problems and knows the texts they are in.

use std::cell::OnceCell;

use crate::Parsed;
use crate::assumptions::MOST_DIAGNOSTICS;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Level};
use crate::model::Buildspec;
use crate::span::{LineIndex, SourceId, Span};
use crate::suggest;
use crate::yaml::{Entry, Node};

/// The texts of one call.
#[derive(Debug)]
pub(crate) struct Sources<'t> {
    buildspec: &'t str,
    patch: Option<&'t str>,
    /// Lines of either, indexed when the first problem asks: most files have none that does.
    lines: [OnceCell<LineIndex<'t>>; 2],
}

impl<'t> Sources<'t> {
    /// Only a buildspec.
    pub(crate) fn one(buildspec: &'t str) -> Self {
        Self {
            buildspec,
            patch: None,
            lines: Default::default(),
        }
    }

    /// A buildspec and what is merged over it.
    pub(crate) fn two(buildspec: &'t str, patch: &'t str) -> Self {
        Self {
            buildspec,
            patch: Some(patch),
            lines: Default::default(),
        }
    }

    /// The line a span begins on, from 1.
    pub(crate) fn line(&self, span: Span) -> usize {
        let [buildspec, patch] = &self.lines;
        let lines = match span.source {
            SourceId::Buildspec => buildspec,
            SourceId::Patch => patch,
        };
        lines
            .get_or_init(|| LineIndex::new(self.whole(span)))
            .line(span.start)
    }

    /// The text of a span.
    pub(crate) fn text(&self, span: Span) -> Option<&'t str> {
        self.whole(span).get(span.range())
    }

    fn whole(&self, span: Span) -> &'t str {
        match span.source {
            SourceId::Buildspec => self.buildspec,
            SourceId::Patch => self.patch.unwrap_or(self.buildspec),
        }
    }
}

/// What the readers of the parts share.
#[derive(Debug)]
pub(crate) struct Reader<'t> {
    sources: Sources<'t>,
    problems: Vec<Diagnostic>,
    refused: bool,
}

impl<'t> Reader<'t> {
    /// A reader that has already found `problems`.
    pub(crate) fn new(sources: Sources<'t>, problems: Vec<Diagnostic>) -> Self {
        let refused = problems.iter().any(Diagnostic::is_error);
        Self {
            sources,
            problems,
            refused,
        }
    }

    /// Notes a problem; one of error level refuses the file.
    pub(crate) fn note(&mut self, problem: Diagnostic) {
        let kept = self.keeps(problem.code);
        self.refused |= problem.is_error();
        if kept {
            self.problems.push(problem);
        }
    }

    /// Whether a problem of this kind would still be kept: what takes long to word need not be worded
    /// for nobody. The first error is what a refusal quotes, and is kept however full the list is.
    pub(super) fn keeps(&self, code: Code) -> bool {
        let first_error = code.level() == Level::Error && !self.refused;
        self.problems.len() < MOST_DIAGNOSTICS || first_error
    }

    /// Runs a reader whose errors refuse a batch but no single build.
    pub(super) fn for_batch<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let refused = self.refused;
        let value = read(self);
        self.refused = refused;
        value
    }

    /// Whether an error was found.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }

    /// The line a span begins on, from 1.
    pub(crate) fn line(&self, span: Span) -> usize {
        self.sources.line(span)
    }

    /// The text of a span.
    pub(crate) fn source(&self, span: Span) -> Option<&'t str> {
        self.sources.text(span)
    }

    /// Notes a key that is ignored, with the nearest known one.
    pub(crate) fn unknown_key(&mut self, entry: &Entry<'_>, known: &[&str], place: &str) {
        if !self.keeps(Code::UnknownKey) {
            return;
        }
        let message = format!("`{}` is no key of {place} and is ignored", entry.key);
        let problem = Diagnostic::new(Code::UnknownKey, entry.key_span, message);
        self.note(match suggest::nearest(&entry.key, known) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem,
        });
    }

    /// Notes a value of the wrong shape.
    pub(crate) fn wrong_type(&mut self, node: &Node<'_>, what: &str, expected: &str) {
        let message = format!("{what} is {expected}, and this is {}", node.describe());
        self.note(Diagnostic::new(Code::WrongType, node.span, message));
    }

    /// Everything together, in the order of the text.
    pub(crate) fn finish(mut self, buildspec: Option<Buildspec>) -> Parsed {
        self.problems
            .sort_by_key(|problem| (problem.span, problem.code));
        Parsed {
            buildspec: buildspec.filter(|_| !self.refused),
            diagnostics: self.problems,
        }
    }
}
