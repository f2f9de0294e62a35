//! The records of builds before an agent has them, and of those that no agent brings to an end.

use serde_json::{Value as Json, json};

use crate::model::{BuildRequest, PhaseContext, Status};

/// The record of a new build (API, `StartBuild`).
pub(super) fn open(request: &BuildRequest) -> Json {
    json!({
        "id": request.id,
        "buildNumber": request.build_number,
        "buildStatus": "IN_PROGRESS",
        "buildComplete": false,
    })
}

/// Puts it into the queue, as of this time.
pub(super) fn begin(record: &mut Json, at: i64) {
    let at = seconds(at);
    record["currentPhase"] = "QUEUED".into();
    record["startTime"] = at.into();
    record["phases"] = json!([
        {"phaseType": "SUBMITTED", "phaseStatus": "SUCCEEDED", "startTime": at, "endTime": at,
            "durationInSeconds": 0},
        {"phaseType": "QUEUED", "startTime": at},
    ]);
}

/// How a build ends.
#[derive(Debug)]
pub(super) struct End {
    /// Its status, and that of the phase it is in.
    pub(super) status: Status,
    /// Why.
    pub(super) context: Option<PhaseContext>,
    /// When, in milliseconds.
    pub(super) at: i64,
}

/// Closes a record: the phase in progress ends, `COMPLETED` follows it (API, `Build`).
pub(super) fn close(record: &mut Json, end: &End) {
    let at = seconds(end.at);
    let Some(build) = record.as_object_mut() else {
        return;
    };
    build.insert("buildStatus".to_owned(), end.status.name().into());
    build.insert("buildComplete".to_owned(), true.into());
    build.insert("currentPhase".to_owned(), "COMPLETED".into());
    build.insert("endTime".to_owned(), at.into());
    let phases = build.entry("phases").or_insert_with(|| json!([]));
    let Some(phases) = phases.as_array_mut() else {
        return;
    };
    let open = phases
        .last_mut()
        .and_then(Json::as_object_mut)
        .filter(|phase| !phase.contains_key("endTime"));
    if let Some(phase) = open {
        let start = phase.get("startTime").and_then(Json::as_f64).unwrap_or(at);
        phase.insert("phaseStatus".to_owned(), end.status.name().into());
        phase.insert("endTime".to_owned(), at.into());
        phase.insert("durationInSeconds".to_owned(), whole(at - start).into());
        if let Some(context) = &end.context {
            phase.insert("contexts".to_owned(), json!([context]));
        }
    }
    phases.push(json!({"phaseType": "COMPLETED", "startTime": at}));
}

/// Times are numbers of seconds with whole milliseconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of this age fit a double exactly"
)]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a duration in seconds is far below the limits of either type"
)]
fn whole(seconds: f64) -> i64 {
    seconds.max(0.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phase_in_progress_ends_and_completed_follows() {
        let mut record = json!({"buildStatus": "IN_PROGRESS", "phases": [
            {"phaseType": "SUBMITTED", "phaseStatus": "SUCCEEDED", "startTime": 1.0, "endTime": 1.0},
            {"phaseType": "QUEUED", "startTime": 1.0},
        ]});
        let end = End {
            status: Status::TimedOut,
            context: Some(PhaseContext::new("BUILD_TIMED_OUT", "too long")),
            at: 5900,
        };
        close(&mut record, &end);
        assert_eq!(record["buildStatus"], "TIMED_OUT");
        assert_eq!(record["endTime"], 5.9);
        assert_eq!(
            record["phases"][1],
            json!({"phaseType": "QUEUED", "phaseStatus": "TIMED_OUT", "startTime": 1.0,
                "endTime": 5.9, "durationInSeconds": 4,
                "contexts": [{"statusCode": "BUILD_TIMED_OUT", "message": "too long"}]})
        );
        assert_eq!(
            record["phases"][2],
            json!({"phaseType": "COMPLETED", "startTime": 5.9})
        );
    }
}
