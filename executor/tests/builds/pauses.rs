//! A build that waits for a person, at a breakpoint or after a failure.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use executor::protocol::{
    CommandList, Continuation, DebugPlan, Event, Order, Pause, PausePlace, PauseReason, Phase,
    Plan, Resume, Status, channel,
};

use crate::harness::{Outcome, Root, Running, phase_mut, set, wait_until};

/// Longer than any test.
const GRACE_MILLIS: u64 = 3_600_000;

/// Path of a tool in the root of a test, which is not on the PATH of its commands.
fn tool(root: &Root, name: &str) -> String {
    let path = root.path("codebuild/readonly/bin").join(name);
    path.to_str().unwrap().to_owned()
}

fn debug(breakpoints: bool, failure_grace_millis: Option<u64>) -> DebugPlan {
    DebugPlan {
        build: "demo:1".to_owned(),
        invitation: vec!["Come in".to_owned()],
        breakpoints,
        failure_grace_millis,
    }
}

fn failing_plan(root: &Root, commands: &[&str]) -> Plan {
    let mut plan = root.build_plan(commands);
    plan.debug = Some(debug(false, Some(GRACE_MILLIS)));
    plan
}

/// Waits for the pause of this number.
fn wait_for_pause(running: &Running<'_>, number: u32) -> Pause {
    wait_until(|| {
        let json = fs::read(running.root.channel().join(channel::PAUSED)).ok()?;
        let pause: Pause = serde_json::from_slice(&json).unwrap();
        (pause.number == number).then_some(pause)
    })
}

fn resume(running: &mut Running<'_>, pause: u32, with: Continuation) {
    running.order(&Order::Resume(Resume { pause, with }));
}

/// What the pauses ended with.
fn continuations(outcome: &Outcome) -> Vec<Option<Continuation>> {
    let resumed = outcome.events().filter_map(|event| match event {
        Event::Resumed { with, .. } => Some(*with),
        _ => None,
    });
    resumed.collect()
}

fn assert_not_paused(root: &Root) {
    assert!(!root.channel().join(channel::PAUSED).exists());
}

/// A variable in the environment of the process that waits.
fn variable(pause: &Pause, name: &str) -> Option<String> {
    let block = fs::read(format!("/proc/{}/environ", pause.process)).unwrap();
    let text = String::from_utf8_lossy(&block).into_owned();
    text.split('\0')
        .find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
        .map(str::to_owned)
}

fn directory(pause: &Pause) -> PathBuf {
    fs::read_link(format!("/proc/{}/cwd", pause.process)).unwrap()
}

#[test]
fn a_failed_command_leaves_its_state_to_a_person_and_is_run_again() {
    let root = Root::new();
    root.write("dir/file", "");
    let plan = failing_plan(
        &root,
        &[
            "echo one",
            "WHO='a b'; cd dir; test -e mended",
            "echo three",
        ],
    );
    let mut running = root.start(plan);
    let pause = wait_for_pause(&running, 1);
    assert_eq!(pause.reason, PauseReason::Failure);
    assert_eq!(pause.build, "demo:1");
    assert_eq!(
        pause.place,
        PausePlace {
            phase: Phase::Build,
            list: CommandList::Commands,
            index: 1,
            commands: 3,
        }
    );
    assert_eq!(variable(&pause, "WHO").as_deref(), Some("a b"));
    assert_eq!(
        variable(&pause, "CODEBUILD_BUILD_SUCCEEDING").as_deref(),
        Some("1")
    );
    assert_eq!(directory(&pause), root.source().join("dir"));
    root.write("dir/mended", "");
    // The directory is carried on: the command finds itself there already.
    fs::create_dir(root.source().join("dir/dir")).unwrap();
    root.write("dir/dir/mended", "");
    resume(&mut running, 1, Continuation::Next);
    let outcome = running.outcome();
    assert_eq!(outcome.ended(), (Status::Succeeded, true));
    let log = outcome.log();
    let told = log.find(
        "> Paused after the failure of command 2 of 3 of BUILD, for at most 60 minutes\n\
         [Container] <ts> Come in\n[Container] <ts> Resumed with command 2 once more\n",
    );
    assert!(told.is_some(), "{log}");
    assert!(log.contains("\nthree\n"), "{log}");
    assert_eq!(continuations(&outcome), [Some(Continuation::Next)]);
    assert_not_paused(&root);
}

#[test]
fn a_build_goes_on_with_the_command_that_somebody_names() {
    for (next, expected) in [(0, "one.two.three."), (2, "three."), (3, "")] {
        let root = Root::new();
        let first = "printf one. >> out; test -e failed || { touch failed; false; }";
        let plan = failing_plan(
            &root,
            &[first, "printf two. >> out", "printf three. >> out"],
        );
        let mut running = root.start(plan);
        wait_for_pause(&running, 1);
        fs::remove_file(root.source().join("out")).unwrap();
        resume(&mut running, 1, Continuation::Command(next));
        let outcome = running.outcome();
        assert_eq!(outcome.ended(), (Status::Succeeded, true), "{next}");
        let out = fs::read_to_string(root.source().join("out")).unwrap_or_default();
        assert_eq!(out, expected, "{next}");
    }
}

#[test]
fn orders_that_do_not_fit_change_nothing_and_a_given_up_failure_stands() {
    let root = Root::new();
    let mut plan = failing_plan(&root, &["exit 3", "echo never"]);
    phase_mut(&mut plan, Phase::Build).finally = vec!["echo finally".to_owned()];
    set(&mut plan, Phase::PostBuild, &["echo after"]);
    let mut running = root.start(plan);
    wait_for_pause(&running, 1);
    resume(&mut running, 1, Continuation::Command(3));
    resume(&mut running, 2, Continuation::Next);
    running.hang_up();
    resume(&mut running, 1, Continuation::GiveUp);
    let outcome = running.outcome();
    assert_eq!(outcome.ended(), (Status::Failed, true));
    let log = outcome.log();
    assert!(
        log.contains("> Resumed with the failure as it is\n"),
        "{log}"
    );
    assert!(
        log.contains("\nfinally\n") && log.contains("\nafter\n"),
        "{log}"
    );
    assert!(!log.contains("\nnever\n"), "{log}");
    let build = &outcome.phases()[3];
    assert_eq!(
        build.2,
        "Error while executing command: exit 3. Reason: exit status 3"
    );
}

#[test]
fn a_failure_nobody_looks_at_is_left_as_it_is() {
    let root = Root::new();
    let mut plan = failing_plan(&root, &["false"]);
    plan.debug = Some(debug(false, Some(1)));
    let outcome = root.run(plan);
    assert_eq!(outcome.ended(), (Status::Failed, true));
    assert_eq!(continuations(&outcome), [Some(Continuation::GiveUp)]);
    assert_not_paused(&root);
}

#[test]
fn a_command_that_leaves_no_state_is_held_all_the_same() {
    let root = Root::new();
    let directory_gone = "mkdir gone && cd gone && rmdir ../gone; false";
    let mut running = root.start(failing_plan(&root, &[directory_gone]));
    let pause = wait_for_pause(&running, 1);
    assert_eq!(directory(&pause).as_os_str().as_bytes(), b"/");
    resume(&mut running, 1, Continuation::GiveUp);
    assert_eq!(running.outcome().ended(), (Status::Failed, true));
}

#[test]
fn a_breakpoint_pauses_the_build_until_it_is_resumed() {
    let root = Root::new();
    let breakpoint = tool(&root, "codebuild-breakpoint");
    let command = format!("SEEN=yes; cd /; {breakpoint}; echo status $?");
    let mut plan = root.build_plan(&[&command, "echo next"]);
    plan.debug = Some(debug(true, None));
    let mut running = root.start(plan);
    let pause = wait_for_pause(&running, 1);
    assert_eq!(pause.reason, PauseReason::Breakpoint);
    assert_eq!(variable(&pause, "SEEN").as_deref(), Some("yes"));
    assert_eq!(directory(&pause), PathBuf::from("/"));
    resume(&mut running, 1, Continuation::Next);
    let outcome = running.outcome();
    let log = outcome.log();
    assert_eq!(outcome.ended(), (Status::Succeeded, true), "{log}");
    assert!(
        log.contains("> Paused at a breakpoint in command 1 of 2 of BUILD\n"),
        "{log}"
    );
    assert!(log.contains("> Resumed\nstatus 0\n"), "{log}");
    assert!(log.contains("\nnext\n"), "{log}");
}

#[test]
fn a_breakpoint_can_send_the_build_elsewhere_or_fail() {
    for (with, status, expected) in [
        (Continuation::Command(2), Status::Succeeded, "one three "),
        (Continuation::GiveUp, Status::Failed, ""),
    ] {
        let root = Root::new();
        let breakpoint = tool(&root, "codebuild-breakpoint");
        let first = format!("{breakpoint} && printf 'one ' >> out");
        let commands = [&*first, "printf 'two ' >> out", "printf 'three ' >> out"];
        let mut plan = root.build_plan(&commands);
        // A breakpoint that was given up does not pause once more for its failure.
        plan.debug = Some(debug(true, Some(GRACE_MILLIS)));
        let mut running = root.start(plan);
        wait_for_pause(&running, 1);
        resume(&mut running, 1, with);
        let outcome = running.outcome();
        assert_eq!(outcome.ended().0, status, "{}", outcome.log());
        let out = fs::read_to_string(root.source().join("out")).unwrap_or_default();
        assert_eq!(out, expected);
    }
}

#[test]
fn a_build_resumes_itself() {
    let root = Root::new();
    let breakpoint = tool(&root, "codebuild-breakpoint");
    let resume = tool(&root, "codebuild-resume");
    let command = format!(
        "{resume}; (until {resume} | grep -q .; [ $? = 1 ]; do :; done) & {breakpoint}; echo on; wait"
    );
    let mut plan = root.build_plan(&[&command]);
    plan.debug = Some(debug(true, None));
    let outcome = root.run(plan);
    let log = outcome.log();
    assert_eq!(outcome.ended(), (Status::Succeeded, true), "{log}");
    assert!(
        log.contains("codebuild-resume: ignored, because this build is not paused\n"),
        "{log}"
    );
    assert!(log.contains("> Resumed\n"), "{log}");
    assert_eq!(continuations(&outcome), [Some(Continuation::Next)]);
}

#[test]
fn breakpoints_in_the_background_pause_one_after_the_other_and_hold_the_build() {
    let root = Root::new();
    let breakpoint = tool(&root, "codebuild-breakpoint");
    let command = format!("({breakpoint}; echo first) & ({breakpoint}; echo second) & wait");
    let mut plan = root.build_plan(&[&command, "echo next"]);
    plan.debug = Some(debug(true, None));
    let mut running = root.start(plan);
    for number in [1, 2] {
        wait_for_pause(&running, number);
        resume(&mut running, number, Continuation::Next);
    }
    let outcome = running.outcome();
    assert_eq!(outcome.ended(), (Status::Succeeded, true));
    assert_eq!(continuations(&outcome).len(), 2);
}

#[test]
fn breakpoints_are_ignored_outside_of_a_debug_session() {
    for debug in [None, Some(debug(false, Some(GRACE_MILLIS)))] {
        let root = Root::new();
        let breakpoint = tool(&root, "codebuild-breakpoint");
        let resume = tool(&root, "codebuild-resume");
        let mut plan = root.build_plan(&[&breakpoint, &resume]);
        plan.debug = debug;
        let outcome = root.run(plan);
        let log = outcome.log();
        assert_eq!(outcome.ended(), (Status::Succeeded, true), "{log}");
        let ignored = "codebuild-breakpoint: ignored, because this build has no debug session\n";
        assert!(log.contains(ignored), "{log}");
        assert!(log.contains("codebuild-resume: ignored, because"), "{log}");
        assert_eq!(continuations(&outcome), []);
    }
}

#[test]
fn a_paused_build_is_stopped_and_its_time_runs() {
    let (stopped, timed_out) = (Root::new(), Root::new());
    let mut running = stopped.start(failing_plan(&stopped, &["false"]));
    wait_for_pause(&running, 1);
    running.order(&Order::Stop);
    let mut plan = failing_plan(&timed_out, &["false"]);
    plan.timeout_millis = 5000;
    for (outcome, status) in [
        (running.outcome(), Status::Stopped),
        (timed_out.run(plan), Status::TimedOut),
    ] {
        assert_eq!(outcome.ended(), (status, false));
        assert_eq!(continuations(&outcome), [None]);
    }
    assert_not_paused(&stopped);
    assert_not_paused(&timed_out);
}

#[test]
fn a_breakpoint_whose_process_is_ended_holds_nobody() {
    let root = Root::new();
    let breakpoint = tool(&root, "codebuild-breakpoint");
    let mut plan = root.build_plan(&[&format!("{breakpoint} & wait $!; echo status $?")]);
    plan.debug = Some(debug(true, None));
    let running = root.start(plan);
    let pause = wait_for_pause(&running, 1);
    let process = nix::unistd::Pid::from_raw(pause.process);
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL).unwrap();
    let outcome = running.outcome();
    let log = outcome.log();
    assert_eq!(outcome.ended(), (Status::Succeeded, true), "{log}");
    assert!(
        log.contains("> Resumed because the breakpoint was ended\n"),
        "{log}"
    );
}

#[test]
fn a_failure_that_cannot_be_held_stands_whatever_was_said_at_a_breakpoint() {
    let root = Root::new();
    let breakpoint = tool(&root, "codebuild-breakpoint");
    let socket = root.path("codebuild/output/tmp/session.sock");
    let mut plan = root.build_plan(&[&format!("{breakpoint}; rm {}; false", socket.display())]);
    plan.debug = Some(debug(true, Some(GRACE_MILLIS)));
    let mut running = root.start(plan);
    wait_for_pause(&running, 1);
    resume(&mut running, 1, Continuation::Next);
    let outcome = running.outcome();
    let log = outcome.log();
    assert_eq!(outcome.ended(), (Status::Failed, true), "{log}");
    assert_eq!(continuations(&outcome), [Some(Continuation::Next)]);
    assert!(log.contains("> Cannot pause here: "), "{log}");
}
