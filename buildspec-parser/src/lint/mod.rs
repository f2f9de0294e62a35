//! Habits that make builds fail, or worse, not fail.
//!
//! [`lint`] gives what [`crate::parse`] gives and the findings of the [`RULES`], all at once. A rule
//! prefers silence to a false alarm: what it does not understand it says nothing about.

mod config;
mod context;
mod outputs;
mod page;
mod publish;
mod runtimes;
mod shell;
mod state;
mod steps;
mod switch;
mod variables;
mod word;

pub use config::{LintConfig, Setting};
pub use page::page;
pub use runtimes::{RUNTIMES, Runtime};

use crate::Parsed;
use crate::assumptions::MOST_DIAGNOSTICS;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::read;
use context::Context;

/// One rule, as the documentation page shows it.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The code of its findings; it carries name, level and summary.
    pub code: Code,
    /// Why the habit is bad, in a paragraph.
    pub rationale: &'static str,
    /// A buildspec that the rule finds something in.
    pub bad: &'static str,
    /// The same, mended.
    pub good: &'static str,
    check: fn(&Context<'_>, &mut Vec<Diagnostic>),
}

/// Every rule, in the order of the documentation page.
pub static RULES: &[Rule] = &[
    steps::HIDDEN_FAILURE,
    steps::PIPEFAIL_IN_SH,
    publish::UNCHECKED_PUBLISH,
    publish::NEEDS_PRIVILEGED_MODE,
    state::LOST_DIRECTORY,
    state::LOST_DEFINITION,
    state::LOST_EXPORT,
    state::FOREIGN_WAIT,
    variables::RESERVED_VARIABLE,
    variables::UNEXPANDED_VARIABLE,
    variables::PLAINTEXT_SECRET,
    variables::EXPORTED_NEVER_SET,
    variables::UNEXPORTABLE_VARIABLE,
    runtimes::UNKNOWN_RUNTIME,
    runtimes::UNQUOTED_VERSION,
    outputs::UNMATCHABLE_FILES,
    outputs::FALLBACK_KEYS_WITHOUT_KEY,
    outputs::UNUSED_SECONDARY_ARTIFACT,
];

/// Reads a buildspec and applies the rules, with the levels of the configuration and without what
/// comments in the text switch off.
///
/// A comment `# buildspec-agent: disable=CODE[,CODE…]` holds for its own line, or, alone on a line, for
/// the next one; either way also for the lines below that are indented deeper.
/// `# buildspec-agent: disable-file=CODE[,CODE…]` holds for the file. What makes CodeBuild refuse the
/// file cannot be switched off.
pub fn lint(text: &str, config: &LintConfig) -> Parsed {
    let (reader, partial) = read::partial(text);
    let mut found = Vec::new();
    if let Some(spec) = &partial {
        let context = Context::new(text, spec, config);
        for rule in RULES {
            (rule.check)(&context, &mut found);
        }
        found.truncate(MOST_DIAGNOSTICS);
    }
    let mut parsed = reader.finish(partial);
    let switches = switch::Switches::read(text, &mut found);
    parsed.diagnostics.extend(found);
    parsed.diagnostics.retain_mut(|diagnostic| {
        let refuses = diagnostic.code.level() == crate::Level::Error;
        refuses || (config.apply(diagnostic) && !switches.hold(diagnostic))
    });
    parsed
        .diagnostics
        .sort_by_key(|diagnostic| (diagnostic.span, diagnostic.code));
    parsed
}
