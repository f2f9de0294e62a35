//! Files made to hurt are refused, and quickly: every step of the reader is linear or bounded.

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
    let size = assumptions::LARGEST_FILE_BYTES;
    let fill = |piece: &str| piece.repeat(size / piece.len());
    let keys = (0..90_000)
        .map(|number| format!("k{number}: v\n"))
        .collect::<Vec<_>>()
        .concat();
    for (label, text) in [
        ("open lists", fill("[")),
        ("open maps", fill("{")),
        ("dashes", fill("- ")),
        (
            "same key",
            format!("version: 0.2\n{}", fill("a: b\n"))[..size - 8].to_owned(),
        ),
        ("keys", keys),
        ("anchors", fill("- &a x\n")),
        ("one scalar", fill("x")),
        ("quotes", fill("\"")),
        ("tabs", fill("\t")),
        (
            "commands",
            format!(
                "version: 0.2\nphases: {{build: {{commands: ['{}']}}}}\n",
                "$(".repeat(size / 4)
            ),
        ),
        (
            "semicolons",
            format!(
                "version: 0.2\nphases: {{build: {{commands: ['{}']}}}}\n",
                "a;".repeat(size / 4)
            ),
        ),
    ] {
        let parsed = lint(&text, &LintConfig::default());
        assert!(
            parsed.diagnostics.len() <= 3 * assumptions::MOST_DIAGNOSTICS,
            "{label}"
        );
    }
}
