//! Reads the buildspec of AWS CodeBuild: text in, a typed [`Buildspec`] and every problem out.
//!
//! ```
//! let parsed = buildspec_parser::parse("version: 0.2\nphases:\n  build:\n    commands: [make]\n");
//! let buildspec = parsed.buildspec.expect("nothing is wrong with it");
//! assert_eq!(buildspec.phases.build.unwrap().commands[0].value, "make");
//! assert!(parsed.diagnostics.is_empty());
//! ```
//!
//! The crate does no I/O, starts nothing, reads neither clock nor environment, and never panics on
//! input. All problems are found in one pass; each has a stable [`Code`], a byte range and, where
//! they are known, CodeBuild's own words.

#![forbid(unsafe_code)]

pub mod assumptions;
mod code;
mod diagnostic;
pub mod expand;
mod fix;
pub mod lint;
mod merge;
pub mod model;
pub mod output;
pub mod plan;
mod print;
mod read;
mod schema;
mod span;
mod suggest;
mod yaml;

pub use code::{Code, UnknownCode};
pub use diagnostic::{Diagnostic, Edit, Fix, Level};
pub use fix::{Fixed, fix};
pub use merge::{from_build_commands, merge};
pub use model::Buildspec;
pub use print::print;
pub use schema::schema;
pub use span::{LineIndex, Place, Position, SourceId, Span, Spanned};

/// What reading a buildspec gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The buildspec; `None` where CodeBuild ends the build with `YAML_FILE_ERROR`.
    pub buildspec: Option<Buildspec>,
    /// Everything found, in the order of the text. Errors inside `batch` refuse the batch, not the
    /// single build: with only such errors [`Parsed::buildspec`] is there.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// The message CodeBuild gives for a refused file: its own words where they are known, else ours.
    pub fn refusal(&self) -> Option<&str> {
        if self.buildspec.is_some() {
            return None;
        }
        let first = self
            .diagnostics
            .iter()
            .find(|diagnostic| diagnostic.is_error())?;
        Some(first.codebuild_message.as_deref().unwrap_or(&first.message))
    }
}

/// Reads a buildspec.
pub fn parse(text: &str) -> Parsed {
    read::buildspec(text)
}

/// Reads a buildspec from bytes that need not be text: UTF-8 with or without a byte order mark.
pub fn parse_bytes(bytes: &[u8]) -> Parsed {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(text),
        Err(error) => {
            let message = format!(
                "byte {} is not part of any UTF-8 character",
                error.valid_up_to()
            );
            // The span is empty: there is no text it could point into.
            let diagnostic = Diagnostic::new(Code::NotUtf8, Span::default(), message)
                .help("save the file as UTF-8")
                .codebuild("yaml: invalid leading UTF-8 octet");
            Parsed {
                buildspec: None,
                diagnostics: vec![diagnostic],
            }
        }
    }
}
