//! What one command leaves for the next.

use tests::Project;

/// Runs the commands as BUILD and gives what they wrote, the echo of multi-line ones included.
fn output_of(commands: &str) -> Vec<String> {
    let finished = Project::new(&format!(
        "version: 0.2\nphases:\n  build:\n    commands:\n{commands}"
    ))
    .run(&[]);
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
    finished.output()
}

#[test]
fn variables_and_the_working_directory_are_carried_across_commands_and_phases() {
    let project = Project::new(
        r#"
version: 0.2
phases:
  install:
    commands:
      - export EXPORTED="two  blanks and a 'quote'"
      - PLAIN=plain
      - mkdir -p a/b && cd a/b
  build:
    commands:
      - printf '%s\n' "$EXPORTED" "$PLAIN" "${PWD#$CODEBUILD_SRC_DIR/}"
      - env | grep ^PLAIN=
"#,
    );
    assert_eq!(
        project.run(&[]).output(),
        ["two  blanks and a 'quote'", "plain", "a/b", "PLAIN=plain"]
    );
}

#[test]
fn exit_ends_a_command_before_its_changes_are_kept() {
    let lines = output_of("      - A=1\n      - A=2; exit 0\n      - echo $A\n");
    assert_eq!(lines, ["1"]);
}

#[test]
fn only_the_last_status_of_a_multi_line_command_counts() {
    let lines = output_of("      - |\n        false\n        echo on\n");
    assert_eq!(
        lines,
        ["echo on", "on"],
        "the echo of the command, then its output"
    );
}

#[test]
fn set_e_ends_a_multi_line_command_and_does_not_outlive_it() {
    let project = Project::new(
        "
version: 0.2
phases:
  install:
    commands:
      - set -e
      - false; echo not -e any more
  build:
    commands:
      - |
        set -e
        false
        echo not reached
",
    );
    let finished = project.run(&[]);
    assert_eq!(finished.exit_code, Some(1));
    assert!(finished.log().contains("\nnot -e any more\n"));
    assert!(
        !finished.log().contains("\nnot reached\n\n"),
        "echoed, but not run: {}",
        finished.log()
    );
    assert!(
        finished.context("BUILD").ends_with("Reason: exit status 1"),
        "{}",
        finished.context("BUILD")
    );
}

#[test]
fn a_background_process_lives_on_and_does_not_hold_its_command() {
    // It keeps the command's standard output open; `fifo` holds it back until it is needed.
    let lines = output_of(
        "      - mkfifo fifo\n      - (read line < fifo; echo \"got $line\") &\n      - echo message > fifo\n      - |\n        until [ -e done ]; do\n          touch done\n        done\n",
    );
    assert!(lines.contains(&"got message".to_owned()), "{lines:?}");
}

#[test]
fn a_process_left_behind_does_not_keep_the_build_from_ending() {
    assert_eq!(
        output_of(
            "      - sleep 100000 &\n      - nohup sleep 100000 >/dev/null 2>&1 &\n      - echo end\n"
        ),
        ["end"]
    );
}

#[test]
fn version_0_1_starts_every_command_afresh() {
    let project = Project::new(
        "
version: 0.1
environment_variables:
  plaintext:
    KEPT: given
phases:
  build:
    commands:
      - cd / && KEPT=changed && export MORE=1
      - echo \"$KEPT ${MORE-unset}\" && [ \"$PWD\" = \"$CODEBUILD_SRC_DIR\" ]
",
    );
    let finished = project.run(&[]);
    assert_eq!(
        (finished.exit_code, finished.output()),
        (Some(0), vec!["given unset".to_owned()])
    );
}
