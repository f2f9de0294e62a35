//! What a build is asked to do otherwise than its project says.

use std::fs;

use tests::{Finished, Project};

fn run_with(project: &Project, overrides: &str) -> Finished {
    let path = project.root().join("overrides.json");
    fs::write(&path, overrides).expect("a file can be written in one's own directory");
    project.run(&[
        "--overrides",
        path.to_str().expect("temporary paths are UTF-8"),
    ])
}

fn echoing_a() -> Project {
    Project::new("{version: 0.2, env: {variables: {A: buildspec, B: buildspec}}, phases: {build: {commands: [echo $A $B $C]}}}")
        .with_file("ci/other.yml", "{version: 0.2, phases: {build: {commands: [echo other file]}}}")
}

#[test]
fn a_buildspec_is_taken_inline_or_by_path() {
    for (label, overrides) in [
        ("a path", r#"{"buildspecOverride": "ci/other.yml"}"#),
        (
            "several lines",
            r#"{"buildspecOverride": "version: 0.2\nphases:\n  build:\n    commands:\n      - echo other file\n"}"#,
        ),
        (
            "JSON",
            r#"{"buildspecOverride": "{\"version\":0.2,\"phases\":{\"build\":{\"commands\":[\"echo other file\"]}}}"}"#,
        ),
    ] {
        let finished = run_with(&echoing_a(), overrides);
        assert_eq!(
            finished.output(),
            ["other file"],
            "{label}: {}",
            finished.stderr
        );
    }
}

#[test]
fn variables_given_at_the_start_win_over_the_buildspecs() {
    let overrides = r#"{"environmentVariablesOverride": [
        {"name": "A", "value": "start $B", "type": "PLAINTEXT"}, {"name": "C", "value": ""}]}"#;
    assert_eq!(
        run_with(&echoing_a(), overrides).output(),
        ["start $B buildspec"]
    );
}

/// As a team that moves off CodeBuild has it: the output of `batch-get-projects`, and the overrides
/// of its script.
#[test]
fn a_project_file_says_what_a_build_is_and_overrides_change_it() {
    let buildspec = "{version: 0.2, phases: {build: {commands: [echo $A $B $CODEBUILD_BUILD_ID]}}}";
    let project = Project::empty().with_file(
        "project.json",
        serde_json::json!({"projectsNotFound": [], "projects": [{
            "name": "migrated",
            "arn": "arn:aws:codebuild:eu-west-1:123456789012:project/migrated",
            "source": {"type": "NO_SOURCE", "buildspec": buildspec, "insecureSsl": false},
            "artifacts": {"type": "NO_ARTIFACTS"},
            "cache": {"type": "NO_CACHE"},
            "environment": {
                "type": "LINUX_CONTAINER",
                "image": tests::engine::test_image(),
                "computeType": "BUILD_GENERAL1_SMALL",
                "environmentVariables": [
                    {"name": "A", "value": "project", "type": "PLAINTEXT"},
                    {"name": "B", "value": "project", "type": "PLAINTEXT"},
                ],
                "privilegedMode": false,
            },
            "logsConfig": {"cloudWatchLogs": {"status": "DISABLED"}},
            "serviceRole": "",
            "timeoutInMinutes": 60,
            "queuedTimeoutInMinutes": 480,
            "created": "2026-11-03T21:28:52.1+00:00",
            "badge": {"badgeEnabled": false},
        }]})
        .to_string(),
    );
    let overrides = project.root().join("overrides.json");
    let variables = r#"{"environmentVariablesOverride": [{"name": "B", "value": "start"}]}"#;
    fs::write(&overrides, variables).expect("a file can be written in one's own directory");
    let file = project.source().join("project.json");
    let paths = [&file, &overrides].map(|path| path.to_str().expect("temporary paths are UTF-8"));
    let output = project
        .agent(&["run", "--project-file", paths[0], "--overrides", paths[1]])
        .output()
        .expect("the agent starts");
    let log = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{log}");
    assert!(log.contains("\nproject start migrated:"), "{log}");
}

#[test]
fn a_skeleton_without_values_changes_nothing() {
    let overrides = r#"{"projectName": "", "buildspecOverride": "", "environmentVariablesOverride": [],
        "sourceVersion": "", "timeoutInMinutesOverride": 60}"#;
    assert_eq!(
        run_with(&echoing_a(), overrides).output(),
        ["buildspec buildspec"]
    );
}

#[test]
fn what_cannot_be_carried_out_is_refused_by_name_before_anything_runs() {
    for (overrides, name) in [
        (
            r#"{"privilegedModeOverride": true}"#,
            "privileged mode is refused",
        ),
        (
            r#"{"secondarySourcesOverride": [{"type": "S3"}]}"#,
            "every item has to have an identifier",
        ),
        (r#"{"timeoutInMinutes": 5}"#, "`timeoutInMinutes`"),
        (
            r#"{"timeoutInMinutesOverride": 4}"#,
            "timeoutInMinutes: 4 is not between",
        ),
        (
            r#"{"environmentVariablesOverride": [{"name": "SECRET", "value": "", "type": "SECRETS_MANAGER"}]}"#,
            "`SECRET`",
        ),
        (
            r#"{"artifactsOverride": {"type": "CODEPIPELINE"}}"#,
            "must be set to: CODEPIPELINE",
        ),
    ] {
        let finished = run_with(&echoing_a(), overrides);
        assert_eq!(
            finished.exit_code,
            Some(2),
            "{overrides}: {}",
            finished.stderr
        );
        assert!(
            finished.stderr.contains(name),
            "{overrides}: {}",
            finished.stderr
        );
        assert_eq!(finished.text(), "", "{overrides}");
    }
}
