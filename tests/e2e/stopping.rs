//! A build that is stopped or runs out of time ends with all its processes.

use nix::sys::signal::Signal;
use tests::{Project, engine};

/// A build that says `started` and then runs for ever, in a child that ignores polite signals too.
const ENDLESS: &str = "
version: 0.2
phases:
  build:
    commands:
      - (trap '' TERM INT HUP; sleep 100000) & echo started; sleep 100000
    finally: [echo finally]
  post_build:
    commands: [echo post_build]
artifacts:
  files: [buildspec.yml]
";

#[test]
fn a_signal_stops_the_build_and_leaves_nothing() {
    let builds = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].map(|signal| {
        let project = Project::new(ENDLESS);
        let mut running = project.start(&[]);
        running.wait_for("\"started\\n\"");
        running.signal(signal);
        (signal, project, running)
    });
    for (signal, project, running) in builds {
        let finished = running.finish();
        project.assert_clean();
        assert_eq!(finished.exit_code, Some(5), "{signal}: {}", finished.stderr);
        assert_eq!(finished.build().build_status, "STOPPED", "{signal}");
        assert_eq!(
            finished.phases()[4..],
            [
                "INSTALL SUCCEEDED",
                "PRE_BUILD SUCCEEDED",
                "BUILD STOPPED",
                "COMPLETED"
            ],
            "{signal}"
        );
        assert_eq!(
            finished.output(),
            ["started"],
            "{signal}: nothing runs after a stop"
        );
        assert_eq!(project.artifact_paths(), [""; 0], "{signal}");
    }
}

#[test]
fn a_build_longer_than_its_timeout_is_ended_with_its_processes() {
    let project = Project::new(ENDLESS);
    let finished = project.run(&["--timeout", "1"]);
    assert_eq!(finished.exit_code, Some(4), "{}", finished.stderr);
    assert_eq!(finished.build().build_status, "TIMED_OUT");
    assert_eq!(finished.phases()[6..], ["BUILD TIMED_OUT", "COMPLETED"]);
    assert_eq!(
        finished.context("BUILD"),
        "BUILD_TIMED_OUT: Build has timed out. "
    );
    assert_eq!(
        finished.output(),
        ["started"],
        "nothing runs after a timeout"
    );
    assert_eq!(project.artifact_paths(), [""; 0]);
}

#[test]
fn a_build_is_stopped_while_its_source_is_still_copied_or_its_container_made() {
    // As early as a signal can arrive: the agent has said nothing yet.
    let project = (0..2000).fold(Project::new(ENDLESS), |project, number| {
        project.with_file(&format!("files/{number}"), [0; 4096])
    });
    let running = project.start(&[]);
    wait_until_signals_are_handled(&running);
    running.signal(Signal::SIGINT);
    let finished = running.finish();
    project.assert_clean();
    assert_eq!(
        finished.exit_code,
        Some(5),
        "{}{}",
        finished.text(),
        finished.stderr
    );
}

/// Waits until the agent catches SIGINT: before that, a signal ends any program.
fn wait_until_signals_are_handled(running: &tests::Running) {
    let status = format!("/proc/{}/status", running.process());
    loop {
        let text = std::fs::read_to_string(&status).expect("the agent runs");
        let caught = text
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))
            .expect("a process has a signal mask");
        let mask = u64::from_str_radix(caught.trim(), 16).expect("a mask is a hexadecimal number");
        if mask >> (Signal::SIGINT as i32 - 1) & 1 == 1 {
            return;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_container_removed_by_somebody_else_is_a_fault() {
    let project = Project::new(ENDLESS);
    let mut running = project.start(&[]);
    running.wait_for("\"started\\n\"");
    engine::remove(&project.containers());
    let finished = running.finish();
    project.assert_clean();
    assert_eq!(
        finished.exit_code,
        Some(3),
        "{}{}",
        finished.text(),
        finished.stderr
    );
    assert_eq!(finished.build().build_status, "FAULT");
}
