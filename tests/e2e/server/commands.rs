//! One set of commands, for the store of this machine and for a server.

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{Finished, Project, Running};

use super::building::server_with;

const BUILDSPEC: &str = "
version: 0.2
phases:
  build:
    commands:
      - echo \"stage $STAGE\"
      - test \"$STAGE\" != bad
";

/// Carries out a command, on the builds of a server if there is one.
fn command(project: &Project, endpoint: Option<&str>, arguments: &[&str]) -> Finished {
    let mut command = project.agent(arguments);
    command.env_remove("AWS_ACCESS_KEY_ID");
    if let Some(endpoint) = endpoint {
        command.env("BUILDSPEC_AGENT_ENDPOINT", endpoint);
    }
    Running::start(command).finish()
}

/// What every place of builds answers; `submit` is how a build comes there.
fn the_commands_work(project: &Project, endpoint: Option<&str>, submit: &[&str]) {
    let run = |arguments: &[&str]| command(project, endpoint, arguments);
    let good = run(&[submit, &["--env", "STAGE=good", "--wait"]].concat());
    assert_eq!(good.exit_code, Some(0), "{}", good.stderr);
    assert!(good.text().contains("stage good\n"), "{}", good.text());
    for phase in ["BUILD", "COMPLETED", "SUCCEEDED"] {
        assert!(good.stderr.contains(phase), "{}", good.stderr);
    }
    let bad = run(&[submit, &["--env", "STAGE=bad"]].concat());
    let bad = bad.text().trim().to_owned();
    let followed = run(&["logs", "--follow", &bad]);
    assert_eq!(followed.exit_code, Some(1), "{}", followed.stderr);
    let shown = run(&["logs", &bad]);
    assert_eq!((shown.exit_code, shown.text()), (Some(0), followed.text()));
    let again = run(&["retry", &bad, "--wait"]);
    assert_eq!(again.exit_code, Some(1), "{}", again.stderr);
    let listed = run(&["builds"]).text();
    let statuses: Vec<_> = listed
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(statuses, ["FAILED", "FAILED", "SUCCEEDED"], "{listed}");
    assert!(listed.contains(&bad), "{listed}");
    let listed = run(&["builds", "--json", "--limit", "1"]).text();
    let newest: Value = serde_json::from_str(&listed).expect("one object");
    assert_eq!(newest["buildNumber"], 3);
    assert_eq!(
        newest["environment"]["environmentVariables"][0]["value"],
        "bad"
    );
    let why = run(&["builds", "why", &bad]);
    assert_eq!(why.text(), "it is over: FAILED\n");
    let stopped = run(&["stop", &bad]);
    assert_eq!(stopped.text(), format!("{bad} FAILED\n"));
    let nothing = "demo:00000000-0000-4000-8000-000000000000";
    for arguments in [
        &["logs", nothing][..],
        &["stop", nothing],
        &["retry", nothing],
        &["builds", "why", nothing],
    ] {
        let unknown = run(arguments);
        assert_eq!(
            unknown.exit_code,
            Some(2),
            "{arguments:?}: {}",
            unknown.stderr
        );
        assert!(
            unknown.stderr.contains("does not exist"),
            "{}",
            unknown.stderr
        );
    }
}

#[test]
fn on_the_store_of_this_machine() {
    let project = Project::new(BUILDSPEC);
    let worker = Running::start(project.agent(&["worker"]));
    let source = project.source();
    let source = source.to_str().expect("temporary paths are UTF-8");
    the_commands_work(&project, None, &["submit", source]);
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.finish().exit_code, Some(0));
}

#[test]
fn on_a_server() {
    let (project, elsewhere) = (Project::empty(), Project::empty());
    let server = server_with(&project, BUILDSPEC);
    the_commands_work(
        &elsewhere,
        Some(server.url()),
        &["submit", "--project", "demo"],
    );
    let local = command(&elsewhere, Some(server.url()), &["submit", "."]);
    assert_eq!(local.exit_code, Some(2));
    assert!(
        local.stderr.contains("a directory of this machine"),
        "{}",
        local.stderr
    );
    let store = format!("sqlite:{}", elsewhere.root().join("s.db").display());
    let own = command(
        &elsewhere,
        Some(server.url()),
        &["builds", "--store", &store],
    );
    assert_eq!(
        (own.exit_code, own.text()),
        (Some(0), String::new()),
        "what is typed wins"
    );
    let nowhere = command(&elsewhere, Some("http://127.0.0.1:1"), &["builds"]);
    assert_eq!(nowhere.exit_code, Some(3), "{}", nowhere.stderr);
    let no_url = command(&elsewhere, Some("localhost"), &["builds"]);
    assert_eq!(no_url.exit_code, Some(2), "{}", no_url.stderr);
}
