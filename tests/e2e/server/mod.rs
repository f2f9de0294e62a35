//! CodeBuild's API through the clients people use.

mod building;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tests::{Project, Server, http};

const SESSION: &str = include_str!("session.py");
const START_BUILD_MEMBERS: &str = include_str!("start_build_members.py");
const CREATE_PROJECT_MEMBERS: &str = include_str!("create_project_members.py");

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

/// What a client of the AWS CLI prints, as JSON.
fn aws(server: &Server, arguments: &[&str]) -> Value {
    let all = [&["--output", "json", "codebuild"], arguments].concat();
    let output = server.run("aws", &all);
    serde_json::from_str(&output).unwrap_or(Value::Null)
}

#[test]
fn a_session_of_boto3_works_in_json() {
    let project = Project::empty();
    let server = Server::start(&project, &["--no-worker"]);
    assert_eq!(server.run("python3", &["-c", SESSION, "json"]), "done\n");
    assert!(server.stop(), "SIGTERM ends it in good order");
}

#[test]
fn a_session_of_boto3_works_in_cbor() {
    let project = Project::empty();
    let server = Server::start(&project, &["--no-worker"]);
    assert_eq!(server.run("python3", &["-c", SESSION, "cbor"]), "done\n");
}

#[test]
fn every_member_of_start_build_comes_back_or_is_refused_by_name() {
    let project = Project::empty();
    let server = Server::start(&project, &["--no-worker"]);
    server.run("python3", &["-c", START_BUILD_MEMBERS]);
}

#[test]
fn every_member_of_create_project_comes_back() {
    let project = Project::empty();
    let server = Server::start(&project, &["--no-worker"]);
    server.run("python3", &["-c", CREATE_PROJECT_MEMBERS]);
}

#[test]
fn the_aws_cli_works_as_a_team_types_it() {
    let project = Project::empty();
    let server = Server::start(&project, &["--no-worker"]);
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
        .client("aws")
        .args(["codebuild", "start-build", "--project-name", "nope"])
        .output()
        .expect("the AWS CLI starts");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("ResourceNotFoundException"), "{said}");
}

#[test]
fn with_keys_only_who_signs_with_one_is_let_in() {
    let project = Project::empty();
    let issued = project
        .agent(&[
            "keys", "create", "--name", "ci", "--role", "start", "--json",
        ])
        .output()
        .expect("the program starts");
    let key: Value = serde_json::from_slice(&issued.stdout).expect("a key as JSON");
    let text = |member: &str| key[member].as_str().expect("a text").to_owned();
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
    let (id, secret) = (text("AccessKeyId"), text("SecretAccessKey"));
    assert!(list(&id, &secret).contains("\"projects\": []"));
    assert!(list(&id, "wrong").contains("InvalidSignatureException"));
    assert!(list("AKIAWRONG", &secret).contains("UnrecognizedClientException"));
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
