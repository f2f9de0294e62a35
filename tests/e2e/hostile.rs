//! Builds that do all they can to break out, hold on or fill up end like any other, and the machine
//! is clean afterwards.

use std::process::Stdio;

use nix::sys::signal::Signal;
use tests::{Finished, Project};

/// A build of one command, with a `POST_BUILD` that proves that the executor still works.
fn build_of(command: &str) -> Project {
    let block = command.replace('\n', "\n          ");
    Project::new(&format!(
        "version: 0.2\nphases:\n  build:\n    commands:\n      - |\n          {block}\n  post_build:\n    commands:\n      - echo still here\n"
    ))
}

fn run(command: &str) -> Finished {
    let finished = build_of(command).run(&[]);
    assert!(
        finished.output().iter().any(|line| line == "still here"),
        "{}{}",
        finished.log(),
        finished.stderr
    );
    finished
}

/// Shell functions that start no process: `refused` sets `times` to how often the container was
/// refused one because it had as many as it may have.
const REFUSED: &str = "refused() { times=0; for events in /sys/fs/cgroup/pids/pids.events /sys/fs/cgroup/pids.events; do
    [ -r $events ] && read -r word times <$events; done; }";

#[test]
fn a_fork_bomb_reaches_its_limit_and_goes_with_the_build() {
    // A shell that is refused a process ends, so the one that tells the outcome needs none.
    let command = format!(
        "{REFUSED}
bomb() {{ bomb | bomb & }}
( bomb ) 2>/dev/null
until refused; [ \"$times\" -gt 0 ]; do :; done
exit 0"
    );
    let block = command.replace('\n', "\n          ");
    let finished = Project::new(&format!(
        "version: 0.2\nphases:\n  build:\n    commands:\n      - |\n          {block}\n"
    ))
    .run(&[]);
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
}

#[test]
fn the_next_command_waits_while_there_are_too_many_processes() {
    let finished = run(&format!(
        "perl -e 'until ($end && time >= $end) {{
  $pid = fork; if (!defined $pid) {{ $end ||= time + 2 }} elsif ($pid) {{ push @left, $pid }} else {{ sleep 60; exit }} }}
kill KILL => @left' &
{REFUSED}
until refused; [ \"$times\" -gt 0 ]; do :; done"
    ));
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
}

#[test]
fn killing_everybody_kills_nobody_but_the_build() {
    let finished = run("kill -KILL -1; kill -KILL 1; kill -TERM 1; kill -INT 1; true");
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
}

#[test]
fn closed_descriptors_are_the_commands_own_loss() {
    let finished = run("for n in 0 1 2 3 4 5 6 7 8 9; do eval \"exec $n>&-\"; done; true");
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
}

#[test]
fn nothing_in_the_container_can_forge_records_or_give_orders() {
    let project = Project::new(
        "version: 0.2
phases:
  build:
    commands:
      - ls -A /codebuild/channel 2>/dev/null
      - for f in /proc/1/fd/*; do echo forged > $f; done 2>/dev/null; true
      - find / -xdev \\( -name '*.spool' -o -name control.sock \\) 2>/dev/null; true
      - cat /proc/1/environ 2>/dev/null || echo still here
",
    );
    let finished = project.run(&[]);
    assert_eq!(finished.output(), ["still here"], "nothing was found");
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
}

#[test]
fn more_output_than_the_spool_holds_is_slowed_down_and_not_kept() {
    let project = build_of("head -c 2000000000 /dev/zero");
    let mut command = project.agent(&["run"]);
    let status = command
        .arg(project.source())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    project.assert_clean();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_deep_tree_is_removed_with_the_workspace() {
    let finished = run(
        "(n=0; while [ $n -lt 4000 ]; do mkdir d && cd d || break; n=$((n+1)); done) 2>/dev/null; true",
    );
    assert_eq!(finished.exit_code, Some(0), "{}", finished.log());
}

#[test]
fn a_build_that_takes_all_memory_is_told_so() {
    let project = build_of("head -c 6000000000 /dev/zero | tail");
    let finished = project.run(&["--compute-type", "BUILD_GENERAL1_SMALL"]);
    assert_eq!(finished.exit_code, Some(1), "{}", finished.stderr);
    assert!(
        finished.log().contains("Out of memory: "),
        "{}",
        finished.log()
    );
    assert!(
        finished.context("BUILD").contains("exit status 137"),
        "{}",
        finished.context("BUILD")
    );
}

#[test]
fn a_path_and_variables_full_of_lies_change_the_build_only() {
    let finished = run(
        "mkdir lies && for p in sh cat mkdir pwd; do printf '#!/bin/sh\\necho lie\\n' > lies/$p; chmod +x lies/$p; done\nPATH=$PWD/lies\nIFS=/ CODEBUILD_BUILD_SUCCEEDING=0 LD_PRELOAD=/nonexistent.so SHELL=/bin/false HOME=/nowhere TZ=lie",
    );
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
    assert_eq!(finished.build().build_status, "SUCCEEDED");
}

#[test]
fn state_files_that_were_replaced_lead_nowhere() {
    let project = build_of(
        "cd /codebuild/output/tmp
rm -f env.sh dir.txt script.sh
ln -s /etc/passwd env.sh
ln -s /etc dir.txt
exit 0",
    );
    let finished = project.run(&[]);
    assert_eq!(finished.exit_code, Some(1), "{}", finished.stderr);
    let context = finished.context("POST_BUILD");
    assert!(
        context.contains("env.sh: too many levels of symbolic links"),
        "{context}"
    );
}

#[test]
fn a_build_that_ignores_every_signal_is_stopped_all_the_same() {
    let project = build_of(
        "trap '' TERM INT HUP QUIT USR1 USR2\necho started\nwhile :; do (trap '' TERM; while :; do :; done) & wait; done",
    );
    let mut running = project.start(&[]);
    running.wait_for("\"started\\n\"");
    running.signal(Signal::SIGTERM);
    let finished = running.finish();
    project.assert_clean();
    assert_eq!(finished.exit_code, Some(5), "{}", finished.stderr);
    assert_eq!(finished.build().build_status, "STOPPED");
}

#[test]
fn links_in_the_workspace_never_lead_the_collector_to_the_host() {
    let project = Project::new(
        "version: 0.2\nphases:\n  build:\n    commands:\n      - ln -s /etc/shadow stolen; ln -s ../../../../../../../../etc up; ln -s /proc/1/root root\nartifacts:\n  files: [stolen, 'up/hostname', 'root/etc/hostname', '../../../etc/hostname']\n",
    );
    let finished = project.run(&[]);
    let host = std::fs::read("/etc/shadow").unwrap_or_default();
    for (path, content) in project.artifacts() {
        assert!(host.is_empty() || content != host, "{path} is the host's");
    }
    assert_ne!(finished.exit_code, Some(3), "{}", finished.stderr);
}
