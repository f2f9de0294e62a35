//! How a build is ended from outside, and what is left of it.

use std::fs;
use std::io::Write;

use executor::protocol::spool::SEGMENT_BYTES;
use executor::protocol::{Order, Phase, Status, channel};
use nix::errno::Errno;
use nix::sys::signal;
use nix::unistd::Pid;

use crate::harness::{Root, set, wait_until};

/// Ignores what it can and never ends.
const STUBBORN: &str = "trap '' TERM INT HUP; echo $$ >> pids; sh -c 'trap \"\" TERM; echo $$ >> pids; \
                        while :; do sleep 1000 & wait; done' & echo started; while :; do wait; done";

fn assert_all_gone(root: &Root) {
    let pids = fs::read_to_string(root.source().join("pids")).unwrap();
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

#[test]
fn an_agent_that_comes_back_can_stop_the_build() {
    let root = Root::new();
    let mut running = root.start(root.build_plan(&["echo started; while :; do sleep 1; done"]));
    running.wait_for_log("\nstarted\n");
    running.hang_up();
    running.control().write_all(b"\x04\0\0\0what").unwrap();
    running.hang_up();
    running.order(&Order::Stop);
    assert_eq!(running.outcome().ended(), (Status::Stopped, false));
}

#[test]
fn a_stop_before_the_plan_ends_the_executor() {
    let root = Root::new();
    let mut running = root.start_idle();
    running.order(&Order::Stop);
    let outcome = running.outcome();
    assert!(outcome.status.success());
    assert!(outcome.records.is_empty());
}

#[test]
fn an_order_that_makes_no_sense_ends_an_executor_that_has_no_plan() {
    let root = Root::new();
    let mut running = root.start_idle();
    running.control().write_all(b"\x02\0\0\0{}").unwrap();
    let outcome = running.outcome();
    assert_eq!(outcome.status.code(), Some(channel::EXIT_ORDER));
    let failure = fs::read_to_string(root.channel().join(channel::FAILURE)).unwrap();
    assert!(
        failure.starts_with("cannot understand an order: "),
        "{failure}"
    );
    assert_eq!(failure.lines().count(), 1, "{failure}");
}

#[test]
fn a_spool_without_readers_does_not_grow_for_ever() {
    let root = Root::new();
    let mut plan = root.build_plan(&["yes 'as fast as it can'"]);
    plan.segment_limit = 2;
    let mut running = root.start(plan);
    wait_until(|| {
        let segments = running.segments();
        (segments
            .values()
            .filter(|size| **size >= SEGMENT_BYTES)
            .count()
            == 2)
            .then_some(())
    });
    running.order(&Order::Stop);
    let outcome = running.outcome();
    assert_eq!(outcome.ended(), (Status::Stopped, false));
    let bytes = outcome.log().len() as u64;
    let limit = 2 * SEGMENT_BYTES + 4 * 1024 * 1024;
    assert!(bytes < limit, "{bytes}");
}

#[test]
fn a_build_goes_on_when_its_readers_have_made_room() {
    const BYTES: u64 = 100_000_000;
    let root = Root::new();
    let mut plan = root.build_plan(&["head -c 100000000 /dev/zero"]);
    plan.segment_limit = 2;
    let mut running = root.start(plan);
    let mut removed_bytes = 0;
    wait_until(|| {
        let mut segments = running.segments();
        segments.pop_last();
        for (path, size) in segments {
            fs::remove_file(path).unwrap();
            removed_bytes += size;
        }
        running.child.try_wait().unwrap()
    });
    let left: u64 = running.segments().values().sum();
    assert!(removed_bytes + left > BYTES, "{removed_bytes} and {left}");
    assert!(running.outcome().status.success());
}
