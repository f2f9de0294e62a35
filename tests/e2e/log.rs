//! The log reads as CodeBuild's, byte for byte.

use tests::{Project, assert_matches_golden, normalise};

#[test]
fn the_log_of_a_good_build_is_codebuilds() {
    let project = Project::new(
        "
version: 0.2
phases:
  install:
    commands: []
  pre_build:
    commands: [echo hello]
  build:
    commands:
      - |
        echo one
        echo two >&2
      - printf 'no newline'
      - 'true'
artifacts:
  files: ['*.txt', missing.file, out/**/*]
",
    )
    .with_file("a.txt", "a")
    .with_file("out/b/c", "c");
    assert_matches_golden("good.log", &normalise(&project.run(&[]).log()));
}

#[test]
fn the_log_of_a_failing_build_is_codebuilds() {
    let project = Project::new(
        "
version: 0.2
phases:
  build:
    commands:
      - no-such-program --flag
      - echo not reached
    finally: [echo finally]
  post_build:
    commands: ['sh -c \"kill -9 \\$\\$\"']
artifacts:
  files: [missing.txt]
",
    );
    assert_matches_golden("failing.log", &normalise(&project.run(&[]).log()));
}

#[test]
fn text_and_json_tell_the_same_log() {
    let project =
        Project::new("{version: 0.2, phases: {build: {commands: [echo a, printf b, 'false']}}}");
    let place = project.artifact_directory();
    let place = place.to_str().expect("temporary paths are UTF-8");
    let text = project.run_as_text(&["--artifacts", place]).text();
    assert_eq!(normalise(&text), normalise(&project.run(&[]).log()));
}

#[test]
fn times_are_utc_with_microseconds_and_never_go_back() {
    let log = Project::new("{version: 0.2, phases: {build: {commands: [echo a]}}}")
        .run(&[])
        .log();
    let times: Vec<&str> = log
        .lines()
        .filter_map(|line| line.strip_prefix("[Container] "))
        .map(|rest| &rest[..26])
        .collect();
    assert!(times.len() > 10, "{log}");
    assert!(times.is_sorted(), "{times:?}");
    let marked = log
        .lines()
        .filter(|line| line.starts_with("[Container] "))
        .count();
    assert_eq!(
        normalise(&log).matches("[Container] <time> ").count(),
        marked,
        "{log}"
    );
}
