//! `lint`: what is wrong, or unwise, in buildspecs.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use buildspec_parser::lint::{LintConfig, lint};
use buildspec_parser::output::{self, Findings, Verdict};
use buildspec_parser::{Diagnostic, Level, fix, parse_bytes};
use clap::{Args, ValueEnum};

use super::diagnostics::color;
use super::exit::{Exit, Failure};
use super::print;
use crate::config::lint::read_lint_config;

/// More is not read of a file, in bytes; the parser refuses less than this.
const READ_LIMIT_BYTES: u64 = 2 * 1024 * 1024;

/// Fixes that overlap are applied in rounds; no file needs as many.
const FIX_ROUNDS: usize = 20;

/// Checks buildspecs
///
/// Finds what CodeBuild refuses and habits that make builds fail or hide that they failed, each
/// with its place and, where there is a safe one, a fix. Ends with 2 if there is an error. A comment
/// `# buildspec-agent: disable=CODE` switches a rule off for a line, `disable-file=CODE` for a file.
#[derive(Debug, Args)]
pub(super) struct LintArgs {
    /// Buildspecs; - reads standard input
    #[arg(default_value = "buildspec.yml")]
    files: Vec<PathBuf>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Apply the fixes, in place; standard input is printed fixed
    #[arg(long)]
    fix: bool,
    /// Count warnings as errors
    #[arg(long)]
    deny_warnings: bool,
    /// Levels of rules [default: .buildspec-lint.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    lint_config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people, with the lines in question
    Text,
    /// One JSON object for each file
    Json,
    /// SARIF 2.1.0
    Sarif,
    /// Annotations of GitHub Actions
    Github,
}

/// One file and what was found in it.
struct Checked {
    name: String,
    text: String,
    diagnostics: Vec<Diagnostic>,
}

impl Checked {
    fn findings(&self) -> Findings<'_> {
        Findings {
            name: &self.name,
            text: &self.text,
            diagnostics: &self.diagnostics,
        }
    }
}

pub(super) fn run(args: &LintArgs) -> Result<Exit, Failure> {
    let config = read_lint_config(args.lint_config.as_deref()).map_err(Failure::usage)?;
    let mut checked = Vec::new();
    let mut unreadable = None;
    for file in &args.files {
        match check(file, &config, args.fix) {
            Ok(file) => checked.push(file),
            // The other files are checked all the same.
            Err(error) => {
                let failure = Failure::usage(error);
                failure.report();
                unreadable = Some(Exit::Invalid);
            }
        }
    }
    // Fixed standard input takes the place of the findings.
    if !(args.fix && args.files.iter().any(|file| file == Path::new("-"))) {
        print(render(&checked, args.format).as_bytes())?;
    }
    let worst = checked
        .iter()
        .map(|file| Verdict::of(&file.diagnostics))
        .max();
    Ok(match (unreadable, worst) {
        (Some(exit), _) => exit,
        (None, Some(Verdict::Refuse)) => Exit::Invalid,
        (None, Some(Verdict::Warn)) if args.deny_warnings => Exit::Invalid,
        _ => Exit::Success,
    })
}

fn check(file: &Path, config: &LintConfig, fixing: bool) -> anyhow::Result<Checked> {
    let is_input = file == Path::new("-");
    let name = if is_input {
        "<stdin>".to_owned()
    } else {
        file.display().to_string()
    };
    let mut bytes = Vec::new();
    let read = if is_input {
        io::stdin()
            .lock()
            .take(READ_LIMIT_BYTES)
            .read_to_end(&mut bytes)
    } else {
        fs::File::open(file).and_then(|open| open.take(READ_LIMIT_BYTES).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("cannot read {name}"))?;
    let Ok(mut text) = String::from_utf8(bytes) else {
        return Ok(not_utf8(file, name));
    };
    let mut diagnostics = lint(&text, config).diagnostics;
    if fixing {
        let original = text.clone();
        for _ in 0..FIX_ROUNDS {
            let fixed = fix(&text, &diagnostics);
            if fixed.applied == 0 {
                break;
            }
            text = fixed.text;
            diagnostics = lint(&text, config).diagnostics;
        }
        if is_input {
            io::stdout()
                .lock()
                .write_all(text.as_bytes())
                .context("cannot write the fixed text")?;
        } else if text != original {
            replace(file, &text).with_context(|| format!("cannot write {name}"))?;
        }
    }
    Ok(Checked {
        name,
        text,
        diagnostics,
    })
}

fn not_utf8(file: &Path, name: String) -> Checked {
    let bytes = fs::read(file).unwrap_or_else(|_| vec![0xff]);
    Checked {
        name,
        text: String::new(),
        diagnostics: parse_bytes(&bytes).diagnostics,
    }
}

/// Writes a file anew in one step, so that nobody ever sees half of it.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let file = fs::canonicalize(file)?;
    let draft = file.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::write(&draft, text)
        .and_then(|()| fs::set_permissions(&draft, fs::metadata(&file)?.permissions()))
        .and_then(|()| fs::rename(&draft, &file));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

fn render(checked: &[Checked], format: Format) -> String {
    match format {
        Format::Text => text(checked),
        Format::Json => checked
            .iter()
            .map(|file| output::json(&file.findings()) + "\n")
            .collect(),
        Format::Github => checked
            .iter()
            .map(|file| output::github(&file.findings()))
            .collect(),
        Format::Sarif => {
            let findings = checked.iter().map(Checked::findings).collect::<Vec<_>>();
            output::sarif(&findings, env!("CARGO_PKG_VERSION")) + "\n"
        }
    }
}

fn text(checked: &[Checked]) -> String {
    let color = color(&io::stdout());
    let mut rendered = String::new();
    for file in checked {
        for diagnostic in &file.diagnostics {
            rendered += &output::text(diagnostic, &file.name, &file.text, color);
            rendered += "\n\n";
        }
    }
    let count = |level| {
        checked
            .iter()
            .flat_map(|file| &file.diagnostics)
            .filter(|found| found.level == level)
            .count()
    };
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    rendered
        + &format!(
            "{} file(s) checked: {errors} error(s), {warnings} warning(s)\n",
            checked.len()
        )
}
