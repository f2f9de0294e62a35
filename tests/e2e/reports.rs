//! Test reports: what tests wrote is told, kept as JSON, and shows no secret.

use std::fs;

use tests::Project;

#[test]
fn reports_are_summarised_and_written_as_json_without_secrets() {
    let project = Project::new(
        r#"
version: 0.2
phases:
  build:
    commands:
      - |
        cat > r.xml <<END
        <testsuite name="s"><testcase classname="c" name="a" time="0.5"/>
        <testcase classname="c" name="b"><failure message="wrong: $TOKEN"/></testcase></testsuite>
        END
      - echo '<report name="r"><package name="p"><sourcefile name="A.java"><counter type="LINE" missed="1" covered="3"/></sourcefile></package></report>' > j.xml
reports:
  unit: {files: [r.xml]}
  coverage: {files: [j.xml], file-format: JACOCOXML}
"#,
    );
    let directory = project.root().join("reports");
    let finished = project.run_as_text(&[
        "--project",
        "demo",
        "--env",
        "TOKEN=hunter2-hunter2",
        "--mask",
        "TOKEN",
        "--reports",
        directory.to_str().unwrap(),
    ]);
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
    for line in [
        "report: demo-unit FAILED: 2 tests, 1 passed, 1 did not, 0 skipped\n",
        "report: demo-coverage SUCCEEDED: 75% of lines, 100% of branches covered\n",
    ] {
        assert!(finished.stderr.contains(line), "{}", finished.stderr);
    }
    let text = fs::read_to_string(directory.join("demo-unit.json")).unwrap();
    let unit: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(unit["report"]["type"], "TEST");
    assert_eq!(unit["report"]["testSummary"]["statusCounts"]["FAILED"], 1);
    assert_eq!(unit["testCases"][1]["message"], "wrong: ***");
    let arn = unit["report"]["arn"].as_str().unwrap();
    assert!(arn.contains(":report/demo-unit:"), "{arn}");
    let text = fs::read_to_string(directory.join("demo-coverage.json")).unwrap();
    assert!(text.contains("\"filePath\": \"p/A.java\""), "{text}");
}

#[test]
fn discovered_reports_are_named_by_their_format_and_never_fail_a_build() {
    let project = Project::new(
        "{version: 0.2, phases: {build: {commands: [\"echo '<testsuite><broken' > r.xml\", \"echo '<test-run/>' > n.xml\"]}}}",
    );
    let finished = project.run_as_text(&["--project", "demo"]);
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
    for line in [
        "report: demo-JUNITXML-AutoDiscovered INCOMPLETE: no results\n",
        "report: demo-NUNIT3XML-AutoDiscovered SUCCEEDED: no results\n",
    ] {
        assert!(finished.stderr.contains(line), "{}", finished.stderr);
    }
}
