//! The engine is restarted in the middle of a build.

use tests::dockerd::{Containers, Dockerd};
use tests::{Finished, Project, Running};

const BUILDSPEC: &str = "
version: 0.2
phases: {build: {commands: [echo started, sleep 15, echo the end]}}
artifacts: {files: [buildspec.yml]}
";

/// A build in whose middle its engine is restarted; nothing is left of it.
fn build(containers: Containers) -> Finished {
    let mut engine = Dockerd::start(containers);
    let project = Project::new(BUILDSPEC);
    let mut command = project.build_command(&[]);
    command.env("DOCKER_HOST", engine.address());
    let mut running = Running::start(command);
    running.wait_for("\"started\\n\"");
    engine.restart();
    let finished = running.finish();
    assert_eq!(engine.containers(), [""; 0]);
    project.assert_clean();
    finished
}

#[test]
fn builds_that_end_with_the_engine_say_so() {
    let finished = build(Containers::EndWithIt);
    assert_eq!(finished.exit_code, Some(3), "{}", finished.log());
    let phases = finished.phases();
    assert!(phases.contains(&"BUILD FAULT".to_owned()), "{phases:?}");
    let context = finished.context("BUILD");
    assert!(context.contains("engine was restarted"), "{context}");
}

#[test]
fn builds_that_outlive_the_engine_go_on() {
    let finished = build(Containers::GoOn);
    assert_eq!(finished.exit_code, Some(0), "{}", finished.log());
    assert!(finished.log().contains("the end"));
}
