//! The log has every byte that commands write.

use tests::Project;

#[test]
fn a_last_line_without_newline_is_ended_and_followed_by_the_usual_blank_line() {
    let project = Project::new(
        r"{version: 0.2, phases: {build: {commands: [printf unfinished, echo next]}}}",
    );
    let log = tests::normalise(&project.run(&[]).log());
    assert!(log.contains("<time> Running command printf unfinished\nunfinished\n\n[Container] <time> Running command echo next\n"), "{log}");
}

#[test]
fn bytes_that_are_not_utf_8_reach_a_terminal_as_they_are_and_json_as_replacements() {
    let buildspec = r#"{version: 0.2, phases: {build: {commands: ["printf 'a\\377b\\n'"]}}}"#;
    let project = Project::new(buildspec);
    let text = project.run_as_text(&[]).stdout;
    assert!(text.windows(4).any(|bytes| bytes == b"a\xffb\n"));
    assert!(project.run(&[]).log().contains("a\u{fffd}b\n"));
}

#[test]
fn a_line_of_10_megabytes_arrives_whole() {
    const SIZE: usize = 10 * 1000 * 1000;
    let project = Project::new(&format!(
        "{{version: 0.2, phases: {{build: {{commands: [\"head -c {SIZE} /dev/zero | tr '\\\\0' x; echo\"]}}}}}}"
    ));
    let text = project.run_as_text(&[]).stdout;
    let longest = text
        .split(|byte| *byte == b'\n')
        .max_by_key(|line| line.len())
        .unwrap();
    assert_eq!(longest.len(), SIZE);
    assert!(longest.iter().all(|byte| *byte == b'x'));
}

#[test]
fn standard_output_and_standard_error_come_in_the_order_in_which_they_were_written() {
    let project = Project::new(
        "{version: 0.2, phases: {build: {commands: ['for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done']}}}",
    );
    let expected: Vec<String> = (1..=5)
        .flat_map(|i| [format!("out {i}"), format!("err {i}")])
        .collect();
    assert_eq!(project.run(&[]).output(), expected);
}

#[test]
fn a_command_has_no_terminal_and_an_empty_input() {
    let project = Project::new(
        "{version: 0.2, phases: {build: {commands: ['cat; [ ! -t 0 ] && [ ! -t 1 ] && ! (: < /dev/tty) 2>/dev/null']}}}",
    );
    let finished = project.run(&[]);
    assert_eq!(finished.exit_code, Some(0), "{}", finished.log());
}

#[test]
fn a_log_that_cannot_be_written_is_told() {
    let project = Project::new("{version: 0.2, phases: {build: {commands: [echo a]}}}");
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let agent = project
        .agent(&["run"])
        .arg(project.source())
        .stdout(full)
        .output()
        .unwrap();
    project.assert_clean();
    let stderr = String::from_utf8_lossy(&agent.stderr).to_lowercase();
    assert!(stderr.contains("no space left"), "{stderr}");
}

#[test]
fn a_reader_that_goes_away_does_not_end_the_build() {
    let project = Project::new(
        "{version: 0.2, phases: {build: {commands: [seq 1 1000000, echo 1 > made]}}, artifacts: {files: [made]}}",
    );
    let mut command = project.agent(&["run"]);
    command
        .arg(project.source())
        .arg("--artifacts")
        .arg(project.artifact_directory());
    let mut agent = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(agent.stdout.take());
    assert_eq!(agent.wait().unwrap().code(), Some(0));
    project.assert_clean();
    assert_eq!(project.artifact_paths(), ["made"]);
}

#[test]
fn output_of_200_megabytes_is_neither_cut_nor_reordered() {
    let project = Project::new("{version: 0.2, phases: {build: {commands: [seq 1 22000000]}}}");
    let text = project.run_as_text(&[]).stdout;
    let mut expected = 1_u64;
    for line in text.split(|byte| *byte == b'\n') {
        if line == expected.to_string().as_bytes() {
            expected += 1;
        }
    }
    assert_eq!(expected, 22_000_001);
}
