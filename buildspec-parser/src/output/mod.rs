//! Diagnostics in the formats that people and programs read. All are pure functions.

mod github;
mod json;
mod sarif;
mod text;

pub use github::github;
pub use json::json;
pub use sarif::sarif;
pub use text::{Color, text};

use crate::diagnostic::{Diagnostic, Level};
use crate::span::{LineIndex, Position, Span};

/// One file and what was found in it.
#[derive(Debug, Clone, Copy)]
pub struct Findings<'f> {
    /// Name of the file, as the reader of the output knows it.
    pub name: &'f str,
    /// Its text; the spans are in it.
    pub text: &'f str,
    /// What was found.
    pub diagnostics: &'f [Diagnostic],
}

/// What the findings come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing worse than an information.
    Accept,
    /// At least one warning.
    Warn,
    /// At least one error.
    Refuse,
}

impl Verdict {
    /// The verdict over some diagnostics.
    pub fn of(diagnostics: &[Diagnostic]) -> Self {
        match diagnostics.iter().map(|diagnostic| diagnostic.level).max() {
            None | Some(Level::Info) => Self::Accept,
            Some(Level::Warning) => Self::Warn,
            Some(Level::Error) => Self::Refuse,
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Warn => "warn",
            Self::Refuse => "refuse",
        }
    }
}

/// First position of a span, and the one after its end.
fn positions(lines: &LineIndex<'_>, span: Span) -> (Position, Position) {
    (lines.position(span.start), lines.position(span.end))
}
