//! Builds that are started through the API, and really run.

use serde_json::{Value, json};
use std::fs;
use tests::{Project, Server};

use super::{at, aws, project_json};

/// A server with a project that builds with this buildspec.
pub(super) fn server_with(project: &Project, buildspec: &str) -> Server {
    let server = Server::start(project, &[]);
    create_project(project, &server, buildspec);
    server
}

/// Makes that project.
pub(super) fn create_project(project: &Project, server: &Server, buildspec: &str) {
    let mut input = project_json();
    input["source"]["buildspec"] = buildspec.into();
    input["environment"]["image"] = tests::engine::test_image().into();
    let path = project.root().join("project.json");
    fs::write(&path, input.to_string()).expect("one's own directory");
    let input = format!("file://{}", path.display());
    aws(server, &["create-project", "--cli-input-json", &input]);
}

#[test]
fn a_build_is_run_and_followed_to_its_end() {
    let project = Project::empty();
    let buildspec = "version: 0.2\nphases:\n  build:\n    commands:\n      - echo hello $STAGE\n";
    let server = server_with(&project, buildspec);
    let output = at(
        &project,
        &server,
        &[
            "submit",
            "--project",
            "demo",
            "--env",
            "STAGE=test",
            "--wait",
        ],
    )
    .output()
    .expect("the program starts");
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert!(log.contains("hello test\n"), "{log}");
    assert!(
        log.contains("Phase complete: BUILD State: SUCCEEDED"),
        "{log}"
    );
    let listed = aws(&server, &["list-builds"]);
    let id = listed["ids"][0].as_str().expect("an id").to_owned();
    let build = &aws(&server, &["batch-get-builds", "--ids", &id])["builds"][0];
    assert_eq!(build["buildStatus"], "SUCCEEDED");
    assert_eq!(build["buildComplete"], true);
    assert_eq!(build["currentPhase"], "COMPLETED");
    let phases = build["phases"].as_array().expect("phases");
    let last = phases.last().expect("the last phase");
    assert_eq!(last["phaseType"], "COMPLETED");
    assert!(!build["endTime"].is_null(), "pollers wait for it");
    // What AWS's action for GitHub asks for.
    let logs = &build["logs"];
    let events = server.run(
        "aws",
        &[
            "--output",
            "json",
            "logs",
            "get-log-events",
            "--start-from-head",
            "--log-group-name",
            logs["groupName"].as_str().expect("a group"),
            "--log-stream-name",
            logs["streamName"].as_str().expect("a stream"),
        ],
    );
    let events: Value = serde_json::from_str(&events).expect("JSON");
    let messages = events["events"].as_array().expect("events").iter();
    let text: String = messages
        .filter_map(|event| event["message"].as_str())
        .collect();
    assert_eq!(text, log, "every client reads the same log");
    assert!(server.stop());
}

#[test]
fn the_exit_code_tells_the_outcome() {
    let project = Project::empty();
    let buildspec = "version: 0.2\nphases:\n  build:\n    commands:\n      - exit 7\n";
    let server = server_with(&project, buildspec);
    let failed = at(
        &project,
        &server,
        &["submit", "--project", "demo", "--wait"],
    )
    .output()
    .expect("the program starts");
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(said.contains("FAILED"), "{said}");
    let unknown = at(&project, &server, &["submit", "--project", "nope"])
        .output()
        .expect("the program starts");
    assert_eq!(unknown.status.code(), Some(2));
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(said.contains("ResourceNotFoundException"), "{said}");
}

#[test]
fn a_running_build_is_stopped_through_the_api() {
    let project = Project::empty();
    let buildspec =
        "version: 0.2\nphases:\n  build:\n    commands:\n      - echo begun; sleep 600\n";
    let server = server_with(&project, buildspec);
    let started = aws(&server, &["start-build", "--project-name", "demo"]);
    let id = started["build"]["id"].as_str().expect("an id").to_owned();
    let mut following = tests::Running::start(at(&project, &server, &["logs", "--follow", &id]));
    following.wait_for("begun");
    aws(&server, &["stop-build", "--id", &id]);
    assert_eq!(following.finish().exit_code, Some(5), "stopped");
    let build = &aws(&server, &["batch-get-builds", "--ids", &id])["builds"][0];
    assert_eq!(build["buildStatus"], "STOPPED");
    let none = json!(null);
    assert_ne!(build["endTime"], none);
}

#[test]
fn version_2_of_the_aws_cli_tails_the_log_of_a_build_that_runs() {
    let project = Project::empty();
    let buildspec =
        "version: 0.2\nphases:\n  build:\n    commands:\n      - echo be''gun; sleep 600\n";
    let server = server_with(&project, buildspec);
    let started = aws(&server, &["start-build", "--project-name", "demo"]);
    let id = started["build"]["id"].as_str().expect("an id").to_owned();
    let mut tail = server.cli(tests::CliVersion::V2);
    tail.args(["logs", "tail", "--follow", "/aws/codebuild/demo"]);
    let mut tail = tests::Running::start(tail);
    tail.wait_for("begun");
    aws(&server, &["stop-build", "--id", &id]);
    // What comes after it has begun to follow is shown as well.
    tail.wait_for("Phase complete: BUILD State: STOPPED");
    // Whatever runs in the background of a script does not hear SIGINT.
    tail.signal(nix::sys::signal::Signal::SIGTERM);
    tail.finish();
}
