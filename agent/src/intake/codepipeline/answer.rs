//! From the record of a build that is over to the answer that CodePipeline gets.

use serde_json::Value;

use crate::pipeline::{Failure, FailureKind, Success};
use crate::store::StoredBuild;

/// Phases before the first command of the buildspec: what fails there is source or configuration.
const PREPARATION: [&str; 4] = ["SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE"];

/// Words of AWS and of git hosts for what is not open to a build.
const DENIED: [&str; 6] = [
    "AccessDenied",
    "Access Denied",
    "authorization failed",
    "authentication required",
    "not authorized",
    "status code: 403",
];

/// The answer to the job whose work a build was.
pub(super) fn of(build: &StoredBuild) -> Result<Success, Failure> {
    let id = build.id.to_string();
    if build.status == "SUCCEEDED" {
        return Ok(Success {
            summary: format!("Build {id} succeeded"),
            variables: variables(&build.record),
            build: id,
        });
    }
    let (phase, reason) = failed_phase(&build.record);
    let kind = match build.status.as_str() {
        "FAULT" => FailureKind::System,
        "FAILED" if DENIED.iter().any(|words| reason.contains(words)) => {
            kind_of_denial(phase.as_deref())
        }
        "FAILED"
            if phase
                .as_deref()
                .is_some_and(|phase| PREPARATION.contains(&phase)) =>
        {
            FailureKind::Configuration
        }
        _ => FailureKind::Job,
    };
    let place = phase
        .map(|phase| format!(" in {phase}"))
        .unwrap_or_default();
    let reason = Some(reason).filter(|reason| !reason.is_empty());
    let reason = reason
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    Err(Failure {
        kind,
        message: format!("Build {id} {}{place}{reason}", build.status),
        build: Some(id),
    })
}

/// A command that says such words has failed as any other; what the agent itself was denied is another matter.
fn kind_of_denial(phase: Option<&str>) -> FailureKind {
    match phase {
        Some(phase) if PREPARATION.contains(&phase) || phase == "UPLOAD_ARTIFACTS" => {
            FailureKind::Permission
        }
        _ => FailureKind::Job,
    }
}

/// The first phase that did not succeed, and why.
fn failed_phase(record: &Value) -> (Option<String>, String) {
    let phases = record["phases"].as_array().map(Vec::as_slice);
    let mut phases = phases.unwrap_or_default().iter();
    let failed = phases.find(|phase| {
        let status = phase["phaseStatus"].as_str();
        status.is_some_and(|status| status != "SUCCEEDED")
    });
    let Some(failed) = failed else {
        return (None, String::new());
    };
    let contexts = failed["contexts"].as_array().map(Vec::as_slice);
    let texts = contexts.unwrap_or_default().iter().map(|context| {
        let text = |member: &str| context[member].as_str().unwrap_or_default();
        let (code, message) = (text("statusCode"), text("message"));
        if code.is_empty() {
            message.to_owned()
        } else {
            format!("{code}: {message}")
        }
    });
    let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
    let phase = failed["phaseType"].as_str().map(str::to_owned);
    (phase, texts.join("; "))
}

fn variables(record: &Value) -> Vec<(String, String)> {
    let exported = record["exportedEnvironmentVariables"].as_array();
    let exported = exported.map(Vec::as_slice).unwrap_or_default().iter();
    exported
        .filter_map(|variable| {
            let text = |member: &str| variable[member].as_str().map(str::to_owned);
            Some((text("name")?, text("value")?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failure(status: &str, phase: &str, phase_status: &str, message: &str) -> Failure {
        let record = json!({"phases": [
            {"phaseType": "SUBMITTED", "phaseStatus": "SUCCEEDED"},
            {"phaseType": phase, "phaseStatus": phase_status,
                "contexts": [{"statusCode": "CODE", "message": message}]},
            {"phaseType": "COMPLETED"},
        ]});
        of(&build(status, record)).unwrap_err()
    }

    fn build(status: &str, record: Value) -> StoredBuild {
        let project = crate::model::Project::local("demo".parse().unwrap(), "a:1".to_owned());
        let overrides = crate::model::Overrides {
            buildspec: Some("version: 0.2\nphases: {}".to_owned()),
            ..crate::model::Overrides::default()
        };
        let request = crate::model::BuildRequest::new(crate::model::Start {
            id: "demo:00000000-0000-0000-0000-000000000000".parse().unwrap(),
            project: &project,
            overrides: &overrides,
            build_number: 1,
            initiator: String::new(),
            region: "r".to_owned(),
            account: "a".to_owned(),
            directory: None,
            artifact_directory: None,
        })
        .unwrap();
        StoredBuild {
            id: request.id.clone(),
            number: 1,
            status: status.to_owned(),
            submitted_at: jiff::Timestamp::UNIX_EPOCH,
            ended_at: None,
            request,
            record,
        }
    }

    #[test]
    fn a_failure_says_whose_it_is() {
        use FailureKind::{Configuration, Job, Permission, System};
        for (status, phase, phase_status, message, kind) in [
            (
                "FAILED",
                "BUILD",
                "FAILED",
                "make. Reason: exit status 2",
                Job,
            ),
            (
                "FAILED",
                "BUILD",
                "FAILED",
                "AccessDenied, says a command",
                Job,
            ),
            (
                "FAILED",
                "DOWNLOAD_SOURCE",
                "FAILED",
                "no buildspec",
                Configuration,
            ),
            (
                "FAILED",
                "PROVISIONING",
                "FAILED",
                "no image",
                Configuration,
            ),
            (
                "FAILED",
                "DOWNLOAD_SOURCE",
                "FAILED",
                "AccessDenied: Access Denied\n\tstatus code: 403",
                Permission,
            ),
            (
                "FAILED",
                "UPLOAD_ARTIFACTS",
                "FAILED",
                "AccessDenied",
                Permission,
            ),
            ("TIMED_OUT", "QUEUED", "TIMED_OUT", "too long", Job),
            ("STOPPED", "BUILD", "STOPPED", "", Job),
            ("FAULT", "PROVISIONING", "FAULT", "no Docker", System),
        ] {
            let failure = failure(status, phase, phase_status, message);
            assert_eq!(failure.kind, kind, "{status} {phase} {message}");
            let beginning = format!(
                "Build demo:00000000-0000-0000-0000-000000000000 {status} in {phase}: CODE: {message}"
            );
            assert_eq!(failure.message, beginning);
        }
    }

    #[test]
    fn a_success_has_the_exported_variables() {
        let record = json!({"exportedEnvironmentVariables": [{"name": "A", "value": "1"}]});
        let success = of(&build("SUCCEEDED", record)).unwrap();
        assert_eq!(success.variables, [("A".to_owned(), "1".to_owned())]);
        assert!(success.build.starts_with("demo:"));
    }
}
