//! Files made to hurt are refused, and quickly: every step of the reader is linear or bounded.

mod shapes;

use buildspec_parser::lint::{LintConfig, lint};
use buildspec_parser::{Code, assumptions, parse, parse_bytes};

fn first_error(text: &str) -> Option<Code> {
    lint(text, &LintConfig::default());
    parse(text)
        .diagnostics
        .iter()
        .find(|diagnostic| diagnostic.is_error())
        .map(|diagnostic| diagnostic.code)
}

#[test]
fn a_file_over_the_limit_is_refused_unread() {
    let text = "#".repeat(assumptions::LARGEST_FILE_BYTES + 1);
    assert_eq!(first_error(&text), Some(Code::FileTooLarge));
    assert_eq!(parse_bytes(&[0xff; 8]).diagnostics[0].code, Code::NotUtf8);
}

#[test]
fn hostile_shapes_of_one_mebibyte_end() {
    for (label, text) in shapes::all() {
        assert!(text.len() <= assumptions::LARGEST_FILE_BYTES, "{label}");
        let parsed = lint(&text, &LintConfig::default());
        assert!(
            parsed.diagnostics.len() <= 3 * assumptions::MOST_DIAGNOSTICS,
            "{label}"
        );
    }
}

#[test]
fn a_file_of_too_many_values_is_refused() {
    let list = |values: usize| format!("version: 0.2\nx-list: [{}]\n", "x,".repeat(values));
    assert_eq!(first_error(&list(assumptions::MOST_VALUES / 2)), None);
    assert_eq!(
        first_error(&list(assumptions::MOST_VALUES)),
        Some(Code::TooManyValues)
    );
}
