//! How a build is ended from outside, and what is left of it.

use executor::protocol::{Order, Phase, Status};
use nix::errno::Errno;
use nix::sys::signal;
use nix::unistd::Pid;

use crate::harness::{Root, set};

/// Ignores what it can and never ends.
const STUBBORN: &str = "trap '' TERM INT HUP; echo $$ >> pids; sh -c 'trap \"\" TERM; echo $$ >> pids; \
                        while :; do sleep 1000 & wait; done' & echo started; while :; do wait; done";

fn assert_all_gone(root: &Root) {
    let pids = std::fs::read_to_string(root.source().join("pids")).unwrap();
    for pid in pids.lines() {
        let pid = Pid::from_raw(pid.parse().unwrap());
        assert_eq!(signal::kill(pid, None), Err(Errno::ESRCH), "{pid} is gone");
    }
}

#[test]
fn a_stopped_build_ends_with_all_its_processes() {
    let root = Root::new();
    let mut plan = root.build_plan(&[STUBBORN, "echo never"]);
    set(&mut plan, Phase::PostBuild, &["echo never"]);
    let mut running = root.start(plan);
    running.wait_for_log("\nstarted\n");
    running.order(&Order::Stop);
    let outcome = running.outcome();
    assert_eq!(outcome.ended(), (Status::Stopped, false));
    let (phase, status, message) = outcome.phases().pop().unwrap();
    assert_eq!(
        (phase, status, message.as_str()),
        (Phase::Build, Status::Stopped, "")
    );
    let log = outcome.log();
    assert!(!log.contains("never\n\n"), "{log}");
    assert!(
        log.ends_with("> Phase complete: BUILD State: STOPPED\n"),
        "{log}"
    );
    assert_all_gone(&root);
}

#[test]
fn a_build_whose_time_is_up_ends_with_all_its_processes() {
    let root = Root::new();
    let mut plan = root.build_plan(&[STUBBORN]);
    plan.timeout_millis = 1000;
    let outcome = root.run(plan);
    assert_eq!(outcome.ended(), (Status::TimedOut, false));
    let log = outcome.log();
    assert!(
        log.ends_with(
            "> Phase complete: BUILD State: TIMED_OUT\n[Container] <ts> Phase context status \
             code: BUILD_TIMED_OUT Message: Build has timed out. \n"
        ),
        "{log}"
    );
    assert_all_gone(&root);
}
