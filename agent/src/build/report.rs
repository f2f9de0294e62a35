//! The reports of a build: staged files go in, test cases and coverage come out.

use buildspec_parser::model::ReportFormat;
use executor::masking::{Encodings, Masker};
use executor::protocol::Secret;
use jiff::Timestamp;
use uuid::Uuid;

use super::Abort;
use super::journal::Journal;
use super::learnt::StagedReport;
use super::publish::Upload;
use crate::logs::AgentLog;
use crate::model::{DetailedReport, PhaseContext, Report, ReportStatus, ReportType};
use crate::reports::{self, Results};

/// What became of the reports.
#[derive(Debug, Default)]
pub(super) struct Reported {
    /// All reports, also those without results.
    pub(super) reports: Vec<DetailedReport>,
    /// What `UPLOAD_ARTIFACTS` says of report files that cannot be read.
    pub(super) failure: Option<PhaseContext>,
}

/// Reads all staged reports. Failing tests do not fail a build; files that cannot be read do, unless
/// nobody named them: discovered files may be something else.
pub(super) async fn reports(
    upload: &Upload<'_>,
    journal: &Journal<'_>,
    log: &mut AgentLog,
) -> Result<Reported, Abort> {
    let mut reported = Reported::default();
    let mut failures = Vec::new();
    if !upload.knows_secrets && !journal.learnt().staged.is_empty() {
        log.line("Report files are not read: the agent was restarted, and does not know any more what to hide in them")?;
    }
    for (index, staged) in &journal.learnt().staged {
        let (report, problems) = read(upload, *index, staged).await?;
        let mut line = format!("Report {}", report.report.headline());
        if !problems.is_empty() {
            line.push_str(": ");
            line.push_str(&problems);
            if !staged.discovered {
                failures.push(format!("{}: [{problems}]", staged.group));
            }
        }
        log.line(&one_line(&line))?;
        reported.reports.push(report);
    }
    if !failures.is_empty() {
        let message = one_line(&format!("[{}]", failures.join(" ")));
        reported.failure = Some(PhaseContext::new("CLIENT_ERROR", message));
    }
    Ok(reported)
}

/// Reads one report: the report, and in CodeBuild's words what is wrong with its files.
async fn read(
    upload: &Upload<'_>,
    index: usize,
    staged: &StagedReport,
) -> Result<(DetailedReport, String), Abort> {
    let Ok(format) = staged.format.parse::<ReportFormat>() else {
        return Err(anyhow::anyhow!("the executor staged a report of unknown format").into());
    };
    if !upload.knows_secrets {
        let report = detailed(upload, &staged.group, false, Results::new(format));
        return Ok((report, String::new()));
    }
    let encodings = if upload.plan.mask_encodings {
        Encodings::Common
    } else {
        Encodings::Plain
    };
    let masker = Masker::new(upload.plan.secrets.iter().map(Secret::expose), encodings)?;
    let directory = upload.directory.report(index);
    let reading = move || {
        let (results, errors) = if directory.is_dir() {
            reports::read_staged(format, &directory, &masker)
        } else {
            (Results::new(format), Vec::new())
        };
        let errors = errors
            .iter()
            .map(|(path, error)| masker.mask(&format!("{path}: {error}")))
            .collect::<Vec<_>>();
        (results, errors)
    };
    let (results, errors) = tokio::task::spawn_blocking(reading).await?;
    let mut problems: Vec<String> = staged.problem.iter().cloned().collect();
    if !errors.is_empty() {
        problems.push(format!("error processing report: [{}]", errors.join(" ")));
    }
    let is_complete = problems.is_empty() && staged.files > 0;
    let report = detailed(upload, &staged.group, is_complete, results);
    Ok((report, problems.join(" ")))
}

fn detailed(
    upload: &Upload<'_>,
    group: &str,
    is_complete: bool,
    results: Results,
) -> DetailedReport {
    let arn = |resource: String| {
        let (region, account) = (&upload.request.region, &upload.request.account);
        format!("arn:aws:codebuild:{region}:{account}:{resource}")
    };
    let (group_arn, name) = match group.split_once(":report-group/") {
        Some((_, name)) if group.starts_with("arn:") => (group.to_owned(), name.to_owned()),
        _ => {
            let name = format!("{}-{group}", upload.request.id.project);
            (arn(format!("report-group/{name}")), name)
        }
    };
    let report_arn = group_arn.replacen(":report-group/", ":report/", 1);
    let mut report = Report {
        arn: format!("{report_arn}:{}", Uuid::new_v4()),
        r#type: ReportType::Test,
        name,
        report_group_arn: group_arn,
        execution_id: arn(format!("build/{}", upload.request.id)),
        status: ReportStatus::Succeeded,
        created: Timestamp::now(),
        truncated: false,
        test_summary: None,
        code_coverage_summary: None,
    };
    let (mut test_cases, mut code_coverages) = (Vec::new(), Vec::new());
    match results {
        Results::Tests(tests) => {
            report.test_summary = Some(tests.summary());
            report.truncated = tests.is_truncated();
            if !tests.have_passed() {
                report.status = ReportStatus::Failed;
            }
            test_cases = tests.into_cases();
        }
        Results::Coverage(coverage) => {
            report.r#type = ReportType::CodeCoverage;
            report.code_coverage_summary = Some(coverage.summary());
            report.truncated = coverage.is_truncated();
            code_coverages = coverage.into_files();
        }
    }
    if !is_complete {
        report.status = ReportStatus::Incomplete;
    }
    DetailedReport {
        report,
        test_cases,
        code_coverages,
    }
}

/// A text without control characters: names of files may hold any.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
