//! Values of Parameter Store and Secrets Manager in AWS.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use tests::aws::Moto;
use tests::{Finished, Project, Running};

fn run(project: &Project, moto: &Moto, arguments: &[&str]) -> Finished {
    let mut command = project.build_command(arguments);
    command.envs(moto.environment());
    let finished = Running::start(command).finish();
    project.assert_clean();
    finished
}

fn parameter(moto: &Moto, name: &str, value: &str) {
    let input = json!({"Name": name, "Value": value, "Type": "SecureString", "Overwrite": true});
    moto.call("AmazonSSM.PutParameter", &input);
}

/// Makes a secret with an old and a present value, and gives its ARN and the version of the old one.
fn secret(moto: &Moto, name: &str, old: &str, present: &str) -> (String, String) {
    let text = |field: &serde_json::Value| field.as_str().expect("a text").to_owned();
    let made = moto.call(
        "secretsmanager.CreateSecret",
        &json!({"Name": name, "SecretString": old, "ClientRequestToken": uuid(1)}),
    );
    moto.call(
        "secretsmanager.PutSecretValue",
        &json!({"SecretId": name, "SecretString": present, "ClientRequestToken": uuid(2)}),
    );
    (text(&made["ARN"]), text(&made["VersionId"]))
}

fn uuid(number: u8) -> String {
    format!("00000000-0000-4000-8000-00000000000{number}")
}

#[test]
fn values_of_all_kinds_are_found_and_hidden() {
    let moto = Moto::start();
    let (arn, old_version) = secret(
        &moto,
        "db",
        r#"{"user":"old-user-value"}"#,
        r#"{"user":"new-user-value","port":54320}"#,
    );
    // More than one request takes.
    for number in 0..12 {
        parameter(
            &moto,
            &format!("/ci/p{number}"),
            &format!("parameter-{number}-first"),
        );
    }
    parameter(&moto, "/ci/p1", "parameter-1-second");
    let mut names = vec![
        "OLD_P1: /ci/p1:1".to_owned(),
        "BY_ARN: arn:aws:ssm:us-east-1:123456789012:parameter/ci/p2".to_owned(),
    ];
    names.extend((0..12).map(|number| format!("P{number}: /ci/p{number}")));
    let names = names.join("\n    ");
    let project = Project::new(&format!(
        "
version: 0.2
env:
  parameter-store:
    {names}
  secrets-manager:
    USER: db:user
    BY_SECRET_ARN: {arn}:user
    OLD_USER: db:user:AWSPREVIOUS
    OLD_VERSION: 'db:user::{old_version}'
    PORT: db:port
    WHOLE: db
phases:
  build:
    commands:
      - test $P0,$P1,$P11 = parameter-0-first,parameter-1-second,parameter-11-first
      - test $OLD_P1,$BY_ARN = parameter-1-first,parameter-2-first
      - test $USER,$BY_SECRET_ARN,$PORT = new-user-value,new-user-value,54320
      - test $OLD_USER,$OLD_VERSION = old-user-value,old-user-value
      - test \"$WHOLE\" = '{{\"user\":\"new-user-value\",\"port\":54320}}'
      - echo \"hidden $P3 $OLD_USER\"
"
    ));
    let finished = run(&project, &moto, &[]);
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
    assert!(
        finished.log().contains("hidden *** ***"),
        "{}",
        finished.log()
    );
}

#[test]
fn what_aws_does_not_have_fails_the_build_in_codebuilds_words() {
    let moto = Moto::start();
    parameter(&moto, "/ci/known", "v");
    secret(&moto, "db", "{}", r#"{"user":"u"}"#);
    for (section, expected) in [
        (
            "parameter-store: {A: /ci/known, B: /ci/none}",
            "Decrypted Variables Error: parameter does not exist: /ci/none",
        ),
        (
            "secrets-manager: {A: none:user}",
            "Secrets Manager Error: ResourceNotFoundException: Secrets Manager can't find the specified secret. status code: ",
        ),
        (
            "secrets-manager: {A: db:password}",
            "Secrets Manager Error: the secret db has no key password",
        ),
    ] {
        let project = Project::new(&format!(
            "{{version: 0.2, env: {{{section}}}, phases: {{build: {{commands: [echo ran]}}}}}}"
        ));
        let finished = run(&project, &moto, &[]);
        assert_eq!(finished.exit_code, Some(1), "{section}");
        let context = finished.context("DOWNLOAD_SOURCE");
        assert!(context.starts_with(expected), "{section}: {context}");
        assert!(!finished.log().contains("Entering phase"), "{section}");
    }
}

#[test]
fn a_file_stands_before_aws_and_aws_behind_the_file() {
    let moto = Moto::start();
    parameter(&moto, "/ci/both", "from-aws");
    parameter(&moto, "/ci/aws", "from-aws");
    let project = Project::new(
        "
version: 0.2
env: {parameter-store: {BOTH: /ci/both, AWS: /ci/aws}}
phases: {build: {commands: ['test $BOTH,$AWS = from-file,from-aws']}}
",
    );
    let file = project.root().join("secrets.yml");
    fs::write(&file, "parameter-store: {/ci/both: from-file}\n").expect("one's own directory");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("one's own file");
    let file = file.to_str().expect("temporary paths are UTF-8");
    let finished = run(&project, &moto, &["--secrets-file", file]);
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
}

/// The service role's credentials are used where there is one.
#[test]
fn a_role_that_cannot_be_assumed_is_named() {
    let moto = Moto::start();
    let proxy = tests::fault_proxy::FaultProxy::start(moto.address());
    proxy.set(tests::fault_proxy::Fault::Answer(
        403,
        "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>",
    ));
    let project = Project::new(
        "{version: 0.2, env: {parameter-store: {A: /a}}, phases: {build: {commands: [echo ran]}}}",
    );
    let overrides = project.root().join("overrides.json");
    fs::write(
        &overrides,
        r#"{"serviceRoleOverride": "arn:aws:iam::123456789012:role/service-role/demo"}"#,
    )
    .expect("one's own directory");
    let overrides = overrides.to_str().expect("temporary paths are UTF-8");
    let mut command = project.build_command(&["--overrides", overrides]);
    command.envs(moto.environment());
    command.env("AWS_ENDPOINT_URL_STS", proxy.endpoint());
    let finished = Running::start(command).finish();
    let context = finished.context("DOWNLOAD_SOURCE");
    assert!(context.contains("sts:AssumeRole"), "{context}");
    assert_eq!(proxy.seen().len(), 1, "{:?}", proxy.seen());
}
