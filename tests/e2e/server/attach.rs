//! Getting inside a build of a server, through the server.

use std::process::Command;

use serde_json::{Value, json};
use tests::{Finished, Project, Running, Server, Terminal};

use super::building::server_with;
use super::{at, aws, issue_key, text};

/// It waits for somebody until it is resumed.
const BUILDSPEC: &str = "
version: 0.2
phases:
  build:
    commands:
      - mkdir here; cd here; OWN=own; codebuild-breakpoint; test -e mended && echo went-on
";

/// What the log says at the pause.
const PAUSED: &str = "Paused at a breakpoint in command 1 of 1 of BUILD";

/// Makes a command sign with a key.
fn signed(key: &Value, mut command: Command) -> Command {
    command
        .env("AWS_ACCESS_KEY_ID", text(key, "AccessKeyId"))
        .env("AWS_SECRET_ACCESS_KEY", text(key, "SecretAccessKey"));
    command
}

fn finished(command: Command) -> Finished {
    Running::start(command).finish()
}

/// Starts a build that may be paused, and gives its id.
fn start(server: &Server) -> String {
    let start = [
        "start-build",
        "--project-name",
        "demo",
        "--debug-session-enabled",
    ];
    let started = aws(server, &start);
    started["build"]["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_paused_build_is_entered_through_the_server() {
    let project = Project::empty();
    let server = server_with(&project, BUILDSPEC);
    let id = start(&server);
    let mut log = Running::start(at(&project, &server, &["logs", "-f", &id]));
    log.wait_for(PAUSED);
    let mut terminal = Terminal::start(&at(&project, &server, &["attach", &id]));
    terminal.wait_for("is paused at command 1 of 1 of BUILD");
    terminal.type_keys("echo \"<$OWN ${PWD##*/} $TERM>\"; stty size; tty\r");
    terminal.wait_for("<own here xterm>");
    terminal.wait_for("24 80");
    terminal.wait_for("/dev/pts/");
    assert!(terminal.is_raw());
    terminal.type_keys("trap 'echo told-$((6 * 7))' WINCH; echo set''-up\r");
    terminal.wait_for("set-up");
    terminal.resize(50, 132);
    terminal.ask("true", "told-42");
    terminal.ask("stty size", "50 132");
    terminal.interrupt_a_program();
    // More than any buffer on the way holds.
    terminal.type_keys("seq 200000 | tail -c 1000000; echo all''-of-it\r");
    terminal.wait_for("200000\r\nall-of-it");
    terminal.type_keys("touch mended; exit 7\r");
    assert_eq!(terminal.finish().0, Some(7));
    let resumed = finished(at(&project, &server, &["resume"]));
    assert_eq!(resumed.exit_code, Some(0), "{}", resumed.stderr);
    assert!(
        resumed.stderr.contains("goes on with the rest"),
        "{}",
        resumed.stderr
    );
    let log = log.finish();
    assert_eq!(log.exit_code, Some(0));
    assert!(log.text().contains("went-on"), "{}", log.text());
    let over = finished(at(&project, &server, &["resume", &id]));
    assert_eq!(over.exit_code, Some(2));
    assert!(
        over.stderr.contains("is over: SUCCEEDED"),
        "{}",
        over.stderr
    );
    assert!(server.stop());
}

#[test]
fn only_who_may_enter_gets_a_shell_and_it_ends_with_the_build() {
    let project = Project::empty();
    let server = server_with(&project, BUILDSPEC);
    let id = start(&server);
    let mut log = Running::start(at(&project, &server, &["logs", "-f", &id]));
    log.wait_for(PAUSED);
    let starter = issue_key(&project, &["--role", "start"]);
    let guest = issue_key(&project, &["--role", "start", "--may-attach"]);
    let attach =
        |key: &Value| Terminal::start(&signed(key, at(&project, &server, &["attach", &id])));
    let (code, screen) = attach(&starter).finish();
    assert_eq!(code, Some(2), "{screen}");
    assert!(screen.contains("AccessDeniedException"), "{screen}");
    let (code, screen) = Terminal::start(&at(&project, &server, &["attach", &id])).finish();
    assert_eq!(code, Some(2), "{screen}");
    assert!(screen.contains("MissingAuthenticationToken"), "{screen}");
    let refused = finished(signed(&starter, at(&project, &server, &["resume", &id])));
    assert_eq!(refused.exit_code, Some(2), "{}", refused.stderr);
    let mut terminal = attach(&guest);
    terminal.type_keys("echo in''side\r");
    terminal.wait_for("inside");
    let stopped = finished(signed(&guest, at(&project, &server, &["stop", &id])));
    assert_eq!(stopped.exit_code, Some(0), "{}", stopped.stderr);
    let (code, screen) = terminal.finish();
    assert!(code != Some(0), "{screen}");
    let audit = std::fs::read_to_string(project.data_directory().join("audit.jsonl"));
    let audit = audit.expect("the server writes it");
    let attached: Vec<Value> = audit
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|entry: &Value| entry["action"] == "buildspec-agent:AttachBuild")
        .collect();
    let who: Vec<_> = attached.iter().map(|entry| &entry["error"]).collect();
    assert!(who.contains(&&json!(null)), "{audit}");
    drop(log);
}

#[test]
fn of_a_build_elsewhere_it_is_said_where() {
    let (project, other) = (Project::empty(), Project::empty());
    let server = Server::start(&project, &["--no-worker"]);
    super::building::create_project(&project, &server, BUILDSPEC);
    let id = start(&server);
    let attach =
        |project: &Project| Terminal::start(&at(project, &server, &["attach", &id])).finish();
    let (code, screen) = attach(&project);
    assert_eq!(code, Some(2));
    assert!(screen.contains("has not begun yet"), "{screen}");
    let store = format!(
        "sqlite:{}",
        project.data_directory().join("store.db").display()
    );
    let worker = Running::start(other.agent(&["worker", "--store", &store]));
    let mut log = Running::start(other.agent(&["logs", "-f", "--store", &store, &id]));
    log.wait_for(PAUSED);
    let (code, screen) = attach(&project);
    assert_eq!(code, Some(2));
    let host = nix::unistd::gethostname().expect("a machine has a name");
    let host = host.to_string_lossy().into_owned();
    assert!(
        screen.contains(&host) && screen.contains("buildspec-agent attach"),
        "{screen}"
    );
    let resumed = finished(other.agent(&["resume", "--give-up"]));
    assert_eq!(resumed.exit_code, Some(0), "{}", resumed.stderr);
    assert_eq!(log.finish().exit_code, Some(1));
    worker.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(worker.finish().exit_code, Some(0));
}
