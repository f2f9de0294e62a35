//! For people: each diagnostic with the source line it is about.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level as Marker, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Level};
use crate::span::Span;

/// Whether the text carries terminal colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Plain text.
    Never,
    /// ANSI escape sequences.
    Always,
}

/// One diagnostic, drawn under the line of `text` it is about; no line break at the end.
pub fn text(diagnostic: &Diagnostic, name: &str, text: &str, color: Color) -> String {
    let level = match diagnostic.level {
        Level::Error => Marker::ERROR,
        Level::Warning => Marker::WARNING,
        Level::Info => Marker::INFO,
    };
    let range = inside(diagnostic.span, text);
    let mut group = level
        .primary_title(diagnostic.message.as_str())
        .id(diagnostic.code.as_str())
        .element(
            Snippet::source(text)
                .path(name)
                .annotation(AnnotationKind::Primary.span(range)),
        );
    if let Some(help) = &diagnostic.help {
        group = group.element(Marker::HELP.message(help.as_str()));
    }
    if let Some(words) = &diagnostic.codebuild_message {
        group = group.element(Marker::NOTE.message(format!("CodeBuild says: {words}")));
    }
    let renderer = match color {
        Color::Never => Renderer::plain(),
        Color::Always => Renderer::styled(),
    };
    let report: &[Group<'_>] = &[group];
    renderer.decor_style(DecorStyle::Ascii).render(report)
}

/// The span cut to the text: the renderer panics on a range outside of it, and a caller may mix up texts.
fn inside(span: Span, text: &str) -> std::ops::Range<usize> {
    let start = text.floor_char_boundary(span.start);
    start..text.floor_char_boundary(span.end).max(start)
}
