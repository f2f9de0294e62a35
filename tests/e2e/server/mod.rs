//! CodeBuild's API through the clients people use.

mod attach;
mod building;
mod commands;
mod credentials;
mod readme;
mod rust_sdk;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tests::fault_proxy::{Fault, FaultProxy};
use tests::{CliVersion, Project, Server, hammer, http};

/// Comes before each of the scripts.
const PROTOCOL: &str = include_str!("protocol.py");
const SESSION: &str = include_str!("session.py");
const START_BUILD_MEMBERS: &str = include_str!("start_build_members.py");
const CREATE_PROJECT_MEMBERS: &str = include_str!("create_project_members.py");
const SIGNING: &str = include_str!("signing.py");
const LOSSES: &str = include_str!("losses.py");

/// A project that needs nothing of the world.
fn project_json() -> Value {
    json!({
        "name": "demo",
        "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {build: {commands: [true]}}"},
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {"type": "LINUX_CONTAINER", "image": "a:1", "computeType": "BUILD_GENERAL1_SMALL"},
        "serviceRole": "arn:aws:iam::000000000000:role/build",
    })
}

/// A command of this program, on the builds of a server.
fn at(project: &Project, server: &Server, arguments: &[&str]) -> Command {
    let (command, rest) = arguments.split_first().expect("a command");
    let mut command = project.agent(&[&[*command, "--endpoint", server.url()], rest].concat());
    command.env_remove("AWS_ACCESS_KEY_ID");
    command
}

/// What a client of the AWS CLI prints, as JSON.
fn aws(server: &Server, arguments: &[&str]) -> Value {
    let all = [&["--output", "json", "codebuild"], arguments].concat();
    let output = server.run("aws", &all);
    serde_json::from_str(&output).unwrap_or(Value::Null)
}

/// What a script for boto3 prints in each protocol, on a server of its own each time.
fn with_boto3(script: &str) -> Vec<String> {
    let prints = |protocol| {
        let project = Project::empty();
        let server = Server::start(&project, &["--no-worker"]);
        let printed = server.run(
            "python3",
            &["-c", &format!("{PROTOCOL}\n{script}"), protocol],
        );
        assert!(server.stop(), "SIGTERM ends it in good order");
        printed
    };
    ["json", "cbor"].map(prints).into()
}

#[test]
fn a_session_of_boto3_works_in_both_protocols() {
    assert_eq!(with_boto3(SESSION), ["done\n", "done\n"]);
}

#[test]
fn every_member_of_start_build_comes_back_or_is_refused_by_name() {
    let printed = with_boto3(START_BUILD_MEMBERS);
    assert!(printed[0].contains("honoured"), "{printed:?}");
    assert_eq!(printed[0], printed[1]);
}

#[test]
fn every_member_of_create_project_comes_back() {
    assert_eq!(with_boto3(CREATE_PROJECT_MEMBERS), ["done\n", "done\n"]);
}

#[test]
fn boto3_tells_keys_secrets_and_clocks_apart_that_are_not_right() {
    let project = Project::empty();
    let key = issue_key(&project, &["--role", "read"]);
    let server = Server::start(&project, &["--no-worker"]);
    for protocol in ["json", "cbor"] {
        let mut python = server.client("python3");
        python
            .env("AWS_ACCESS_KEY_ID", text(&key, "AccessKeyId"))
            .env("AWS_SECRET_ACCESS_KEY", text(&key, "SecretAccessKey"));
        let script = format!("{PROTOCOL}\n{SIGNING}");
        assert_eq!(Server::must(python, &["-c", &script, protocol]), "done\n");
    }
}

#[test]
fn what_boto3_sends_again_after_a_loss_starts_one_build() {
    for protocol in ["json", "cbor"] {
        let project = Project::empty();
        let server = Server::start(&project, &["--no-worker"]);
        server.call("CreateProject", &project_json());
        let proxy = FaultProxy::start(server.address());
        proxy.next([Some(Fault::LoseAnswer), Some(Fault::LoseAnswer)]);
        let mut python = server.client("python3");
        python.env("AWS_ENDPOINT_URL", proxy.endpoint());
        let script = format!("{PROTOCOL}\n{LOSSES}");
        Server::must(python, &["-c", &script, protocol]);
        assert_eq!(proxy.seen().len(), 4, "three times StartBuild, and a list");
    }
}

/// An access key, as it is printed.
fn issue_key(project: &Project, arguments: &[&str]) -> Value {
    let create = ["keys", "create", "--json", "--name", "test"];
    let issued = project.agent(&[&create[..], arguments].concat()).output();
    let issued = issued.expect("the program starts").stdout;
    serde_json::from_slice(&issued).expect("a key as JSON")
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().expect("a text")
}

#[test]
fn version_1_of_the_aws_cli_works_as_a_team_types_it() {
    the_aws_cli_works(CliVersion::V1);
}

#[test]
fn version_2_of_the_aws_cli_works_as_a_team_types_it() {
    the_aws_cli_works(CliVersion::V2);
}

fn the_aws_cli_works(version: CliVersion) {
    let project = Project::empty();
    let server = Server::start(&project, &["--no-worker"]);
    let aws = |server: &Server, arguments: &[&str]| -> Value {
        let all = [&["--output", "json", "codebuild"], arguments].concat();
        let output = Server::must(server.cli(version), &all);
        serde_json::from_str(&output).unwrap_or(Value::Null)
    };
    let input = project.root().join("project.json");
    fs::write(&input, project_json().to_string()).expect("one's own directory");
    let input = format!("file://{}", input.display());
    aws(&server, &["create-project", "--cli-input-json", &input]);
    let started = aws(
        &server,
        &[
            "start-build",
            "--project-name",
            "demo",
            "--environment-variables-override",
            "name=STAGE,value=test",
            "--timeout-in-minutes-override",
            "20",
        ],
    );
    let id = started["build"]["id"].as_str().expect("an id").to_owned();
    let found = aws(&server, &["batch-get-builds", "--ids", &id]);
    assert_eq!(found["builds"][0]["timeoutInMinutes"], 20);
    let stopped = aws(&server, &["stop-build", "--id", &id]);
    assert_eq!(stopped["build"]["buildStatus"], "STOPPED");
    let retried = aws(&server, &["retry-build", "--id", &id]);
    assert_eq!(retried["build"]["buildNumber"], 2);
    let listed = aws(
        &server,
        &["list-builds-for-project", "--project-name", "demo"],
    );
    assert_eq!(listed["ids"], json!([retried["build"]["id"], id]));
    let refused = server
        .cli(version)
        .args(["codebuild", "start-build", "--project-name", "nope"])
        .output()
        .expect("the AWS CLI starts");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("ResourceNotFoundException"), "{said}");
}

#[test]
fn with_keys_only_who_signs_with_one_is_let_in() {
    let project = Project::empty();
    let key = issue_key(&project, &["--role", "start"]);
    let server = Server::start(&project, &["--no-worker"]);
    let list = |id: &str, secret: &str| {
        let output = server
            .client("aws")
            .args(["codebuild", "list-projects"])
            .env("AWS_ACCESS_KEY_ID", id)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .output()
            .expect("the AWS CLI starts");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let (id, secret) = (text(&key, "AccessKeyId"), text(&key, "SecretAccessKey"));
    assert!(list(id, secret).contains("\"projects\": []"));
    assert!(list(id, "wrong").contains("InvalidSignatureException"));
    assert!(list("AKIAWRONG", secret).contains("UnrecognizedClientException"));
    let target = [("X-Amz-Target", "CodeBuild_20161006.ListProjects")];
    let unsigned = http::request(server.address(), "POST", "/", &target, b"{}");
    let unsigned = unsigned.expect("the server answers").text();
    assert!(
        unsigned.contains("MissingAuthenticationTokenException"),
        "{unsigned}"
    );
}

#[test]
fn it_does_not_listen_to_the_world_without_keys() {
    let project = Project::empty();
    let output = project
        .agent(&["server", "--listen", "0.0.0.0:0"])
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("keys create"), "{said}");
}

#[test]
fn with_a_certificate_it_speaks_tls() {
    let project = Project::empty();
    let (certificate, key) = (
        project.root().join("chain.pem"),
        project.root().join("key.pem"),
    );
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args([
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-days",
            "2",
        ])
        .args([
            "-keyout".as_ref(),
            key.as_os_str(),
            "-out".as_ref(),
            certificate.as_os_str(),
        ])
        .stderr(Stdio::null())
        .status()
        .expect("openssl starts");
    assert!(made.success());
    let files = [&certificate, &key].map(|path| path.to_str().expect("UTF-8"));
    let server = Server::start(
        &project,
        &[
            "--no-worker",
            "--tls-certificate",
            files[0],
            "--tls-key",
            files[1],
        ],
    );
    assert!(server.url().starts_with("https://"));
    let listed = server
        .client("aws")
        .args(["codebuild", "list-projects"])
        .env("AWS_CA_BUNDLE", &certificate)
        .output()
        .expect("the AWS CLI starts");
    let listed = String::from_utf8_lossy(&[listed.stdout, listed.stderr].concat()).into_owned();
    assert!(listed.contains("\"projects\": []"), "{listed}");
}

#[test]
fn what_is_no_request_is_answered_and_harms_nobody() {
    let project = Project::empty();
    let server = Server::start(&project, &["--no-worker"]);
    for (label, request, expected) in [
        (
            "another method",
            "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "404",
        ),
        ("no HTTP", "hello\r\n\r\n", "400"),
        (
            "no target",
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
            "404",
        ),
        (
            "a name that leads here",
            "POST / HTTP/1.1\r\nHost: evil.example\r\nX-Amz-Target: CodeBuild_20161006.ListProjects\r\nContent-Length: 2\r\n\r\n{}",
            "AccessDeniedException",
        ),
        (
            "half a body",
            "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: CodeBuild_20161006.ListProjects\r\nContent-Length: 2\r\n\r\n{",
            "Serialization",
        ),
    ] {
        let mut stream = TcpStream::connect(server.address()).expect("the server listens");
        stream.write_all(request.as_bytes()).expect("it reads");
        stream
            .shutdown(std::net::Shutdown::Write)
            .expect("our half is ours");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        let is_cut_off = answer.is_empty() && label == "half a body";
        assert!(answer.contains(expected) || is_cut_off, "{label}: {answer}");
    }
    let health = http::request(server.address(), "GET", "/healthz", &[], b"");
    assert_eq!(health.expect("the server lives").text(), "ok\n");
}

#[test]
fn malformed_requests_are_answered_and_leave_nothing_behind() {
    for has_keys in [false, true] {
        let project = Project::empty();
        if has_keys {
            issue_key(&project, &["--role", "read"]);
        }
        let server = Server::start(&project, &["--no-worker"]);
        if !has_keys {
            server.make_busy_project("demo");
        }
        let tally = hammer::hammer(server.address(), 4000, 4, 7);
        let tally = tally.unwrap_or_else(|error| panic!("{error}"));
        assert!(tally[&400] > 1000, "{tally:?}");
        let health = http::request(server.address(), "GET", "/healthz", &[], b"");
        assert_eq!(health.expect("the server lives").text(), "ok\n");
        assert!(server.stop());
    }
}
