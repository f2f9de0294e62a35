//! From a build to the record of it that the store keeps.

use serde_json::{Value, json};

use crate::build::Outcome;
use crate::model::{Build, DetailedReport};
use crate::store::{Ended, NewReport};

/// The outcome as the store takes it.
pub(super) fn ended(outcome: &Outcome, record: &Value) -> Ended {
    let reports = outcome.reports.iter().map(report);
    let groups = outcome.reports.iter().map(group);
    Ended {
        status: outcome.build.build_status,
        record: final_record(&outcome.build, record),
        reports: reports.collect(),
        report_groups: groups.collect(),
    }
}

/// The record of a build that is over.
pub(super) fn final_record(build: &Build, before: &Value) -> Value {
    let mut record = json!(build);
    record["startTime"] = before["startTime"].clone();
    if let Some(config) = before.get("autoRetryConfig") {
        record["autoRetryConfig"] = config.clone();
    }
    let phases = record["phases"].clone();
    with_phases(record, before, &phases)
}

/// Puts the phases of a build into its record. The time before its lease is what the store wrote down.
pub(super) fn with_phases(mut record: Value, before: &Value, phases: &Value) -> Value {
    let mut phases = phases.as_array().cloned().unwrap_or_default();
    if let [submitted, queued, ..] = phases.as_mut_slice() {
        *submitted = before["phases"][0].clone();
        let began = before["phases"][1]["startTime"].clone();
        let waited = queued["endTime"].as_f64().zip(began.as_f64());
        let waited = waited.map_or(0.0, |(end, start)| (end - start).max(0.0));
        queued["startTime"] = began;
        queued["durationInSeconds"] = json!(whole(waited));
    }
    if let Some(phase) = phases.last() {
        record["currentPhase"] = phase["phaseType"].clone();
    }
    record["phases"] = phases.into();
    record
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a time in the queue is far below the limits of either type"
)]
fn whole(seconds: f64) -> i64 {
    seconds as i64
}

fn report(detailed: &DetailedReport) -> NewReport {
    NewReport {
        arn: detailed.report.arn.clone(),
        group_arn: detailed.report.report_group_arn.clone(),
        status: detailed.report.status.name().to_owned(),
        report: json!(detailed.report),
        details: json!({
            "testCases": detailed.test_cases,
            "codeCoverages": detailed.code_coverages,
        }),
    }
}

/// The group of a report, made unless there is one: those of buildspecs export nothing (API,
/// `ReportGroup`).
fn group(detailed: &DetailedReport) -> (String, Value) {
    let report = &detailed.report;
    let body = json!({
        "arn": report.report_group_arn,
        "name": report.name,
        "type": report.r#type,
        "exportConfig": {"exportConfigType": "NO_EXPORT"},
        "status": "ACTIVE",
    });
    (report.name.clone(), body)
}
