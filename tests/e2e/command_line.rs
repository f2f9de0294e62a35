//! The flags of `run` do what they say.

use std::fs;

use tests::{Project, Running};

const SHOWING: &str = "{version: 0.2, env: {variables: {A: buildspec}}, phases: {build: {commands: ['echo \"$A|$B|$C\"']}}}";

#[test]
fn variables_come_from_flags_and_files_and_flags_win() {
    let project = Project::new(SHOWING);
    let file = project.root().join("variables");
    fs::write(&file, "# a comment\nB=from the file\nC=from the file\n\n")
        .expect("one's own file can be written");
    let file = file.to_str().expect("temporary paths are UTF-8");
    let finished = project.run(&[
        "--env",
        "A=flag",
        "--env-file",
        file,
        "--env",
        "C=flag = sign",
    ]);
    assert_eq!(
        finished.output(),
        ["flag|from the file|flag = sign"],
        "{}",
        finished.stderr
    );
}

#[test]
fn a_name_alone_takes_its_value_from_the_agents_environment() {
    let project = Project::new(SHOWING);
    let mut command = project.build_command(&["--env", "B", "--env", "NOT_SET_ANYWHERE"]);
    command
        .env("B", "from outside")
        .env_remove("NOT_SET_ANYWHERE");
    let finished = Running::start(command).finish();
    project.assert_clean();
    assert_eq!(finished.output(), ["buildspec|from outside|"]);
}

#[test]
fn a_buildspec_is_named_by_its_path() {
    let project = Project::empty().with_file(
        "ci/b.yml",
        "{version: 0.2, phases: {build: {commands: [echo named]}}}",
    );
    assert_eq!(
        project.run(&["--buildspec", "ci/b.yml"]).output(),
        ["named"]
    );
}

#[test]
fn the_source_is_the_working_directory_unless_named() {
    let project = Project::new("{version: 0.2, phases: {build: {commands: [cat here]}}}")
        .with_file("here", "found\n");
    let mut command = project.agent(&["run", "--json"]);
    command.current_dir(project.source());
    let finished = Running::start(command).finish();
    project.assert_clean();
    assert_eq!(finished.output(), ["found"], "{}", finished.stderr);
}

#[test]
fn wrong_usage_exits_with_2_and_names_what_is_wrong() {
    let project = Project::new(SHOWING);
    for (arguments, named) in [
        (&["run", "--no-such-flag"][..], "--no-such-flag"),
        (&["run", "--env", "a name=value"], "a name"),
        (&["run", "--env", "=value"], "--env"),
        (&["run", "--timeout", "0"], "timeout"),
        (&["run", "--env-file", "no-such-file"], "no-such-file"),
        (&["run", "--overrides", "no-such-file"], "no-such-file"),
        (&["no-such-command"], "no-such-command"),
    ] {
        let finished = Running::start(project.agent(arguments)).finish();
        assert_eq!(
            finished.exit_code,
            Some(2),
            "{arguments:?}: {}",
            finished.stderr
        );
        assert!(
            finished.stderr.contains(named),
            "{arguments:?}: {}",
            finished.stderr
        );
        assert_eq!(
            finished.text(),
            "",
            "{arguments:?}: standard output is for data"
        );
    }
}

#[test]
fn commands_take_the_place_of_a_buildspec() {
    let project = Project::empty().with_file("a.txt", "a");
    let arguments = [
        "--build-command",
        "cp a.txt b.txt",
        "--build-command",
        "echo ran",
    ];
    let finished = project.run(&[&arguments[..], &["--output-files", "b.txt,c.txt"]].concat());
    assert_eq!(finished.output(), ["ran"], "{}", finished.stderr);
    assert_eq!(project.artifact_paths(), ["b.txt"]);
}

#[test]
fn a_partial_buildspec_is_merged_over_the_buildspec() {
    let project = Project::new(SHOWING);
    let patch = project.root().join("patch.yml");
    fs::write(&patch, "env: {variables: {A: patched, B: added}}\n").unwrap();
    let finished = project.run(&["--patch", patch.to_str().unwrap()]);
    assert_eq!(finished.output(), ["patched|added|"], "{}", finished.stderr);
}

#[test]
fn a_masked_variable_is_nowhere_in_the_log() {
    let project = Project::new(
        r#"
version: 0.2
phases:
  build:
    commands:
      - echo "$TOKEN"; printf %s "$TOKEN" | base64
      - false correct-horse-battery
"#,
    );
    let arguments = ["--env", "TOKEN=correct-horse-battery", "--mask", "TOKEN"];
    let finished = project.run(&arguments);
    assert!(
        !finished.text().contains("correct-horse"),
        "{}",
        finished.text()
    );
    assert!(
        !finished.text().contains("Y29ycmVjdC1ob3Jz"),
        "{}",
        finished.text()
    );
    assert!(
        finished.context("BUILD").contains("false ***"),
        "{}",
        finished.context("BUILD")
    );
}

#[test]
fn timings_name_every_command() {
    let project = Project::new("{version: 0.2, phases: {build: {commands: [echo a, sleep 0.2]}}}");
    let stderr = project.run_as_text(&["--timings"]).stderr;
    let lines: Vec<&str> = stderr
        .lines()
        .filter(|line| line.starts_with("BUILD "))
        .collect();
    assert!(
        lines[0].ends_with("echo a") && lines[1].ends_with("sleep 0.2"),
        "{stderr}"
    );
}

#[test]
fn a_privileged_build_is_refused_unless_the_configuration_allows_it() {
    let finished = Project::new(SHOWING).run(&["--privileged"]);
    assert_eq!(
        finished.exit_code,
        Some(2),
        "{}{}",
        finished.text(),
        finished.stderr
    );
    assert!(
        finished.stderr.contains("privileged"),
        "{}",
        finished.stderr
    );
}

#[test]
fn help_and_version_are_data() {
    let project = Project::empty();
    for arguments in [&["--help"][..], &["run", "--help"], &["--version"]] {
        let finished = Running::start(project.agent(arguments)).finish();
        assert_eq!(finished.exit_code, Some(0), "{arguments:?}");
        assert!(
            finished.text().contains("buildspec-agent"),
            "{arguments:?}: {}",
            finished.text()
        );
    }
}
