//! What is told of a build from its beginning to its end.

use serde_json::{Value, json};

use super::{Announcer, commit_status};
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

#[test]
fn the_first_event_is_codebuilds() {
    let request = request(&json!({"sourceVersion": "main"}));
    let told = events(&request, None, &submitted());
    let id = told[0]["id"].clone();
    let arn = format!("arn:aws:codebuild:eu-west-1:123456789012:build/demo:{UUID}");
    let expected = json!({
        "version": "0", "id": id, "detail-type": "CodeBuild Build State Change",
        "source": "aws.codebuild", "account": "123456789012", "time": "2026-11-03T21:28:52Z",
        "region": "eu-west-1", "resources": [arn],
        "detail": {
            "build-status": "IN_PROGRESS", "project-name": "demo", "build-id": arn,
            "current-phase": "SUBMITTED", "current-phase-context": "[]", "version": "1",
            "additional-information": {
                "artifact": {"location": ""}, "cache": {"type": "NO_CACHE"},
                "environment": {"image": "aws/codebuild/standard:7.0", "privileged-mode": false,
                    "image-pull-credentials-type": "CODEBUILD",
                    "compute-type": "BUILD_GENERAL1_SMALL", "type": "LINUX_CONTAINER",
                    "environment-variables": []},
                "timeout-in-minutes": 60.0, "queued-timeout-in-minutes": 480.0,
                "build-complete": false, "initiator": "ada",
                "build-start-time": "Nov 3, 2026 9:28:52 PM",
                "source": {"type": "GITHUB", "location": "https://github.com/o/r.git"},
                "source-version": "main",
                "logs": {"deep-link": "https://console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logEvent:group=null;stream=null"},
            },
        },
    });
    assert_eq!(told[0], expected);
    assert_eq!(
        told[0].to_string().matches("60.0").count(),
        1,
        "numbers are floating"
    );
    assert_eq!(told[1]["detail"]["completed-phase"], "SUBMITTED");
    assert_eq!(told[1]["detail"]["completed-phase-context"], "[]");
    assert_eq!(told.len(), 2);
}

#[test]
fn a_failed_phase_is_told_as_codebuild_does() {
    let request = request(&json!({}));
    let message = "Error while executing command: make. Reason: exit status 2";
    let before = record(&[phase("SUBMITTED", 0.0, 0.0, None), entered("BUILD", 38.0)]);
    let after = record(&[
        phase("SUBMITTED", 0.0, 0.0, None),
        phase(
            "BUILD",
            38.0,
            42.0,
            Some(["COMMAND_EXECUTION_ERROR", message]),
        ),
        entered("POST_BUILD", 42.0),
    ]);
    let told = events(&request, Some(&before), &after);
    let [event] = told.as_slice() else {
        panic!("one phase has ended: {told:?}");
    };
    assert_eq!(event["detail-type"], "CodeBuild Build Phase Change");
    assert_eq!(event["time"], "2026-11-03T21:29:30Z");
    let mut detail = event["detail"].clone();
    let information = detail["additional-information"].take();
    assert_eq!(
        detail,
        json!({
            "completed-phase": "BUILD", "completed-phase-status": "FAILED",
            "completed-phase-duration-seconds": 4.0,
            "completed-phase-context": format!("[COMMAND_EXECUTION_ERROR: {message}]"),
            "completed-phase-start": "Nov 3, 2026 9:29:30 PM",
            "completed-phase-end": "Nov 3, 2026 9:29:34 PM",
            "project-name": "demo", "version": "1", "additional-information": null,
            "build-id": format!("arn:aws:codebuild:eu-west-1:123456789012:build/demo:{UUID}"),
        })
    );
    assert_eq!(information["build-number"].to_string(), "12.0");
    assert_eq!(information["build-complete"], false);
    assert_eq!(
        information["phases"][1],
        json!({"phase-type": "BUILD", "phase-status": "FAILED",
            "start-time": "Nov 3, 2026 9:29:30 PM", "end-time": "Nov 3, 2026 9:29:34 PM",
            "duration-in-seconds": 4.0,
            "phase-context": [format!("COMMAND_EXECUTION_ERROR: {message}")]})
    );
    assert_eq!(
        information["phases"][2],
        json!({"phase-type": "POST_BUILD", "start-time": "Nov 3, 2026 9:29:34 PM"})
    );
    assert_eq!(information["logs"]["group-name"], "/aws/codebuild/demo");
    assert_eq!(information["logs"]["stream-name"], UUID);
}

#[test]
fn the_last_event_follows_those_of_all_phases() {
    let request = request(&json!({}));
    let after = over(
        record(&[
            phase("SUBMITTED", 0.0, 0.0, None),
            phase("QUEUED", 0.0, 1.0, None),
            phase("PROVISIONING", 1.0, 4.0, Some(["", ""])),
            phase("FINALIZING", 4.0, 9.0, Some(["", ""])),
            entered("COMPLETED", 9.0),
        ]),
        "SUCCEEDED",
    );
    let told = events(&request, Some(&submitted()), &after);
    let names: Vec<_> = told
        .iter()
        .map(|event| {
            let detail = &event["detail"];
            detail["completed-phase"].as_str().unwrap_or("the end")
        })
        .collect();
    assert_eq!(names, ["QUEUED", "PROVISIONING", "FINALIZING", "the end"]);
    let first = &told[0]["detail"]["additional-information"]["phases"];
    assert_eq!(
        first.as_array().unwrap().len(),
        3,
        "later phases are later events'"
    );
    assert_eq!(told[1]["detail"]["completed-phase-context"], "[: ]");
    let end = &told[3]["detail"];
    assert_eq!(
        (&end["build-status"], &end["current-phase"]),
        (&json!("SUCCEEDED"), &json!("COMPLETED"))
    );
    assert_eq!(end["current-phase-context"], "[: ]");
    let information = &end["additional-information"];
    assert_eq!(information["build-complete"], true);
    let last = information["phases"].as_array().unwrap().last().unwrap();
    assert_eq!(
        *last,
        json!({"phase-type": "COMPLETED", "start-time": "Nov 3, 2026 9:29:01 PM"})
    );
    // What was told once is not told again.
    assert_eq!(events(&request, Some(&after), &after), [json!(null); 0]);
}

#[test]
fn an_event_has_the_same_identity_whoever_tells_it() {
    let request = request(&json!({}));
    let after = over(record(&[phase("SUBMITTED", 0.0, 0.0, None)]), "FAILED");
    let tell = || told(&everybody(), &request, None, &after);
    assert_eq!(tell(), tell());
    let ids: std::collections::BTreeSet<_> = tell().iter().map(|message| message.id).collect();
    // Begun, one phase, over: to two destinations.
    assert_eq!((tell().len(), ids.len()), (6, 3));
    // The phase of another attempt began later.
    let again = over(record(&[phase("SUBMITTED", 5.0, 6.0, None)]), "FAILED");
    let other = told(&everybody(), &request, None, &again);
    assert_eq!(tell()[0].id, other[0].id);
    assert_ne!(tell()[2].id, other[2].id);
}

#[test]
fn a_destination_gets_what_it_asks_for() {
    let request = request(&json!({}));
    let after = over(
        record(&[phase("BUILD", 0.0, 4.0, Some(["CODE", "why"]))]),
        "FAILED",
    );
    for (label, filter, expected) in [
        ("everything", "", 2),
        (
            "states",
            "detail_types = ['CodeBuild Build State Change']",
            1,
        ),
        ("a status", "statuses = ['FAILED', 'STOPPED']", 2),
        ("another status", "statuses = ['SUCCEEDED']", 0),
        ("its project", "projects = ['other', 'demo']", 2),
        ("a beginning", "projects = ['de*']", 2),
        ("other projects", "projects = ['dem', 'x*']", 0),
    ] {
        let config = format!("[[events]]\nname = 'a'\nto.sns = {{topic = 'arn:t'}}\n{filter}");
        let told = told(&announcer(&config), &request, Some(&record(&[])), &after);
        assert_eq!(told.len(), expected, "{label}");
    }
}

#[test]
fn no_event_shows_what_no_log_shows() {
    let mut request = request(&json!({"environmentVariablesOverride": [
        {"name": "PLAIN", "value": "p"}, {"name": "MASKED", "value": "m"},
        {"name": "STORED", "value": "/s", "type": "PARAMETER_STORE"}]}));
    request.masked_variables = vec!["MASKED".to_owned()];
    let told = events(&request, None, &submitted());
    assert_eq!(
        told[0]["detail"]["additional-information"]["environment"]["environment-variables"],
        json!([{"name": "PLAIN", "value": "p", "type": "PLAINTEXT"},
            {"name": "MASKED", "value": "***", "type": "PLAINTEXT"},
            {"name": "STORED", "value": "/s", "type": "PARAMETER_STORE"}])
    );
}

#[test]
fn nothing_is_told_where_nobody_is_named() {
    let announcer = announcer("");
    assert!(!announcer.hears_all());
    let request = request(&json!({}));
    let after = over(record(&[]), "FAILED");
    assert_eq!(told(&announcer, &request, None, &after), []);
}

/// What a commit is to show after a change.
fn status(overrides: &Value, before: &Value, after: &Value) -> Option<Value> {
    let mut all = json!({"reportBuildStatusOverride": true});
    all.as_object_mut()
        .unwrap()
        .extend(overrides.as_object().unwrap().clone());
    let config = announcer("[commit_status]\ntarget_url = 'https://ci/$CODEBUILD_BUILD_ID'");
    let told = told(&config, &request(&all), Some(before), after);
    let message = told.first()?;
    assert_eq!(message.destination, commit_status::DESTINATION);
    Some(serde_json::from_str(&message.payload).unwrap())
}

#[test]
fn a_commit_is_pending_once_it_is_known_and_gets_one_final_state() {
    let nothing = json!({});
    let unknown = record(&[entered("DOWNLOAD_SOURCE", 1.0)]);
    let mut known = unknown.clone();
    known["resolvedSourceVersion"] = COMMIT.into();
    assert_eq!(status(&nothing, &unknown, &unknown), None);
    let expected = json!({"commit": COMMIT, "status": null,
        "context": "AWS CodeBuild eu-west-1 (demo)",
        "description": "Build started for project demo",
        "target_url": format!("https://ci/demo:{UUID}")});
    assert_eq!(status(&nothing, &unknown, &known), Some(expected));
    assert_eq!(status(&nothing, &known, &known), None);
    let mut failed = over(known.clone(), "FAILED");
    failed["phases"] = json!([phase("BUILD", 0.0, 4.0, Some(["CODE", "why"]))]);
    let shown = status(&nothing, &known, &failed).unwrap();
    assert_eq!(shown["status"], "FAILED");
    assert_eq!(
        shown["description"],
        "Build failed in BUILD for project demo"
    );
    assert_eq!(status(&nothing, &failed, &failed), None);
    // A build that could not even fetch it.
    let lost = over(unknown.clone(), "FAULT");
    assert_eq!(status(&nothing, &unknown, &lost), None, "which commit?");
    let shown = status(&json!({"sourceVersion": COMMIT}), &unknown, &lost).unwrap();
    assert_eq!(
        (&shown["commit"], &shown["status"]),
        (&json!(COMMIT), &json!("FAULT"))
    );
    let silent = told(&announcer(""), &request(&json!({})), Some(&known), &failed);
    assert_eq!(silent, [], "it was not asked for");
}

#[test]
fn the_words_of_a_status_hold_variables_of_the_build() {
    let known = record(&[]);
    let mut after = over(known.clone(), "SUCCEEDED");
    after["resolvedSourceVersion"] = COMMIT.into();
    after["exportedEnvironmentVariables"] = json!([{"name": "RELEASE", "value": "1.10"}]);
    for (text, expected) in [
        (
            "build-$CODEBUILD_BUILD_NUMBER-$AWS_REGION",
            "build-12-eu-west-1",
        ),
        ("${STAGE}:$RELEASE", "beta:1.10"),
        ("$NONE.$", ".$"),
        ("$5 ${", "$5 ${"),
        ("${a-b}", "${a-b}"),
        ("é$STAGE", "ébeta"),
        ("$SECRET", ""),
        ("$CODEBUILD_RESOLVED_SOURCE_VERSION", COMMIT),
        ("$CODEBUILD_BUILD_NUMBER$CODEBUILD_INITIATOR", "12ada"),
    ] {
        let overrides = json!({
            "buildStatusConfigOverride": {"context": text, "targetUrl": format!("https://x/{text}")},
            "environmentVariablesOverride": [{"name": "STAGE", "value": "beta"},
                {"name": "CODEBUILD_BUILD_NUMBER", "value": "7"},
                {"name": "SECRET", "value": "/s", "type": "PARAMETER_STORE"}]});
        let shown = status(&overrides, &known, &after).unwrap();
        let expected = (json!(expected), json!(format!("https://x/{expected}")));
        let found = (shown["context"].clone(), shown["target_url"].clone());
        assert_eq!(
            found,
            if text == "$SECRET" {
                (json!("AWS CodeBuild eu-west-1 (demo)"), expected.1)
            } else {
                expected
            },
            "{text}"
        );
    }
}
