//! Values of Parameter Store and Secrets Manager.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tests::{Project, Running};

const BUILDSPEC: &str = "
version: 0.2
env:
  variables:
    PASSWORD: weaker
  parameter-store:
    TOKEN: /ci/token
  secrets-manager:
    PASSWORD: db:password
phases:
  build:
    commands:
      - test \"$TOKEN\" = parameter-value-1 && test \"$PASSWORD\" = secret-value-2
      - echo \"token $TOKEN password $PASSWORD\"
";

const VALUES: &str = "
parameter-store:
  /ci/token: parameter-value-1
secrets-manager:
  db: {password: secret-value-2}
";

fn secrets_file(project: &Project, text: &str) -> PathBuf {
    let path = project.root().join("secrets.yml");
    fs::write(&path, text).expect("a file can be written in one's own directory");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("one's own file");
    path
}

#[test]
fn stored_values_reach_the_commands_and_not_the_log() {
    let project = Project::new(BUILDSPEC);
    let file = secrets_file(&project, VALUES);
    let file = file.to_str().expect("temporary paths are UTF-8");
    let finished = project.run(&["--secrets-file", file]);
    assert_eq!(finished.exit_code, Some(0), "{}", finished.log());
    assert!(finished.log().contains("token *** password ***"));
    assert!(!finished.text().contains("-value-"));
}

#[test]
fn variables_given_at_the_start_may_name_stored_values() {
    let project = Project::new(
        "version: 0.2\nphases:\n  build:\n    commands:\n      - test \"$A\" = parameter-value-1\n      - test \"$B\" = secret-value-2\n",
    );
    let file = secrets_file(&project, VALUES);
    let overrides = project.root().join("overrides.json");
    let json = r#"{"environmentVariablesOverride": [
        {"name": "A", "value": "/ci/token", "type": "PARAMETER_STORE"},
        {"name": "B", "value": "db:password", "type": "SECRETS_MANAGER"}]}"#;
    fs::write(&overrides, json).expect("a file can be written in one's own directory");
    let paths = [&overrides, &file].map(|path| path.to_str().expect("temporary paths are UTF-8"));
    let finished = project.run(&["--overrides", paths[0], "--secrets-file", paths[1]]);
    assert_eq!(finished.exit_code, Some(0), "{}", finished.log());
}

#[test]
fn a_value_that_cannot_be_had_fails_the_build_before_its_first_command() {
    for (label, values, expected) in [
        (
            "no key",
            "{parameter-store: {/ci/token: x}, secrets-manager: {db: {user: x}}}",
            "Secrets Manager Error: the secret db has no key password",
        ),
        (
            "no keys at all",
            "{parameter-store: {/ci/token: x}, secrets-manager: {db: x}}",
            "Secrets Manager Error: the secret db is not JSON with keys, so it has no key password",
        ),
    ] {
        let project = Project::new(BUILDSPEC);
        let file = secrets_file(&project, values);
        let file = file.to_str().expect("temporary paths are UTF-8");
        let finished = project.run(&["--secrets-file", file]);
        assert_eq!(finished.exit_code, Some(1), "{label}");
        assert_eq!(finished.context("DOWNLOAD_SOURCE"), expected, "{label}");
        assert!(!finished.log().contains("Entering phase"), "{label}");
    }
}

/// What a file lacks is looked up in AWS, which this machine has no credentials for.
#[test]
fn without_aws_the_way_to_give_values_is_told() {
    let project = Project::new(BUILDSPEC);
    let file = secrets_file(&project, "secrets-manager: {db: {password: x}}");
    let file = file.to_str().expect("temporary paths are UTF-8");
    let mut command = project.build_command(&["--secrets-file", file]);
    for variable in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    ] {
        command.env_remove(variable);
    }
    command
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    let finished = Running::start(command).finish();
    let context = finished.context("DOWNLOAD_SOURCE");
    assert!(
        context.starts_with("Decrypted Variables Error: ")
            && context.ends_with("; without AWS, give values with --env or --secrets-file"),
        "{context}"
    );
}

#[test]
fn a_secrets_file_that_others_can_read_is_refused() {
    let project = Project::new(BUILDSPEC);
    let file = secrets_file(&project, VALUES);
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("one's own file");
    let file = file.to_str().expect("temporary paths are UTF-8");
    let finished = project.run(&["--secrets-file", file]);
    assert_eq!(finished.exit_code, Some(2));
    assert!(finished.stderr.contains("chmod 600"), "{}", finished.stderr);
}
