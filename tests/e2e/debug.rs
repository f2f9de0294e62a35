//! Getting inside a build: at a breakpoint and after a failure, at a real terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use nix::sys::signal::Signal;
use tests::{Finished, Project, Running, Terminal, engine};

/// Its second command fails until there is a file `mended`.
const FAILING: &str = "
version: 0.2
env:
  variables: {OF_THE_BUILD: of-build}
phases:
  build:
    commands:
      - mkdir dir && cd dir && CARRIED=carried && grep CapBnd /proc/self/status > capabilities
      - OWN=own; echo try; test -e mended
      - echo third
    finally: [echo finally]
  post_build:
    commands: [echo after]
artifacts:
  files: [dir/mended]
";

/// What the log says at the pause of that build.
const PAUSED: &str = "Paused after the failure of command 2 of 3 of BUILD, for at most";

fn agent(project: &Project, arguments: &[&str]) -> Finished {
    Running::start(project.agent(arguments)).finish()
}

/// Carries out a command of the agent that has to succeed.
fn must(project: &Project, arguments: &[&str]) {
    let finished = agent(project, arguments);
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{arguments:?}: {}",
        finished.stderr
    );
}

fn attach(project: &Project, arguments: &[&str]) -> Terminal {
    Terminal::start(&project.agent(&[&["attach"], arguments].concat()))
}

/// The build's UUID, which names its directory.
fn uuid(project: &Project) -> String {
    uuids(project).pop().expect("a build runs")
}

fn uuids(project: &Project) -> Vec<String> {
    let builds = fs::read_dir(project.data_directory().join("builds"));
    let names = builds
        .expect("the agent has made the directory")
        .map(|entry| entry.expect("it can be read").file_name());
    names.filter_map(|name| name.into_string().ok()).collect()
}

#[test]
fn a_failed_build_is_entered_mended_and_resumed() {
    let project = Project::new(FAILING);
    let mut running = project.start(&["--keep-on-failure"]);
    running.wait_for(PAUSED);
    let mut terminal = attach(&project, &[]);
    terminal.wait_for("is paused at command 2 of 3 of BUILD");
    terminal.type_keys("echo \"<$OWN $CARRIED $OF_THE_BUILD ${PWD##*/}>\"\r");
    terminal.wait_for("<own carried of-build dir>");
    assert!(terminal.is_raw());
    terminal
        .type_keys("grep CapBnd /proc/self/status | cmp - capabilities && echo same''-rights\r");
    terminal.wait_for("same-rights");
    terminal.type_keys("touch mended; exit 7\r");
    assert_eq!(terminal.finish().0, Some(7));
    must(&project, &["resume"]);
    let finished = running.finish();
    project.assert_clean();
    assert_eq!(finished.exit_code, Some(0), "{}", finished.log());
    let output = ["try", "try", "third", "finally", "after"];
    assert_eq!(finished.output(), output);
    assert!(finished.phases().contains(&"BUILD SUCCEEDED".to_owned()));
    assert_eq!(project.artifact_paths(), ["dir/mended"]);
    for hint in ["buildspec-agent attach", "buildspec-agent resume"] {
        assert!(finished.stderr.contains(hint), "{}", finished.stderr);
        assert!(finished.log().contains(hint), "{}", finished.log());
    }
}

#[test]
fn the_window_of_the_person_is_the_window_of_the_shell() {
    let project = Project::new(FAILING);
    let mut running = project.start(&["--keep-on-failure=2h"]);
    running.wait_for("for at most 120 minutes");
    let mut terminal = attach(&project, &[]);
    terminal.wait_for("# ");
    terminal.type_keys("stty size; tty\r");
    terminal.wait_for("24 80");
    terminal.wait_for("/dev/pts/");
    terminal.type_keys("trap 'echo told-$((6 * 7))' WINCH; echo set''-up\r");
    terminal.wait_for("set-up");
    terminal.resize(50, 132);
    terminal.ask("true", "told-42");
    terminal.ask("stty size", "50 132");
    terminal.interrupt_a_program();
    terminal.type_keys("exit\r");
    terminal.finish();
    must(&project, &["resume", "--give-up"]);
    assert_eq!(running.finish().exit_code, Some(1));
    project.assert_clean();
}

#[test]
fn a_build_goes_on_with_the_command_that_somebody_names() {
    let project = Project::new(FAILING);
    let mut running = project.start(&["--keep-on-failure"]);
    running.wait_for(PAUSED);
    let build = uuid(&project);
    for wrong in ["0", "5"] {
        let refused = agent(&project, &["resume", "--from-command", wrong]);
        assert_eq!(refused.exit_code, Some(2), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("takes 1 to 4"),
            "{}",
            refused.stderr
        );
    }
    must(&project, &["resume", &build[..8], "--from-command", "3"]);
    let finished = running.finish();
    project.assert_clean();
    assert_eq!(finished.output(), ["try", "third", "finally", "after"]);
    // The failed command is forgotten; what it should have made is missed.
    assert!(finished.phases().contains(&"BUILD SUCCEEDED".to_owned()));
    assert_eq!(finished.exit_code, Some(1), "{}", finished.log());
}

#[test]
fn a_failure_that_is_given_up_takes_its_course() {
    let project = Project::new(FAILING);
    let mut running = project.start(&["--keep-on-failure"]);
    running.wait_for(PAUSED);
    must(&project, &["resume", "--give-up"]);
    let finished = running.finish();
    project.assert_clean();
    assert_eq!(finished.exit_code, Some(1));
    assert_eq!(finished.output(), ["try", "finally", "after"]);
    assert!(finished.phases().contains(&"BUILD FAILED".to_owned()));
    let kept = project.run(&["--keep-on-failure=1s"]);
    assert_eq!(kept.exit_code, Some(1), "nobody came");
    assert_eq!(kept.output(), ["try", "finally", "after"]);
}

#[test]
fn a_breakpoint_is_entered_and_resumed_from_inside_and_outside() {
    let project = Project::new(
        "
version: 0.2
phases:
  pre_build:
    commands:
      - mkdir here; cd here; HALFWAY=there; codebuild-breakpoint; echo on
      - codebuild-breakpoint
      - echo end
",
    );
    let mut running = project.start(&["--debug-session"]);
    running.wait_for("Paused at a breakpoint in command 1 of 3 of PRE_BUILD");
    let build = uuid(&project);
    let mut terminal = attach(&project, &[&build]);
    terminal.type_keys("echo \"<$HALFWAY ${PWD##*/} $USER>\"\r");
    terminal.wait_for("<there here ");
    terminal.type_keys("codebuild-resume\r");
    running.wait_for("Paused at a breakpoint in command 2 of 3 of PRE_BUILD");
    terminal.type_keys("echo still''-here; exit\r");
    terminal.wait_for("still-here");
    assert_eq!(terminal.finish().0, Some(0));
    must(&project, &["resume", &format!("source:{build}")]);
    let finished = running.finish();
    project.assert_clean();
    assert_eq!(finished.exit_code, Some(0), "{}", finished.log());
    assert_eq!(finished.output(), ["on", "end"]);
}

#[test]
fn the_shell_has_the_user_of_the_command() {
    let project = Project::new(
        "
version: 0.2
run-as: nobody
phases:
  build:
    commands:
      - MINE=yes; test -e mended
",
    );
    let mut running = project.start(&["--keep-on-failure"]);
    running.wait_for("Paused after the failure");
    let mut terminal = attach(&project, &[]);
    terminal.type_keys("echo \"<$(id -un) $MINE $(stat -c %U \"$(tty)\")>\"\r");
    terminal.wait_for("<nobody yes nobody>");
    terminal.type_keys("grep CapEff /proc/self/status\r");
    terminal.wait_for("0000000000000000");
    terminal.type_keys("touch mended; codebuild-resume; exit\r");
    terminal.finish();
    let finished = running.finish();
    project.assert_clean();
    assert_eq!(finished.exit_code, Some(0), "{}", finished.log());
}

#[test]
fn a_person_whose_connection_breaks_leaves_no_shell() {
    let project = Project::new(FAILING);
    let mut running = project.start(&["--keep-on-failure"]);
    running.wait_for(PAUSED);
    let mut terminal = attach(&project, &[]);
    terminal.type_keys("echo $$ > /tmp/shell; echo writ''ten\r");
    terminal.wait_for("written");
    drop(terminal);
    let mut terminal = attach(&project, &[]);
    terminal.type_keys(
        "while kill -0 \"$(cat /tmp/shell)\" 2>/dev/null; do :; done; echo go''ne; exit\r",
    );
    terminal.wait_for("gone");
    assert_eq!(terminal.finish().0, Some(0));
    running.signal(Signal::SIGTERM);
    assert_eq!(running.finish().exit_code, Some(5), "a stop ends a pause");
    project.assert_clean();
}

#[test]
fn the_end_of_the_build_ends_the_shell() {
    let project = Project::new(FAILING);
    let mut running = project.start(&["--keep-on-failure"]);
    running.wait_for(PAUSED);
    let mut terminal = attach(&project, &[]);
    terminal.type_keys("trap '' TERM HUP; echo re''ady\r");
    terminal.wait_for("ready");
    must(&project, &["resume", "--give-up"]);
    running.finish();
    project.assert_clean();
    let (code, screen) = terminal.finish();
    assert!(
        code != Some(0),
        "a shell that was ended did not succeed: {screen}"
    );
}

#[test]
fn ctrl_c_ends_a_pause_as_if_there_had_been_none() {
    let project = Project::new(FAILING);
    let source = project.source();
    let mut command = project.agent(&["run", "--keep-on-failure"]);
    command.arg(&source);
    let mut terminal = Terminal::start(&command);
    terminal.wait_for("is paused after the failure of command 2 of 3 of BUILD");
    terminal.type_keys("\x03");
    terminal.wait_for("finally\r\n");
    terminal.wait_for("after\r\n");
    assert_eq!(terminal.finish().0, Some(1));
    project.assert_clean();

    let project = Project::new(
        "{version: 0.2, phases: {build: {commands: [codebuild-breakpoint], finally: [echo finally]}}}",
    );
    let mut command = project.agent(&["run", "--debug-session"]);
    command.arg(project.source());
    let mut terminal = Terminal::start(&command);
    terminal.wait_for("is paused at a breakpoint");
    terminal.type_keys("\x03");
    let (code, screen) = terminal.finish();
    assert_eq!(code, Some(5), "{screen}");
    assert!(!screen.contains("finally\r\n"), "{screen}");
    project.assert_clean();
}

#[test]
fn a_shell_opens_at_once_and_its_exit_code_decides() {
    for (typed, expected) in [("touch mended; exit 0\r", 0), ("exit 1\r", 1)] {
        let project = Project::new(FAILING);
        let mut command = project.agent(&["run", "--shell-on-failure"]);
        command.arg(project.source());
        let mut terminal = Terminal::start(&command);
        terminal.wait_for("`exit 0` runs the command once more");
        terminal.type_keys("echo \"<$OWN>\"\r");
        terminal.wait_for("<own>");
        terminal.type_keys(typed);
        let (code, screen) = terminal.finish();
        assert_eq!(code, Some(expected), "{screen}");
        assert!(screen.contains("after\r\n"), "{screen}");
        project.assert_clean();
    }
}

#[test]
fn a_shell_opens_at_breakpoints_too() {
    let project = Project::new(
        "{version: 0.2, phases: {build: {commands: [codebuild-breakpoint; echo status $?]}}}",
    );
    for (typed, expected) in [("exit 0\r", "status 0"), ("exit 9\r", "status 1")] {
        let mut command = project.agent(&["run", "--shell-on-failure", "--debug-session"]);
        command.arg(project.source());
        let mut terminal = Terminal::start(&command);
        terminal.wait_for("`exit 0` lets the build go on");
        terminal.type_keys(typed);
        terminal.wait_for(expected);
        assert_eq!(terminal.finish().0, Some(0));
        project.assert_clean();
    }
}

#[test]
fn a_pause_counts_as_time_of_the_build() {
    let project = Project::new(FAILING);
    let finished = project.run(&["--keep-on-failure", "--timeout", "1"]);
    assert_eq!(finished.exit_code, Some(4), "{}", finished.stderr);
    assert_eq!(finished.build().build_status, "TIMED_OUT");
    assert_eq!(finished.output(), ["try"]);
}

#[test]
fn startbuild_enables_the_session() {
    let project = Project::new(
        "{version: 0.2, phases: {build: {commands: [codebuild-breakpoint, echo end]}}}",
    )
    .with_file("start.json", r#"{"debugSessionEnabled": true}"#);
    let overrides = project.source().join("start.json");
    let mut running = project.start(&["--overrides", overrides.to_str().unwrap()]);
    running.wait_for("Paused at a breakpoint");
    must(&project, &["resume"]);
    let finished = running.finish();
    project.assert_clean();
    assert_eq!(finished.output(), ["end"]);
}

#[test]
fn who_cannot_be_helped_is_told_why() {
    let project = Project::new(FAILING);
    let refused = |arguments: &[&str], why: &str| {
        let finished = agent(&project, arguments);
        assert_eq!(finished.exit_code, Some(2), "{arguments:?}");
        let told = finished.stderr;
        assert!(told.contains(why), "{arguments:?}: {told}");
    };
    refused(&["attach"], "needs a terminal");
    refused(&["resume"], "no build is paused");
    refused(&["resume", "abc"], "no build `abc` runs on this machine");
    refused(
        &["run", "--keep-on-failure=soon"],
        "expected a number and a unit",
    );
    refused(&["run", "--shell-on-failure"], "needs a terminal");

    let mut running = [(); 2].map(|()| project.start(&["--keep-on-failure"]));
    for running in &mut running {
        running.wait_for(PAUSED);
    }
    refused(&["resume"], "several builds are paused");
    refused(&["resume", ""], "no build `` runs");
    let build = uuid(&project);
    refused(&["resume", &format!("other:{build}")], "no build `other:");
    for build in uuids(&project) {
        must(&project, &["resume", "--give-up", &build]);
    }
    for running in running {
        running.finish();
    }
    project.assert_clean();
}

#[test]
fn a_build_that_runs_is_not_paused() {
    let project =
        Project::new("{version: 0.2, phases: {build: {commands: [echo started; sleep 100000]}}}");
    let mut running = project.start(&["--keep-on-failure", "--debug-session"]);
    running.wait_for("\"started\\n\"");
    let refused = agent(&project, &["resume", &uuid(&project)]);
    assert_eq!(refused.exit_code, Some(2));
    assert!(
        refused.stderr.contains("is not paused"),
        "{}",
        refused.stderr
    );
    running.signal(Signal::SIGINT);
    assert_eq!(running.finish().exit_code, Some(5));
    project.assert_clean();
}

#[test]
fn the_build_of_another_user_is_closed() {
    let project = Project::new(FAILING);
    let mut running = project.start(&["--keep-on-failure"]);
    running.wait_for(PAUSED);
    // Everybody can get to the data directory, and nobody else into it.
    let open = |path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    open(project.root());
    let program = project.root().join("buildspec-agent");
    fs::copy(tests::program(), &program).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "54321", "--regid", "54321", "--clear-groups"])
        .arg(program)
        .arg("resume")
        .env("HOME", project.root())
        .env("BUILDSPEC_AGENT_DATA_DIRECTORY", project.data_directory());
    let refused = Running::start(command).finish();
    assert_eq!(refused.exit_code, Some(3), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("belongs to user root"),
        "{}",
        refused.stderr
    );
    must(&project, &["resume", "--give-up"]);
    running.finish();
    project.assert_clean();
}

#[test]
fn no_value_of_a_paused_build_lies_open() {
    const SECRET: &str = "s3cr3t-0f-th3-bu1ld";
    let project = Project::new(FAILING);
    let variable = format!("OF_THE_BUILD={SECRET}");
    let mut running = project.start(&["--keep-on-failure", "--env", &variable]);
    running.wait_for(PAUSED);
    let mut terminal = attach(&project, &[]);
    terminal.type_keys("echo \"<$OF_THE_BUILD>\"\r");
    terminal.wait_for(&format!("<{SECRET}>"));
    let [container] = &project.containers()[..] else {
        panic!("a build has one container");
    };
    let inspected = engine::docker(&["inspect", container]);
    assert!(!inspected.contains(SECRET), "{inspected}");
    let processes = engine::docker(&["top", container, "-eo", "pid,args"]);
    assert!(processes.contains("executor attach"), "{processes}");
    assert!(!processes.contains(SECRET), "{processes}");
    let channel = project
        .data_directory()
        .join("builds")
        .join(uuid(&project))
        .join("channel");
    let pause = fs::read_to_string(channel.join("paused")).unwrap();
    assert!(!pause.contains(SECRET), "{pause}");
    terminal.type_keys("exit\r");
    terminal.finish();
    must(&project, &["resume", "--give-up"]);
    running.finish();
    project.assert_clean();
}
