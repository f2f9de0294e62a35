//! Builds of one agent's data directory do not get into each other's way.

use tests::Project;

#[test]
fn ten_builds_at_once_each_see_their_own_and_leave_nothing() {
    let project = Project::new(
        r#"
version: 0.2
phases:
  install:
    commands: ['echo "$NUMBER" > number']
  build:
    commands: ['cat number', 'NUMBER=$((NUMBER * 10))']
  post_build:
    commands: ['echo "$NUMBER"']
"#,
    );
    let running: Vec<_> = (1..=10)
        .map(|number| project.start(&["--env", &format!("NUMBER={number}")]))
        .collect();
    let finished: Vec<_> = running.into_iter().map(tests::Running::finish).collect();
    for (number, finished) in (1..=10).zip(&finished) {
        assert_eq!(
            finished.exit_code,
            Some(0),
            "{}{}",
            finished.text(),
            finished.stderr
        );
        assert_eq!(
            finished.output(),
            [number.to_string(), (number * 10).to_string()]
        );
    }
    project.assert_clean();
}
