//! An agent that was killed leaves a container; `gc` finds it and nothing else.

use nix::sys::signal::Signal;
use tests::{Finished, Project, Running};

const ENDLESS: &str =
    "{version: 0.2, phases: {build: {commands: [touch made, echo started; sleep 100000]}}}";

fn gc(project: &Project, arguments: &[&str]) -> Finished {
    Running::start(project.agent(&[&["gc"], arguments].concat())).finish()
}

#[test]
fn what_a_killed_agent_left_is_removed_by_gc() {
    let project = Project::new(ENDLESS);
    let mut running = project.start(&[]);
    running.wait_for("\"started\\n\"");
    running.signal(Signal::SIGKILL);
    running.finish();
    let left = project.containers();
    assert_eq!(left.len(), 1, "the container outlives its agent");

    let told = gc(&project, &["--all", "--dry-run"]);
    assert_eq!(told.exit_code, Some(0), "{}", told.stderr);
    assert_eq!(project.containers(), left, "a dry run removes nothing");

    let removed = gc(&project, &["--all"]);
    assert_eq!(removed.exit_code, Some(0), "{}", removed.stderr);
    project.assert_clean();
    assert_eq!(
        gc(&project, &[]).exit_code,
        Some(0),
        "there may be nothing to do"
    );
}

#[test]
fn gc_leaves_the_build_of_a_living_agent_alone() {
    let project = Project::new(ENDLESS);
    let mut running = project.start(&[]);
    running.wait_for("\"started\\n\"");
    let before = project.containers();
    assert_eq!(gc(&project, &["--all"]).exit_code, Some(0));
    assert_eq!(project.containers(), before);
    running.signal(Signal::SIGTERM);
    assert_eq!(running.finish().exit_code, Some(5));
    project.assert_clean();
}
