//! Test reports and code coverage (API, `Report`, `TestCase`, `CodeCoverage`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::build::{from_seconds, seconds};

/// One report of a build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `arn:aws:codebuild:REGION:ACCOUNT:report/GROUP:UUID`.
    pub arn: String,
    /// What it is about.
    pub r#type: ReportType,
    /// Name of its group.
    pub name: String,
    /// ARN of its group.
    pub report_group_arn: String,
    /// ARN of the build.
    pub execution_id: String,
    /// How it stands.
    pub status: ReportStatus,
    /// When it was made.
    #[serde(serialize_with = "seconds", deserialize_with = "from_seconds")]
    pub created: Timestamp,
    /// Whether cases or files were left out of the details; the summary counts them.
    pub truncated: bool,
    /// Summary of the cases, in a report of tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_summary: Option<TestSummary>,
    /// Summary of the files, in a report of coverage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_coverage_summary: Option<CoverageNumbers>,
}

impl Report {
    /// Name, status and numbers in one line, for people.
    pub fn headline(&self) -> String {
        let Self { name, status, .. } = self;
        let status = status.name();
        if let Some(tests) = self.test_summary.as_ref().filter(|tests| tests.total > 0) {
            let count = |status| tests.status_counts.get(&status).copied().unwrap_or(0);
            let (passed, skipped) = (count(TestStatus::Succeeded), count(TestStatus::Skipped));
            let rest = tests.total - passed - skipped;
            return format!(
                "{name} {status}: {} tests, {passed} passed, {rest} did not, {skipped} skipped",
                tests.total
            );
        }
        match &self.code_coverage_summary {
            Some(coverage) if coverage.lines_covered + coverage.lines_missed > 0 => format!(
                "{name} {status}: {}% of lines, {}% of branches covered",
                coverage.line_coverage_percentage, coverage.branch_coverage_percentage
            ),
            _ => format!("{name} {status}: no results"),
        }
    }
}

/// What a report is about (API, `ReportType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReportType {
    /// Test cases.
    Test,
    /// Code coverage.
    CodeCoverage,
}

/// How a report stands (API, `ReportStatusType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReportStatus {
    /// All tests passed, or the coverage was read.
    Succeeded,
    /// Some test did not pass.
    Failed,
    /// Files are missing or cannot be read.
    Incomplete,
}

impl ReportStatus {
    /// CodeBuild's name of the status.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Incomplete => "INCOMPLETE",
        }
    }
}

/// How a test case ended (API, `TestCase.status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TestStatus {
    /// It passed.
    Succeeded,
    /// It did not.
    Failed,
    /// It could not be carried out to its end.
    Error,
    /// It was not run.
    Skipped,
    /// Its report does not say.
    Unknown,
}

impl TestStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [
        Self::Succeeded,
        Self::Failed,
        Self::Error,
        Self::Skipped,
        Self::Unknown,
    ];
}

/// Summary of a report of tests (API, `TestReportSummary`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestSummary {
    /// Number of all cases.
    pub total: u64,
    /// How many ended how; every status is there.
    pub status_counts: BTreeMap<TestStatus, u64>,
    /// Sum of their times.
    pub duration_in_nano_seconds: u64,
}

/// One test case (API, `TestCase`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestCase {
    /// The file it was read from, by its path in the container.
    pub test_raw_data_path: String,
    /// What its name is relative to, such as a class.
    pub prefix: String,
    /// Its name.
    pub name: String,
    /// How it ended.
    pub status: TestStatus,
    /// How long it took.
    pub duration_in_nano_seconds: u64,
    /// What it said when it did not pass.
    pub message: String,
    /// Name of its suite.
    pub test_suite_name: String,
}

/// The numbers of a file's or a report's coverage (API, `CodeCoverageReportSummary`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CoverageNumbers {
    /// Part of the lines that is covered, 0 to 100; 0 without any.
    pub line_coverage_percentage: f64,
    /// Number of lines covered.
    pub lines_covered: u64,
    /// Number of lines not covered.
    pub lines_missed: u64,
    /// Part of the branches that is covered, 0 to 100; 100 without any.
    pub branch_coverage_percentage: f64,
    /// Number of branches covered.
    pub branches_covered: u64,
    /// Number of branches not covered.
    pub branches_missed: u64,
}

/// Coverage of one file (API, `CodeCoverage`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CodeCoverage {
    /// Its path, as the report has it.
    pub file_path: String,
    /// Its numbers.
    #[serde(flatten)]
    pub numbers: CoverageNumbers,
}

/// A report with its details.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DetailedReport {
    /// The report.
    pub report: Report,
    /// Its cases; those that did not pass first where some were left out.
    pub test_cases: Vec<TestCase>,
    /// Its files.
    pub code_coverages: Vec<CodeCoverage>,
}
