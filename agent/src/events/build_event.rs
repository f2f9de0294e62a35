//! CodeBuild's events: a change of a build goes in, the events that tell of it come out.
//!
//! The form is that of the events that CodeBuild sends to EventBridge (user guide, "Build notifications input
//! format reference").

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::information::{self, Course};
use super::{identity, record};
use crate::config::EventKind;
use crate::model::BuildRequest;
use crate::store::Change;

/// An event without its `source`, which depends on where it goes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BuildEvent {
    /// Its identity.
    pub(super) id: Uuid,
    /// Its kind.
    pub(super) kind: EventKind,
    /// The status of the build, or of the phase that has ended.
    pub(super) status: String,
    /// The event.
    pub(super) body: Value,
}

/// The events that tell of a change: that the build has begun, the phases that have ended since, and that it
/// is over.
pub(super) fn of_change(change: &Change<'_>) -> Vec<BuildEvent> {
    let Change {
        request,
        before,
        after,
    } = *change;
    let mut events = Vec::new();
    if before.is_none() {
        events.push(begun(request, after));
    }
    let phases = record::phases(after);
    let known = before.map(record::phases).unwrap_or_default();
    for (index, phase) in phases.iter().enumerate() {
        let is_told = known
            .iter()
            .any(|known| is_same(known, phase) && has_ended(known));
        if has_ended(phase) && !is_told {
            events.push(phase_ended(request, after, index));
        }
    }
    let was_over = before.is_some_and(record::is_complete);
    if record::is_complete(after) && !was_over {
        events.push(over(request, after));
    }
    events
}

/// Whether it is the same phase of the same attempt: a later attempt enters its phases later.
fn is_same(one: &Value, other: &Value) -> bool {
    one["phaseType"] == other["phaseType"] && one["startTime"] == other["startTime"]
}

fn has_ended(phase: &Value) -> bool {
    phase.get("endTime").is_some()
}

fn begun(request: &BuildRequest, after: &Value) -> BuildEvent {
    let detail = json!({
        "build-status": "IN_PROGRESS",
        "current-phase": "SUBMITTED",
        "current-phase-context": "[]",
        "additional-information": information::of(request, after, Course::None),
    });
    let id = identity::of(request, &["state", "IN_PROGRESS"]);
    let time = &after["startTime"];
    event(
        request,
        (id, EventKind::State),
        "IN_PROGRESS",
        (time, detail),
    )
}

fn over(request: &BuildRequest, after: &Value) -> BuildEvent {
    let status = after["buildStatus"].as_str().unwrap_or_default();
    let detail = json!({
        "build-status": status,
        "current-phase": "COMPLETED",
        "current-phase-context": "[: ]",
        "additional-information": information::of(request, after, Course::Whole),
    });
    let id = identity::of(request, &["state", "over"]);
    let time = &after["endTime"];
    event(request, (id, EventKind::State), status, (time, detail))
}

fn phase_ended(request: &BuildRequest, after: &Value, index: usize) -> BuildEvent {
    let phase = &record::phases(after)[index];
    let text = |member: &str| phase[member].as_str().unwrap_or_default();
    let (kind, status) = (text("phaseType"), text("phaseStatus"));
    let contexts = information::contexts(phase).join(", ");
    let detail = json!({
        "completed-phase": kind,
        "completed-phase-status": status,
        "completed-phase-context": format!("[{contexts}]"),
        "completed-phase-duration-seconds": phase["durationInSeconds"].as_f64().unwrap_or_default(),
        "completed-phase-start": record::date(&phase["startTime"]),
        "completed-phase-end": record::date(&phase["endTime"]),
        "additional-information": information::of(request, after, Course::UpTo(index)),
    });
    let started = record::millis(&phase["startTime"]).to_string();
    let id = identity::of(request, &["phase", kind, &started]);
    let time = &phase["startTime"];
    event(request, (id, EventKind::Phase), status, (time, detail))
}

/// Puts a detail into its envelope.
fn event(
    request: &BuildRequest,
    (id, kind): (Uuid, EventKind),
    status: &str,
    (time, mut detail): (&Value, Value),
) -> BuildEvent {
    let arn = request.arn(&format!("build/{}", request.id));
    detail["project-name"] = request.id.project.to_string().into();
    detail["build-id"] = arn.as_str().into();
    detail["version"] = "1".into();
    let time = Timestamp::from_second(record::millis(time).div_euclid(1000)).unwrap_or_default();
    BuildEvent {
        id,
        kind,
        status: status.to_owned(),
        body: json!({
            "version": "0",
            "id": id.to_string(),
            "detail-type": kind.name(),
            "account": request.account,
            "time": time.to_string(),
            "region": request.region,
            "resources": [arn],
            "detail": detail,
        }),
    }
}
