//! The agent needs the Docker socket, not root: what containers make can be read and removed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use tests::{Finished, Project, Running, Terminal, program};

/// A user id that nobody has; the agent needs no entry in /etc/passwd.
const USER: u32 = 54321;

#[test]
fn a_member_of_the_docker_group_builds_without_root() {
    let project = Project::new(
        "
version: 0.2
phases:
  build:
    commands:
      - mkdir -p out/private && echo secret > out/private/file && chmod 700 out/private && chmod 600 out/private/file
      - touch keep && chmod 000 keep
artifacts:
  files: ['out/**/*']
",
    );
    give(project.root(), USER);
    let finished = run_as_user(&project);
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.text(),
        finished.stderr
    );
    project.assert_clean();
    assert_eq!(project.artifacts()["out/private/file"], b"secret\n");
    let owner = fs::metadata(project.artifact_directory().join("out/private/file"))
        .expect("it is there")
        .uid();
    assert_eq!(
        owner, USER,
        "the user can read and remove what the build yields"
    );
}

#[test]
fn a_member_of_the_docker_group_gets_inside_a_paused_build() {
    let project = Project::new("{version: 0.2, phases: {build: {commands: ['false']}}}");
    give(project.root(), USER);
    let build = project.build_command(&["--keep-on-failure"]);
    let mut running = Running::start(as_user(&project, &build));
    running.wait_for("Paused after the failure");
    let terminal = Terminal::start(&as_user(&project, &project.agent(&["attach"])));
    terminal.type_keys("exit 3\r");
    let (code, screen) = terminal.finish();
    assert_eq!(code, Some(3), "{screen}");
    let resume = project.agent(&["resume", "--give-up"]);
    let resumed = Running::start(as_user(&project, &resume)).finish();
    assert_eq!(resumed.exit_code, Some(0), "{}", resumed.stderr);
    assert_eq!(running.finish().exit_code, Some(1));
    project.assert_clean();
}

#[test]
fn what_a_killed_agent_left_of_roots_files_is_removed_without_root() {
    let project = Project::new(
        "
version: 0.2
phases:
  build:
    commands:
      - mkdir -p deep/private && touch deep/private/file && chmod 000 deep/private/file && chmod 700 deep/private
      - echo started; sleep 100000
",
    );
    give(project.root(), USER);
    let mut running = Running::start(as_user(&project, &project.build_command(&[])));
    running.wait_for("\"started\\n\"");
    running.signal(Signal::SIGKILL);
    running.finish();
    let gc = Running::start(as_user(&project, &project.agent(&["gc", "--all"]))).finish();
    assert_eq!(gc.exit_code, Some(0), "{}", gc.stderr);
    project.assert_clean();
}

/// Runs a build of a project whose directory belongs to the user, as that user.
fn run_as_user(project: &Project) -> Finished {
    Running::start(as_user(project, &project.build_command(&[]))).finish()
}

/// A command of the agent, run as the user to whom the project's directory belongs.
fn as_user(project: &Project, agent: &Command) -> Command {
    let engine_group = fs::metadata("/var/run/docker.sock")
        .expect("the engine has a socket")
        .gid();
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid",
            &USER.to_string(),
            "--regid",
            &USER.to_string(),
            "--groups",
            &engine_group.to_string(),
        ])
        .arg(readable_program(project))
        .args(agent.get_args())
        .current_dir(project.root())
        .env("HOME", project.root());
    for (name, value) in agent.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command
}

#[test]
fn caches_made_by_root_are_kept_used_and_removed() {
    let project = Project::new(
        "
version: 0.2
phases:
  build:
    commands:
      - cat deps/private/file; mkdir -p deps/private
      - date +%N > deps/private/file && chmod 600 deps/private/file && chmod 700 deps/private
cache:
  paths: ['deps/**/*']
",
    );
    give(project.root(), USER);
    for words in ["Local cache miss", "Local cache hit", "Local cache hit"] {
        let finished = run_as_user(&project);
        assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
        assert!(finished.log().contains(words), "{}", finished.log());
        assert_eq!(finished.stderr, "", "no trouble is told");
        project.assert_clean();
    }
    let trash = project.data_directory().join("cache/trash");
    let left = fs::read_dir(trash).expect("caches were replaced").count();
    assert_eq!(left, 0, "caches that were replaced are left");
}

/// A copy of the program where any user may run it: the source tree may be root's alone.
fn readable_program(project: &Project) -> std::path::PathBuf {
    let copy = project.root().join("buildspec-agent");
    // One that runs cannot be written over.
    if !copy.exists() {
        fs::copy(program(), &copy).expect("a program can be copied");
    }
    copy
}

fn give(path: &Path, user: u32) {
    let owner = format!("{user}:{user}");
    let given = Command::new("chown")
        .args(["--recursive", &owner])
        .arg(path)
        .status();
    assert!(
        given.is_ok_and(|status| status.success()),
        "the test needs root to become another user"
    );
}
