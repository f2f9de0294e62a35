//! A build outlives its agent: whoever takes it up brings it to its end as if nothing had happened.

use std::fs;

use nix::sys::signal::Signal;
use tests::{Finished, Project, Running, engine};

/// A build that says `waiting` and goes on once the file `go` lies in its output directory.
const WAITING: &str = "
version: 0.2
env:
  exported-variables: [BEFORE, AFTER]
phases:
  pre_build:
    commands: [export BEFORE=b]
  build:
    commands:
      - echo waiting; while [ ! -e /codebuild/output/go ]; do sleep 0.05; done; echo went on
      - export AFTER=a; echo done > result
artifacts:
  files: [result]
";

fn let_go(project: &Project) {
    let go = project.build_directory().join("output/go");
    fs::write(go, "").expect("the directory is this user's");
}

/// Starts a build and kills its agent in the middle of it.
fn abandoned(project: &Project) {
    let mut running = project.start(&[]);
    running.wait_for("\"waiting\\n\"");
    running.signal(Signal::SIGKILL);
    running.finish();
    assert_eq!(project.containers().len(), 1, "the container lives on");
}

fn recover(project: &Project) -> Running {
    Running::start(project.agent(&["recover", &project.build_uuid(), "--json"]))
}

fn assert_succeeded(project: &Project, finished: &Finished) {
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
    assert_eq!(
        finished.phases(),
        [
            "SUBMITTED SUCCEEDED",
            "QUEUED SUCCEEDED",
            "PROVISIONING SUCCEEDED",
            "DOWNLOAD_SOURCE SUCCEEDED",
            "INSTALL SUCCEEDED",
            "PRE_BUILD SUCCEEDED",
            "BUILD SUCCEEDED",
            "POST_BUILD SUCCEEDED",
            "UPLOAD_ARTIFACTS SUCCEEDED",
            "FINALIZING SUCCEEDED",
            "COMPLETED",
        ]
    );
    let exported = finished.build().exported_environment_variables;
    let exported: Vec<_> = exported
        .iter()
        .map(|variable| format!("{}={}", variable.name, variable.value))
        .collect();
    assert_eq!(exported, ["BEFORE=b", "AFTER=a"]);
    assert_eq!(project.artifact_paths(), ["result"]);
    project.assert_clean();
}

#[test]
fn a_build_whose_agent_is_killed_goes_on_under_another() {
    let project = Project::new(WAITING);
    abandoned(&project);
    let recovering = recover(&project);
    let_go(&project);
    let finished = recovering.finish();
    assert_succeeded(&project, &finished);
    assert!(finished.output().contains(&"went on".to_owned()));
}

#[test]
fn a_build_that_ended_while_nobody_looked_is_published_all_the_same() {
    let project = Project::new(WAITING);
    abandoned(&project);
    let containers = project.containers();
    let_go(&project);
    assert_eq!(engine::docker(&["wait", &containers[0]]).trim(), "0");
    let finished = recover(&project).finish();
    assert_succeeded(&project, &finished);
}

#[test]
fn a_build_survives_one_agent_after_the_other() {
    let project = Project::new(WAITING);
    abandoned(&project);
    for _ in 0..2 {
        let recovering = recover(&project);
        recovering.signal(Signal::SIGKILL);
        recovering.finish();
    }
    let_go(&project);
    let finished = recover(&project).finish();
    assert_succeeded(&project, &finished);
}

#[test]
fn all_abandoned_builds_are_taken_up_at_once() {
    let project = Project::new(WAITING);
    abandoned(&project);
    let_go(&project);
    let finished = Running::start(project.agent(&["recover", "--json"])).finish();
    assert_succeeded(&project, &finished);
    let nothing = Running::start(project.agent(&["recover"])).finish();
    assert_eq!(nothing.exit_code, Some(0), "{}", nothing.stderr);
}

#[test]
fn only_one_agent_looks_after_a_build() {
    let project = Project::new(WAITING);
    let mut running = project.start(&[]);
    running.wait_for("\"waiting\\n\"");
    let refused = recover(&project).finish();
    assert_eq!(refused.exit_code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("an agent looks after it"));
    let_go(&project);
    assert_succeeded(&project, &running.finish());
}

#[test]
fn a_stopped_recovery_stops_the_build() {
    let project = Project::new(WAITING);
    abandoned(&project);
    let mut recovering = recover(&project);
    recovering.wait_for("waiting");
    recovering.signal(Signal::SIGTERM);
    let finished = recovering.finish();
    assert_eq!(finished.exit_code, Some(5), "{}", finished.stderr);
    assert_eq!(finished.build().build_status, "STOPPED");
    project.assert_clean();
}

#[test]
fn a_container_that_is_gone_is_a_fault_that_says_how() {
    for (label, end, cause) in [
        ("removed", &["rm", "--force"][..], "does not exist any more"),
        ("killed", &["kill"], "it was killed"),
    ] {
        let project = Project::new(WAITING);
        abandoned(&project);
        let containers = project.containers();
        engine::docker(&[end, &[containers[0].as_str()]].concat());
        let finished = recover(&project).finish();
        assert_eq!(finished.exit_code, Some(3), "{label}: {}", finished.stderr);
        assert_eq!(finished.build().build_status, "FAULT", "{label}");
        let context = finished.context("BUILD");
        assert!(context.contains(cause), "{label}: {context}");
        project.assert_clean();
    }
}

#[test]
fn what_is_kept_of_a_build_holds_no_values_of_variables() {
    let project = Project::new(WAITING);
    let mut running = project.start(&["--env", "TOKEN=keep-this-out", "--mask", "TOKEN"]);
    running.wait_for("\"waiting\\n\"");
    for entry in fs::read_dir(project.build_directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&text).into_owned();
            assert!(!text.contains("keep-this-out"), "{}", path.display());
        }
    }
    let_go(&project);
    assert_eq!(running.finish().exit_code, Some(0));
}

#[test]
fn gc_leaves_a_build_that_can_be_taken_up_unless_it_is_told_otherwise() {
    let project = Project::new(WAITING);
    abandoned(&project);
    let kept = Running::start(project.agent(&["gc"])).finish();
    assert!(
        kept.text().contains("kept for `recover`"),
        "{}",
        kept.text()
    );
    assert_eq!(project.containers().len(), 1);
    let removed = Running::start(project.agent(&["gc", "--all"])).finish();
    assert_eq!(removed.exit_code, Some(0), "{}", removed.stderr);
    project.assert_clean();
}
