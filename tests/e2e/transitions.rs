//! What runs after a phase that failed.

use tests::Project;

/// One phase fails; what comes after is the case.
struct Case {
    failing: &'static str,
    after_download: &'static [&'static str],
    /// What the phases say of `CODEBUILD_BUILD_SUCCEEDING`.
    output: &'static [&'static str],
    uploads: bool,
}

const CASES: [Case; 4] = [
    Case {
        failing: "install",
        after_download: &["INSTALL FAILED"],
        output: &["install 1"],
        uploads: false,
    },
    Case {
        failing: "pre_build",
        after_download: &["INSTALL SUCCEEDED", "PRE_BUILD FAILED"],
        output: &["install 1", "pre_build 1"],
        uploads: false,
    },
    Case {
        failing: "build",
        after_download: &[
            "INSTALL SUCCEEDED",
            "PRE_BUILD SUCCEEDED",
            "BUILD FAILED",
            "POST_BUILD SUCCEEDED",
            "UPLOAD_ARTIFACTS SUCCEEDED",
        ],
        output: &["install 1", "pre_build 1", "build 1", "post_build 0"],
        uploads: true,
    },
    Case {
        failing: "post_build",
        after_download: &[
            "INSTALL SUCCEEDED",
            "PRE_BUILD SUCCEEDED",
            "BUILD SUCCEEDED",
            "POST_BUILD FAILED",
            "UPLOAD_ARTIFACTS SUCCEEDED",
        ],
        output: &["install 1", "pre_build 1", "build 1", "post_build 1"],
        uploads: true,
    },
];

/// A build whose phases say their names, and of which one then fails.
fn project_failing_in(failing: &str) -> Project {
    let phase = |name: &str| {
        let more = if name == failing {
            ", exit 7, echo not after a failure"
        } else {
            ""
        };
        format!("  {name}:\n    commands: [echo {name} $CODEBUILD_BUILD_SUCCEEDING{more}]\n")
    };
    let phases = ["install", "pre_build", "build", "post_build"]
        .map(phase)
        .concat();
    Project::new(&format!(
        "version: 0.2\nphases:\n{phases}artifacts:\n  files: [buildspec.yml]\n"
    ))
}

#[test]
fn what_follows_a_failing_phase_depends_on_the_phase() {
    for Case {
        failing,
        after_download,
        output,
        uploads,
    } in CASES
    {
        let project = project_failing_in(failing);
        let finished = project.run(&[]);
        let expected = [after_download, &["FINALIZING SUCCEEDED", "COMPLETED"]].concat();
        assert_eq!(finished.phases()[4..], expected, "{failing}");
        assert_eq!(finished.exit_code, Some(1), "{failing}");
        assert_eq!(finished.build().build_status, "FAILED", "{failing}");
        assert_eq!(finished.output(), output, "{failing}");
        assert_eq!(
            project.artifact_paths().len(),
            usize::from(uploads),
            "{failing}"
        );
        assert_eq!(
            finished.context(&failing.to_uppercase()),
            "COMMAND_EXECUTION_ERROR: Error while executing command: exit 7. Reason: exit status 7",
            "{failing}"
        );
    }
}

#[test]
fn finally_runs_after_a_failure_and_the_phase_stays_failed() {
    let project = Project::new(
        "
version: 0.2
phases:
  build:
    commands: ['false', echo not reached]
    finally: [echo cleaning up, echo succeeding=$CODEBUILD_BUILD_SUCCEEDING]
",
    );
    let finished = project.run(&[]);
    assert_eq!(finished.exit_code, Some(1));
    assert_eq!(finished.output(), ["cleaning up", "succeeding=0"]);
    assert!(finished.phases().contains(&"BUILD FAILED".to_owned()));
}

#[test]
fn a_failing_finally_fails_its_phase() {
    let project = Project::new(
        "{version: 0.2, phases: {install: {commands: ['true'], finally: [exit 3]}, build: {commands: [echo no]}}}",
    );
    let finished = project.run(&[]);
    assert_eq!(finished.exit_code, Some(1));
    assert_eq!(
        finished.context("INSTALL"),
        "COMMAND_EXECUTION_ERROR: Error while executing command: exit 3. Reason: exit status 3"
    );
    assert_eq!(finished.output(), [""; 0]);
}
