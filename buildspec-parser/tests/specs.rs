//! Every file in `specs/`: what is found in it, and what is read from it, is the snapshot beside it.
//!
//! The name begins with the verdict; the first line names the section of the buildspec reference and
//! the promise. `UPDATE_SNAPSHOTS=1` writes the snapshots anew.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests that cannot go on says so by failing"
)]

mod snapshot;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use buildspec_parser::lint::{LintConfig, lint};
use buildspec_parser::output::Verdict;
use buildspec_parser::{Diagnostic, LineIndex, fix, parse, print};

fn specs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/specs");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut specs: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|end| end == "yml"))
        .collect();
    specs.sort();
    specs
}

fn name(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

/// The verdict, every diagnostic with its place and text, and the model as it was read.
fn outcome(text: &str) -> String {
    let parsed = lint(text, &LintConfig::default());
    let lines = LineIndex::new(text);
    let mut outcome = format!("{}\n", Verdict::of(&parsed.diagnostics).as_str());
    for diagnostic in &parsed.diagnostics {
        write_diagnostic(&mut outcome, &lines, diagnostic);
    }
    if let Some(buildspec) = &parsed.buildspec {
        write!(outcome, "\n{}", print(buildspec)).unwrap();
    }
    outcome
}

fn write_diagnostic(outcome: &mut String, lines: &LineIndex<'_>, diagnostic: &Diagnostic) {
    let at = lines.position(diagnostic.span.start);
    let underlined = &lines.text()[diagnostic.span.range()];
    let Diagnostic {
        code,
        level,
        message,
        ..
    } = diagnostic;
    write!(
        outcome,
        "\n{level}[{code}] {}:{} {underlined:?}\n  {message}\n",
        at.line, at.column
    )
    .unwrap();
    if let Some(help) = &diagnostic.help {
        writeln!(outcome, "  help: {help}").unwrap();
    }
    if let Some(words) = &diagnostic.codebuild_message {
        writeln!(outcome, "  CodeBuild: {words}").unwrap();
    }
    for edit in diagnostic.fix.iter().flat_map(|fix| &fix.edits) {
        writeln!(
            outcome,
            "  fix: {:?} -> {:?}",
            &lines.text()[edit.span.range()],
            edit.replacement
        )
        .unwrap();
    }
}

#[test]
fn every_spec_has_the_outcome_of_its_name_and_snapshot() {
    let specs = specs();
    assert!(specs.len() >= 150, "{} specs", specs.len());
    for path in specs {
        let text = std::fs::read_to_string(&path).unwrap();
        let outcome = outcome(&text);
        let verdict = outcome.lines().next().unwrap();
        assert!(
            name(&path).starts_with(verdict),
            "{} is {outcome}",
            path.display()
        );
        snapshot::assert_matches(&format!("tests/specs/{}.out", name(&path)), &outcome);
    }
}

#[test]
fn what_is_accepted_reads_the_same_when_printed() {
    for path in specs() {
        let text = std::fs::read_to_string(&path).unwrap();
        if let Some(buildspec) = parse(&text).buildspec {
            assert_eq!(
                parse(&print(&buildspec)).buildspec,
                Some(buildspec),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn fixes_mend_what_they_say_and_break_nothing() {
    for path in specs() {
        let text = std::fs::read_to_string(&path).unwrap();
        let before = lint(&text, &LintConfig::default());
        let fixed = fix(&text, &before.diagnostics);
        let after = lint(&fixed.text, &LintConfig::default());
        let errors = |diagnostics: &[Diagnostic]| {
            diagnostics
                .iter()
                .filter(|diagnostic| diagnostic.is_error())
                .count()
        };
        assert!(
            errors(&after.diagnostics) <= errors(&before.diagnostics),
            "{}: {}",
            path.display(),
            fixed.text
        );
        let comments = |text: &str| {
            text.lines()
                .filter(|line| line.starts_with('#'))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(comments(&text), comments(&fixed.text), "{}", path.display());
        assert_eq!(text == fixed.text, fixed.applied == 0, "{}", path.display());
    }
}

/// The keys of the buildspec reference and of the reference for batch builds.
const KEYS: [&str; 67] = [
    "version",
    "run-as",
    "env",
    "env/shell",
    "env/variables",
    "env/parameter-store",
    "env/secrets-manager",
    "env/exported-variables",
    "env/git-credential-helper",
    "proxy",
    "proxy/upload-artifacts",
    "proxy/logs",
    "batch",
    "batch/fast-fail",
    "batch/build-list",
    "batch/build-list/identifier",
    "batch/build-list/buildspec",
    "batch/build-list/debug-session",
    "batch/build-list/ignore-failure",
    "batch/build-list/env",
    "batch/build-list/env/compute-type",
    "batch/build-list/env/fleet",
    "batch/build-list/env/image",
    "batch/build-list/env/privileged-mode",
    "batch/build-list/env/type",
    "batch/build-list/env/variables",
    "batch/build-graph",
    "batch/build-graph/identifier",
    "batch/build-graph/depend-on",
    "batch/build-matrix",
    "batch/build-matrix/static/ignore-failure",
    "batch/build-matrix/static/env",
    "batch/build-matrix/dynamic/buildspec",
    "batch/build-matrix/dynamic/env",
    "batch/build-fanout",
    "batch/build-fanout/parallelism",
    "batch/build-fanout/ignore-failure",
    "phases",
    "phases/install",
    "phases/pre_build",
    "phases/build",
    "phases/post_build",
    "phases/run-as",
    "phases/on-failure",
    "phases/commands",
    "phases/finally",
    "phases/install/runtime-versions",
    "reports",
    "reports/files",
    "reports/file-format",
    "reports/base-directory",
    "reports/discard-paths",
    "artifacts/files",
    "artifacts/name",
    "artifacts/base-directory",
    "artifacts/exclude-paths",
    "artifacts/secondary-artifacts",
    "artifacts/discard-paths",
    "artifacts/enable-symlinks",
    "artifacts/s3-prefix",
    "artifacts/type",
    "cache",
    "cache/key",
    "cache/fallback-keys",
    "cache/action",
    "cache/paths",
    "environment_variables/plaintext",
];

#[test]
fn every_key_of_the_reference_has_a_spec() {
    let heads: Vec<String> = specs()
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for key in KEYS {
        let head = format!("# {key}: ");
        assert!(
            heads.iter().any(|text| text.starts_with(&head)),
            "no spec is about {key}"
        );
    }
}
