//! Diagnostics on a terminal.

use std::io::{self, IsTerminal};

use buildspec_parser::output::{self, Color};

use super::exit::tell_rendered;
use crate::build::RejectedBuildspec;

/// Shows a person what is wrong with a buildspec.
pub(super) fn tell_rejected(rejected: &RejectedBuildspec) {
    for diagnostic in &rejected.diagnostics {
        let text = rejected.text_of(diagnostic);
        tell_rendered(output::text(
            diagnostic,
            &text.name,
            &text.text,
            color(&io::stderr()),
        ));
    }
}

/// Colours for a terminal.
pub(super) fn color(output: &impl IsTerminal) -> Color {
    if output.is_terminal() {
        Color::Always
    } else {
        Color::Never
    }
}
