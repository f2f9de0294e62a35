//! What is wrong with a buildspec, as data: no colour, no file names, no terminal.

use std::fmt;

use crate::code::Code;
use crate::span::Span;

/// How much a diagnostic matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Worth knowing, nothing to mend.
    Info,
    /// The build runs, but probably not as meant.
    Warning,
    /// CodeBuild refuses the file (or, inside `batch`, the batch).
    Error,
}

impl Level {
    /// The level's name in every output format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing to say about a buildspec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of problem it is; stable.
    pub code: Code,
    /// How much it matters.
    pub level: Level,
    /// The text it is about.
    pub span: Span,
    /// One sentence, lower-case, without a full stop.
    pub message: String,
    /// What to do about it, where there is something to do.
    pub help: Option<String>,
    /// The message of CodeBuild's `YAML_FILE_ERROR` for the same problem, where it is known.
    pub codebuild_message: Option<String>,
    /// A change that mends it without changing anything else.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// A diagnostic of the code's own level, without help.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            level: code.level(),
            span,
            message: message.into(),
            help: None,
            codebuild_message: None,
            fix: None,
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds CodeBuild's own words.
    #[must_use]
    pub fn codebuild(mut self, message: impl Into<String>) -> Self {
        self.codebuild_message = Some(message.into());
        self
    }

    /// Adds a change that replaces `span` by `replacement`.
    #[must_use]
    pub fn fix(mut self, span: Span, replacement: impl Into<String>) -> Self {
        let edit = Edit {
            span,
            replacement: replacement.into(),
        };
        self.fix.get_or_insert_with(Fix::default).edits.push(edit);
        self
    }

    /// Whether CodeBuild would refuse the file for it.
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }
}

/// A change of the text that mends a problem; comments and order stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fix {
    /// The replacements; they do not overlap.
    pub edits: Vec<Edit>,
}

/// One replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What goes; empty for an insertion.
    pub span: Span,
    /// What comes in its place.
    pub replacement: String,
}
