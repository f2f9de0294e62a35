//! What is told of a build from its beginning to its end.

mod build_events;
mod commit_statuses;

use serde_json::{Value, json};

use super::Announcer;
use crate::config::Config;
use crate::model::{BuildId, BuildRequest, Overrides, Project, Start};
use crate::store::{Change, Herald, NewMessage};

const UUID: &str = "3f7c1a52-7d0e-4a0b-9a53-51b7a4a0c0de";

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// November 3rd, 2026, 21:28:52 UTC.
const BEGIN: f64 = 1_793_741_332.0;

fn request(overrides: &Value) -> BuildRequest {
    let definition = json!({
        "name": "demo",
        "source": {"type": "GITHUB", "location": "https://github.com/o/r.git"},
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0",
            "computeType": "BUILD_GENERAL1_SMALL"},
    });
    let project: Project = serde_json::from_value(definition).unwrap();
    let overrides = Overrides::parse(&overrides.to_string()).unwrap();
    BuildRequest::new(Start {
        id: BuildId {
            project: "demo".parse().unwrap(),
            uuid: UUID.parse().unwrap(),
        },
        project: &project,
        overrides: &overrides,
        build_number: 12,
        initiator: "ada".to_owned(),
        region: "eu-west-1".to_owned(),
        account: "123456789012".to_owned(),
        directory: None,
        artifact_directory: None,
    })
    .unwrap()
}

fn announcer(config: &str) -> Announcer {
    Announcer::new(&toml::from_str::<Config>(config).unwrap())
}

/// Two destinations that want everything.
fn everybody() -> Announcer {
    announcer(
        "[[events]]\nname = 'bus'\nto.event-bridge = {}\n[[events]]\nname = 'topic'\nto.sns = {topic = 'arn:t'}\n",
    )
}

fn phase(name: &str, from: f64, to: f64, context: Option<[&str; 2]>) -> Value {
    let mut phase = json!({"phaseType": name, "phaseStatus": "SUCCEEDED", "startTime": BEGIN + from,
        "endTime": BEGIN + to, "durationInSeconds": 4});
    if let Some([code, message]) = context {
        phase["contexts"] = json!([{"statusCode": code, "message": message}]);
        if !code.is_empty() {
            phase["phaseStatus"] = "FAILED".into();
        }
    }
    phase
}

fn entered(name: &str, at: f64) -> Value {
    json!({"phaseType": name, "startTime": BEGIN + at})
}

fn record(phases: &[Value]) -> Value {
    json!({"buildStatus": "IN_PROGRESS", "buildComplete": false, "startTime": BEGIN, "phases": phases})
}

/// The same record at the end of its build.
fn over(mut record: Value, status: &str) -> Value {
    record["buildStatus"] = status.into();
    record["buildComplete"] = true.into();
    record["endTime"] = (BEGIN + 50.0).into();
    record
}

fn told(
    announcer: &Announcer,
    request: &BuildRequest,
    before: Option<&Value>,
    after: &Value,
) -> Vec<NewMessage> {
    announcer.messages(&Change {
        request,
        before,
        after,
    })
}

/// What the topic hears.
fn events(request: &BuildRequest, before: Option<&Value>, after: &Value) -> Vec<Value> {
    let told = told(&everybody(), request, before, after).into_iter();
    told.filter(|message| message.destination == "topic")
        .map(|message| serde_json::from_str(&message.payload).unwrap())
        .collect()
}

fn submitted() -> Value {
    record(&[
        json!({"phaseType": "SUBMITTED", "phaseStatus": "SUCCEEDED", "startTime": BEGIN,
            "endTime": BEGIN, "durationInSeconds": 0}),
        entered("QUEUED", 0.0),
    ])
}
