//! The session of the README, word for word, with both versions of the AWS CLI.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use tests::{Project, Server, aws};

const README: &str = include_str!("../../../README.md");

/// The README's first line, which the harness does.
const START: &str = "buildspec-agent server &";

/// What it says about the endpoint.
const ENDPOINT: &str = "http://127.0.0.1:8080";

/// What it says to do with versions that do not know the variable.
const OLD_VERSIONS: &str = r#"aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }"#;

/// The block of the README that begins with the start of a server.
fn session() -> &'static str {
    let block = README
        .split("```sh\n")
        .find(|block| block.starts_with(START))
        .expect("the README has it");
    let (session, _) = block.split_once("```").expect("a block has an end");
    session
}

/// Runs the session with a program as `aws`, and gives what it said.
fn said(program: &std::path::Path, before: &str, leave_out: &str) -> String {
    let project = Project::empty();
    let server = Server::start(&project, &[]);
    let bin = project.root().join("bin");
    fs::create_dir(&bin).expect("one's own directory");
    symlink(program, bin.join("aws")).expect("one's own directory");
    let (_, commands) = session().split_once('\n').expect("more than a line");
    assert!(commands.contains(ENDPOINT), "{commands}");
    let commands: Vec<_> = commands
        .lines()
        .filter(|line| leave_out.is_empty() || !line.starts_with(leave_out))
        .map(|line| line.replace(ENDPOINT, server.url()))
        .collect();
    let script = format!(
        "set -euxo pipefail\nPATH={}:$PATH\n{before}\n{}",
        bin.display(),
        commands.join("\n")
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(project.root())
        .envs(aws::environment("http://127.0.0.1:1"))
        .output()
        .expect("bash starts");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{text}");
    let builds = super::aws(&server, &["list-builds"]);
    let ids: Vec<_> = builds["ids"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(serde_json::Value::as_str)
        .collect();
    assert_eq!(ids.len(), 2, "{text}");
    assert!(
        text.contains("SUCCEEDED") && text.contains("POST_BUILD"),
        "{text}"
    );
    let mut log = super::at(&project, &server, &["logs", ids[1]]);
    let log = log.output().expect("the program starts").stdout;
    assert!(
        String::from_utf8_lossy(&log).contains("stage test\n"),
        "{text}"
    );
    text
}

#[test]
fn its_session_works_with_version_1() {
    let text = said(&aws::python_program("aws"), "", "aws logs tail");
    assert!(!text.contains("command not found"), "{text}");
}

#[test]
fn its_session_works_with_version_2() {
    assert!(README.contains(OLD_VERSIONS), "the README says what to do");
    let text = said(&aws::cli_v2(), OLD_VERSIONS, "");
    assert!(text.contains("stage test\n"), "its log is shown:\n{text}");
}
