//! What needs no engine works without one.

use std::io::Write;
use std::process::{Command, Stdio};

use tests::{Finished, Project, Running};

const GOOD: &str = "{version: 0.2, env: {variables: {A: buildspec}}, phases: {build: {commands: [make all]}}, artifacts: {files: ['out/*.txt']}}";

/// The agent in the source directory of a project, out of reach of any engine.
fn agent(project: &Project, arguments: &[&str]) -> Command {
    let mut command = project.agent(arguments);
    command
        .current_dir(project.source())
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    command
}

fn told(project: &Project, arguments: &[&str]) -> Finished {
    Running::start(agent(project, arguments)).finish()
}

#[test]
fn lint_shows_the_place_of_a_mistake_and_exits_with_2() {
    let project = Project::new("version: 0.2\nphases:\n  biuld:\n    commands: ['true']\n")
        .with_file("good.yml", GOOD);
    let finished = told(&project, &["lint", "buildspec.yml", "good.yml"]);
    assert_eq!(finished.exit_code, Some(2), "{}", finished.stderr);
    let said = finished.text() + &finished.stderr;
    assert!(said.contains("buildspec.yml:3:3"), "{said}");
    assert!(said.contains("did you mean `build`?"), "{said}");
    assert_eq!(told(&project, &["lint", "good.yml"]).exit_code, Some(0));
}

#[test]
fn lint_speaks_json_and_sarif() {
    let project = Project::new("version: 0.2\nphases:\n  biuld:\n    commands: ['true']\n");
    let sarif = told(&project, &["lint", "--format", "sarif", "buildspec.yml"]).text();
    let sarif: serde_json::Value = serde_json::from_str(&sarif).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let region = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"];
    assert_eq!(region["startLine"], 3, "{sarif:#}");
    for line in told(&project, &["lint", "--format", "json", "buildspec.yml"])
        .text()
        .lines()
    {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn plan_tells_phases_variables_and_files_and_runs_nothing() {
    let project = Project::new(GOOD)
        .with_file("out/a.txt", "")
        .with_file("out/b.log", "");
    let finished = told(&project, &["plan", "--env", "A=given"]);
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
    let text = finished.text();
    assert!(text.contains("- make all"), "{text}");
    assert!(text.contains("A = \"given\""), "{text}");
    assert!(
        text.contains("out/a.txt") && !text.contains("out/b.log"),
        "{text}"
    );
    project.assert_clean();
}

#[test]
fn mask_check_hides_secrets_and_tells_by_its_exit_code() {
    let project = Project::empty();
    for (text, arguments, expected, exit_code) in [
        ("nothing to hide", &["mask-check"][..], "nothing to hide", 0),
        ("id AKIAIOSFODNN7EXAMPLE", &["mask-check"], "id ***", 1),
        (
            "a correct-horse z",
            &["mask-check", "--secret-env", "SECRET"],
            "a *** z",
            1,
        ),
        (
            "Y29ycmVjdC1ob3JzZQ==",
            &["mask-check", "--secret-env", "SECRET", "--plain"],
            "Y29ycmVjdC1ob3JzZQ==",
            0,
        ),
    ] {
        let mut command = agent(&project, arguments);
        command
            .env("SECRET", "correct-horse")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
        assert_eq!(output.status.code(), Some(exit_code), "{text}");
    }
}

#[test]
fn completions_and_manual_pages_are_data() {
    let project = Project::empty();
    for arguments in [
        &["completions", "bash"][..],
        &["completions", "zsh"],
        &["man"],
    ] {
        let finished = told(&project, arguments);
        assert_eq!(
            finished.exit_code,
            Some(0),
            "{arguments:?}: {}",
            finished.stderr
        );
        assert!(finished.text().contains("buildspec-agent"), "{arguments:?}");
    }
}
