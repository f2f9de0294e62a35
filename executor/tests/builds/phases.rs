//! What follows what.

use executor::protocol::{CommandList, Event, Exit, OnFailure, Phase, Status};

use crate::harness::{Outcome, Root, phase_mut, set};

/// A build in which every phase says its name, and one fails.
fn failing_in(phase: Phase, on_failure: OnFailure) -> Outcome {
    let root = Root::new();
    let mut plan = root.plan();
    for other in [
        Phase::Install,
        Phase::PreBuild,
        Phase::Build,
        Phase::PostBuild,
    ] {
        set(
            &mut plan,
            other,
            &["echo state=$CODEBUILD_BUILD_SUCCEEDING"],
        );
        phase_mut(&mut plan, other).finally =
            vec!["echo finally=$CODEBUILD_BUILD_SUCCEEDING".to_owned()];
    }
    let failing = phase_mut(&mut plan, phase);
    failing.commands.push("exit 7".to_owned());
    failing.on_failure = on_failure;
    root.run(plan)
}

fn statuses(outcome: &Outcome) -> Vec<(Phase, Status)> {
    let phases = outcome.phases().into_iter();
    phases.map(|(phase, status, _)| (phase, status)).collect()
}

#[test]
fn a_failing_phase_is_followed_by_what_the_transitions_say() {
    use Phase::{Build, DownloadSource, Install, PostBuild, PreBuild};
    use Status::{Failed, Succeeded};
    let good =
        [DownloadSource, Install, PreBuild, Build, PostBuild].map(|phase| (phase, Succeeded));
    for (phase, on_failure, place, length, upload) in [
        (Install, OnFailure::Standard, 1, 2, false),
        (PreBuild, OnFailure::Standard, 2, 3, false),
        (Build, OnFailure::Standard, 3, 5, true),
        (PostBuild, OnFailure::Standard, 4, 5, true),
        (Build, OnFailure::Abort, 3, 4, false),
        (Install, OnFailure::Continue, 1, 5, true),
    ] {
        let outcome = failing_in(phase, on_failure.clone());
        let mut expected = good[..length].to_vec();
        expected[place].1 = Failed;
        assert_eq!(statuses(&outcome), expected, "{phase:?} {on_failure:?}");
        assert_eq!(
            outcome.ended(),
            (Failed, upload),
            "{phase:?} {on_failure:?}"
        );
    }
}

#[test]
fn the_state_of_the_build_turns_with_the_first_failure() {
    let log = failing_in(Phase::Build, OnFailure::Standard).log();
    let states: Vec<&str> = log
        .lines()
        .filter(|line| line.starts_with("state=") || line.starts_with("finally="))
        .collect();
    assert_eq!(
        states,
        [
            "state=1",
            "finally=1",
            "state=1",
            "finally=1",
            "state=1",
            "finally=0",
            "state=0",
            "finally=0"
        ]
    );
}

#[test]
fn a_phase_is_retried_in_place_while_its_message_matches() {
    let root = Root::new();
    let mut plan = root.build_plan(&["echo try >> tries; test $(wc -l < tries) = 3"]);
    let build = phase_mut(&mut plan, Phase::Build);
    build.finally = vec!["echo finally".to_owned()];
    build.on_failure = OnFailure::Retry {
        limit: 5,
        pattern: "exit status 1$".to_owned(),
    };
    let outcome = root.run(plan);
    assert_eq!(outcome.ended(), (Status::Succeeded, true));
    let log = outcome.log();
    assert_eq!(log.matches("\nfinally\n").count(), 3, "{log}");
    assert!(
        log.contains("> Retrying phase BUILD (2 of 5): Error while"),
        "{log}"
    );
    let attempts: Vec<u32> = outcome
        .events()
        .filter_map(|event| match event {
            Event::CommandStarted {
                attempt,
                list: CommandList::Commands,
                ..
            } => Some(*attempt),
            _ => None,
        })
        .collect();
    assert_eq!(attempts, [0, 1, 2]);
}

#[test]
fn of_two_failures_in_a_phase_the_first_is_reported() {
    let root = Root::new();
    let mut plan = root.build_plan(&["exit 1"]);
    phase_mut(&mut plan, Phase::Build).finally =
        vec!["exit 2".to_owned(), "echo skipped".to_owned()];
    let outcome = root.run(plan);
    let build = outcome
        .phases()
        .into_iter()
        .find(|phase| phase.0 == Phase::Build);
    let message = build.unwrap().2;
    assert_eq!(
        message,
        "Error while executing command: exit 1. Reason: exit status 1"
    );
    assert!(!outcome.log().contains("skipped"));
}

#[test]
fn a_command_that_dies_of_a_signal_is_told_by_its_name() {
    let root = Root::new();
    let outcome = root.run(root.build_plan(&["kill -KILL $$"]));
    let exits: Vec<Exit> = outcome
        .events()
        .filter_map(|event| match event {
            Event::CommandEnded { exit, .. } => Some(*exit),
            _ => None,
        })
        .collect();
    assert_eq!(exits, [Exit::Signal(9)]);
    assert!(outcome.log().contains("Reason: signal: killed\n"));
}
