//! Report files go in, test cases and coverage in CodeBuild's shapes come out.
//!
//! The files come out of a container: whatever is in them, reading one ends, in bounded memory.

mod clover;
mod cobertura;
mod coverage;
mod cucumber;
mod jacoco;
mod json;
mod junit;
mod nunit;
mod nunit3;
mod simplecov;
mod testng;
mod tests_of_report;
mod trx;
mod xml;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use buildspec_parser::model::ReportFormat;
use executor::masking::Masker;
use walkdir::WalkDir;

pub use coverage::{Counts, Coverage};
pub use tests_of_report::Tests;

/// Why a report file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It holds something else (the words are the service's).
    #[error("expected element type <{expected}> but have <{found}>")]
    OtherElement {
        /// The element the format starts with.
        expected: &'static str,
        /// The element that is there.
        found: String,
    },
    /// It is not XML.
    #[error("{0}")]
    Xml(#[from] quick_xml::Error),
    /// It is not the JSON of its format.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It is made to exhaust its reader, or larger than any real report.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// It cannot be read at all.
    #[error("{0}")]
    File(#[from] io::Error),
}

/// What the files of a report hold.
#[derive(Debug)]
pub enum Results {
    /// Test cases.
    Tests(Tests),
    /// Coverage.
    Coverage(Coverage),
}

impl Results {
    /// No results yet, of the kind that a format has.
    pub fn new(format: ReportFormat) -> Self {
        if format.is_coverage() {
            Self::Coverage(Coverage::default())
        } else {
            Self::Tests(Tests::default())
        }
    }
}

/// Reads the staged files of a report, which lie below `directory` by the paths they have in the
/// container. Gives what they hold, and for each file that cannot be read its path and why.
pub fn read_staged(
    format: ReportFormat,
    directory: &Path,
    masker: &Masker,
) -> (Results, Vec<(String, ReadError)>) {
    let mut results = Results::new(format);
    let mut errors = Vec::new();
    let entries = WalkDir::new(directory).sort_by_file_name().into_iter();
    for entry in entries.filter_map(Result::ok) {
        let Ok(relative) = entry.path().strip_prefix(directory) else {
            continue;
        };
        // Links are nothing that the executor makes: they are passed over.
        if !entry.file_type().is_file() {
            continue;
        }
        let path = format!("/{}", relative.display());
        let read = File::open(entry.path())
            .map_err(ReadError::File)
            .and_then(|file| {
                let source = Source {
                    path: &path,
                    masker,
                };
                read(format, BufReader::new(file), &source, &mut results)
            });
        if let Err(error) = read {
            errors.push((path, error));
        }
    }
    (results, errors)
}

/// The file that is being read.
#[derive(Debug)]
pub struct Source<'a> {
    /// Its path in the container.
    pub path: &'a str,
    /// Hides the build's secrets in what is taken over.
    pub masker: &'a Masker,
}

/// Reads one file and adds what it holds to the results.
pub fn read(
    format: ReportFormat,
    file: impl BufRead,
    source: &Source<'_>,
    results: &mut Results,
) -> Result<(), ReadError> {
    match (results, format) {
        (Results::Tests(tests), format) => read_tests(format, file, source, tests),
        (Results::Coverage(coverage), format) => read_coverage(format, file, source, coverage),
    }
}

fn read_tests(
    format: ReportFormat,
    file: impl BufRead,
    source: &Source<'_>,
    tests: &mut Tests,
) -> Result<(), ReadError> {
    match format {
        ReportFormat::NunitXml => xml::read(file, &mut nunit::NUnit::new(source, tests)),
        ReportFormat::Nunit3Xml => xml::read(file, &mut nunit3::NUnit3::new(source, tests)),
        ReportFormat::TestngXml => xml::read(file, &mut testng::TestNg::new(source, tests)),
        ReportFormat::VisualStudioTrx => xml::read(file, &mut trx::Trx::new(source, tests)),
        ReportFormat::CucumberJson => cucumber::read(file, source, tests),
        _ => xml::read(file, &mut junit::JUnit::new(source, tests)),
    }
}

fn read_coverage(
    format: ReportFormat,
    file: impl BufRead,
    source: &Source<'_>,
    coverage: &mut Coverage,
) -> Result<(), ReadError> {
    match format {
        ReportFormat::CloverXml => xml::read(file, &mut clover::Clover::new(source, coverage)),
        ReportFormat::CoberturaXml => {
            xml::read(file, &mut cobertura::Cobertura::new(source, coverage))
        }
        ReportFormat::Simplecov => simplecov::read(file, source, coverage),
        _ => xml::read(file, &mut jacoco::Jacoco::new(source, coverage)),
    }
}

#[cfg(test)]
mod tests;
